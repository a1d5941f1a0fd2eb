//! RE2's regular expressions on the `regex` crate: the same language where the two differ in
//! spelling. Called by `traceql` and `logs::logql`, each with its own rule of what must match.

use std::fmt::Write as _;
use std::iter::Peekable;
use std::str::Chars;

/// Largest compiled pattern, in bytes; beyond it a query is refused.
const MAX_COMPILED_BYTES: usize = 1 << 20;
/// RE2's limit on a counted repetition.
const MAX_REPEAT: u32 = 1_000;

/// A pattern compiled as Tempo matches: against the whole text, `.` matching newlines too.
#[derive(Clone, Debug)]
pub(crate) struct Pattern(regex::Regex);

impl Pattern {
    /// Compiles `pattern`; the error says in one line what is wrong with it.
    pub(crate) fn new(pattern: &str) -> Result<Self, String> {
        compile(pattern, |pattern| format!("^(?s:{pattern})$")).map(Pattern)
    }

    /// Whether the pattern matches all of `text`.
    pub(crate) fn matches(&self, text: &str) -> bool {
        self.0.is_match(text)
    }
}

/// Compiles `pattern` inside of what `around` puts around it; the error says in one line what is
/// wrong with the pattern.
pub(crate) fn compile(
    pattern: &str,
    around: impl Fn(&str) -> String,
) -> Result<regex::Regex, String> {
    let translated = translate(pattern)?;
    let build = |text: &str| {
        regex::RegexBuilder::new(text)
            .size_limit(MAX_COMPILED_BYTES)
            .build()
    };
    let whole = around(&translated);
    // Alone first: what only becomes right inside the anchors (`a)(b`) is wrong.
    let compiled = if whole == translated {
        build(&whole)
    } else {
        build(&translated).and_then(|_| build(&whole))
    };
    compiled.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => "it is too large when compiled".to_owned(),
        error => {
            let text = error.to_string();
            text.lines()
                .last()
                .unwrap_or("syntax error")
                .trim()
                .to_owned()
        }
    })
}

/// Rewrites what `regex` would read differently: `\d \w \s \b` are ASCII in RE2, `\Q…\E` quotes, an
/// octal escape is a character, and `[ && -- ~~` mean themselves inside a class.
fn translate(pattern: &str) -> Result<String, String> {
    let mut out = String::with_capacity(pattern.len() + 16);
    let mut chars = pattern.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => escape(&mut chars, &mut out, false)?,
            '[' => class(&mut chars, &mut out)?,
            '{' => repeat(&mut chars, &mut out)?,
            c => out.push(c),
        }
    }
    Ok(out)
}

/// A character class, after its `[`.
fn class(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if chars.next_if_eq(&'^').is_some() {
        out.push('^');
    }
    let mut first = true;
    while let Some(c) = chars.next() {
        match c {
            ']' if !first => {
                out.push(']');
                return Ok(());
            }
            ']' => out.push_str("\\]"),
            '\\' => escape(chars, out, true)?,
            '[' if chars.peek() == Some(&':') => {
                out.push('[');
                for c in chars.by_ref() {
                    out.push(c);
                    if c == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' => out.extend(['\\', c]),
            // A dash that starts another set operator; a lone one keeps its meaning (a range).
            '-' if chars.peek() == Some(&'-') => out.push_str("\\-"),
            c => out.push(c),
        }
        first = false;
    }
    Err("a class is not closed, expected `]`".into())
}

/// An escape, after its backslash.
fn escape(chars: &mut Peekable<Chars<'_>>, out: &mut String, in_class: bool) -> Result<(), String> {
    let Some(c) = chars.next() else {
        return Err("trailing backslash".into());
    };
    match (c, in_class) {
        ('d', true) => out.push_str("0-9"),
        ('w', true) => out.push_str("0-9A-Za-z_"),
        ('s', true) => out.push_str(r"\t\n\x0C\r "),
        ('d', false) => out.push_str("[0-9]"),
        ('w', false) => out.push_str("[0-9A-Za-z_]"),
        ('s', false) => out.push_str(r"[\t\n\x0C\r ]"),
        ('D', _) => out.push_str("[^0-9]"),
        ('W', _) => out.push_str("[^0-9A-Za-z_]"),
        ('S', _) => out.push_str(r"[^\t\n\x0C\r ]"),
        ('b', false) => out.push_str(r"(?-u:\b)"),
        ('Q', _) => {
            let mut quoted: String = String::new();
            while let Some(c) = chars.next() {
                if c == '\\' && chars.next_if_eq(&'E').is_some() {
                    break;
                }
                quoted.push(c);
            }
            out.push_str(&regex::escape(&quoted));
        }
        ('0'..='7', _) => {
            let mut value = c.to_digit(8).unwrap_or(0);
            for _ in 0..2 {
                let Some(digit) = chars.peek().and_then(|c| c.to_digit(8)) else {
                    break;
                };
                value = value * 8 + digit;
                chars.next();
            }
            if c != '0' && value < 8 {
                return Err(format!(
                    "`\\{c}` is a back-reference, which RE2 does not have"
                ));
            }
            _ = write!(out, "\\x{{{value:X}}}");
        }
        (c, _) => out.extend(['\\', c]),
    }
    Ok(())
}

/// A counted repetition, after its `{`; what is none (`{`, `{,5}`) means itself.
fn repeat(chars: &mut Peekable<Chars<'_>>, out: &mut String) -> Result<(), String> {
    let text: String = chars.clone().take_while(|c| *c != '}').take(16).collect();
    let (low, high) = text.split_once(',').unwrap_or((&text, &text));
    let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()) && !part.is_empty();
    let closed = chars.clone().nth(text.chars().count()) == Some('}');
    if !closed || !number(low) || !(number(high) || high.is_empty()) {
        out.push_str("\\{");
        return Ok(());
    }
    if [low, high].iter().any(|part| {
        part.parse::<u32>()
            .map_or(!part.is_empty(), |n| n > MAX_REPEAT)
    }) {
        return Err(format!("a repetition is larger than {MAX_REPEAT}"));
    }
    out.push('{');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_the_whole_text_as_re2_does() {
        for (pattern, text, expected) in [
            ("a.c", "abc", true),
            ("a.c", "xabc", false),
            ("a.c", "a\nc", true),
            ("a|b", "b", true),
            ("a|b", "ab", false),
            (r"\d+", "123", true),
            (r"\d+", "١٢٣", false),
            (r"\w", "é", false),
            (r"[\w-]+", "a-b_9", true),
            (r"[^\d]", "é", true),
            (r"[\D]", "é", true),
            (r"\Qa.b\E+", "a.bb", true),
            (r"\Qa.b\E", "axb", false),
            (r"\101", "A", true),
            ("[[]", "[", true),
            ("[a&&b]+", "a&b", true),
            ("[]a]+", "]a", true),
            ("[[:alpha:]]+", "abc", true),
            ("a{2,3}", "aaa", true),
            ("a{2,3}", "aaaa", false),
            ("a{,3}", "a{,3}", true),
            ("(?i)HTTP GET", "http get", true),
            (r"x\b.y", "x y", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(
                Pattern::new(pattern).unwrap().matches(text),
                expected,
                "{pattern} on {text}"
            );
        }
    }

    #[test]
    fn bad_and_oversized_patterns_are_refused() {
        for pattern in [
            "[",
            "a)(b",
            "(",
            "*",
            r"\1",
            "a{1001}",
            "a\\",
            "(?=a)",
            "((a{100}){100}){100}",
        ] {
            assert!(Pattern::new(pattern).is_err(), "{pattern}");
        }
    }
}
