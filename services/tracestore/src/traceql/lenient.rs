//! Reads a query that somebody is still typing, for the values that complete it: conditions that are
//! not finished are left out. Called by the tag API; pure.

use super::{Query, compile};

/// The query, or its first filter without the unfinished parts; `None` if that leaves nothing.
pub(crate) fn compile_unfinished(text: &str) -> Option<Query> {
    compile(text).ok().or_else(|| {
        let conditions = conditions(text)?;
        let finished: Vec<_> = conditions
            .into_iter()
            .filter(|condition| {
                !condition.trim().is_empty() && compile(&format!("{{ {condition} }}")).is_ok()
            })
            .collect();
        compile(&format!("{{ {} }}", finished.join(" && "))).ok()
    })
}

/// The texts between the `&&` of the first `{ … }`. `None` if there is a `||` among them: what is
/// unfinished there may select anything.
fn conditions(text: &str) -> Option<Vec<&str>> {
    let text = &text[text.find('{')? + 1..];
    let mut parts = Vec::new();
    let (mut start, mut depth, mut quote) = (0, 0_usize, None);
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match (quote, c) {
            (Some('"'), '\\') => _ = chars.next(),
            (Some(open), c) if open == c => quote = None,
            (None, '"' | '`') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => depth = depth.saturating_sub(1),
            (None, '}') => {
                parts.push(&text[start..at]);
                return Some(parts);
            }
            (None, '|') if depth == 0 => return None,
            (None, '&') if depth == 0 && text[at..].starts_with("&&") => {
                parts.push(&text[start..at]);
                start = at + 2;
                chars.next();
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_conditions_are_left_out() {
        for (text, query) in [
            ("{ .a = 1 }", "{ .a = 1 }"),
            ("{ .a = 1 && .b = }", "{ .a = 1 }"),
            ("{ .a = 1 && .b = \"x && y", "{ .a = 1 }"),
            (
                "{ .a = 1 && && .b = \"x && }\" && (.c = 2 || .d",
                "{ (.a = 1) && (.b = `x && }`) }",
            ),
            ("{ .b = ", "{ true }"),
            ("{ .a = \"\\\"\" && .b }, junk", "{ (.a = `\"`) && .b }"),
        ] {
            let found = compile_unfinished(text).map(|query| query.to_string());
            assert_eq!(found.as_deref().unwrap_or("{ true }"), query, "{text}");
        }
        assert!(compile_unfinished("{ .a = 1 || .b = }").is_none());
        assert!(compile_unfinished("nonsense").is_none());
    }
}
