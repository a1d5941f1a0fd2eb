//! `| logfmt`: the `key=value` pairs of a line. Called by `eval`.

use std::borrow::Cow;

/// Calls `pair(key, value)` for each pair, in order; a key without a value has the value `""`.
///
/// # Errors
/// The first fault, with its byte (from 1): unless `strict`, reading went on after the word with
/// the fault.
pub(in crate::logs) fn pairs(
    line: &str,
    strict: bool,
    pair: &mut dyn FnMut(&str, &str),
) -> Result<(), String> {
    let mut rest = line;
    let mut fault = None;
    loop {
        rest = rest.trim_start_matches(is_space);
        if rest.is_empty() {
            return fault.map_or(Ok(()), Err);
        }
        match next(rest) {
            Ok((key, value, after)) => {
                pair(key, &value);
                rest = after;
            }
            Err((at, what)) => {
                let place = line.len() - rest.len() + at + 1;
                let error = format!("logfmt: {what} at byte {place}");
                if strict {
                    return Err(error);
                }
                fault.get_or_insert(error);
                let skip = rest[at..].find(is_space).map_or(rest.len(), |n| at + n);
                rest = &rest[skip..];
            }
        }
    }
}

fn is_space(c: char) -> bool {
    c <= ' '
}

type Pair<'a> = (&'a str, Cow<'a, str>, &'a str);

/// Reads one pair and what follows it, or says at which byte it is wrong and how.
fn next(text: &str) -> Result<Pair<'_>, (usize, &'static str)> {
    let end = text
        .find(|c| is_space(c) || c == '=' || c == '"')
        .unwrap_or(text.len());
    let key = &text[..end];
    let Some(value) = text[end..].strip_prefix('=') else {
        if text[end..].starts_with('"') {
            return Err((end, "a quote in a key"));
        }
        return Ok((key, Cow::Borrowed(""), &text[end..]));
    };
    if key.is_empty() {
        return Err((0, "a value without a key"));
    }
    let start = end + 1;
    if value.starts_with('"') {
        return quoted(value)
            .map(|(value, after)| (key, value, after))
            .ok_or((text.len(), "a quoted value that is not closed or not valid"));
    }
    let length = value.find(is_space).unwrap_or(value.len());
    match value[..length].find(['=', '"']) {
        Some(at) => Err((start + at, "an unexpected `=` or quote in a value")),
        None => Ok((key, Cow::Borrowed(&value[..length]), &value[length..])),
    }
}

/// Reads a value in quotes, which may hold JSON's escapes.
fn quoted(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let mut escaped = false;
    let mut has_escapes = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => {
                escaped = true;
                has_escapes = true;
            }
            '"' => {
                let (whole, after) = text.split_at(at + 1);
                let value = if has_escapes {
                    Cow::Owned(serde_json::from_str(whole).ok()?)
                } else {
                    Cow::Borrowed(&whole[1..at])
                };
                return Some((value, after));
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, strict: bool) -> (Vec<String>, Result<(), String>) {
        let mut out = Vec::new();
        let result = pairs(line, strict, &mut |k, v| out.push(format!("{k}:{v}")));
        (out, result)
    }

    #[test]
    fn pairs_are_read_in_order() {
        let (pairs, result) = read(
            r#" level=info msg="a \"b\" c" dur=5ms flag e= x="y z" "#,
            true,
        );
        assert_eq!(
            pairs,
            [
                "level:info",
                "msg:a \"b\" c",
                "dur:5ms",
                "flag:",
                "e:",
                "x:y z"
            ]
        );
        assert_eq!(result, Ok(()));
        assert_eq!(read("", true), (vec![], Ok(())));
    }

    #[test]
    fn a_fault_is_skipped_or_ends_a_strict_parse() {
        let line = r#"a=1 b"=2 =3 c=4=5 d=6"#;
        let (loose, fault) = read(line, false);
        assert_eq!(loose, ["a:1", "d:6"]);
        assert_eq!(fault, Err("logfmt: a quote in a key at byte 6".to_owned()));
        let (strict, fault) = read(line, true);
        assert_eq!(strict, ["a:1"]);
        assert!(fault.is_err());
        assert!(read(r#"m="open"#, false).1.is_err());
    }
}
