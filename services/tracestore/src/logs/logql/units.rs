//! Durations and string escapes in Go's notation, shared by the lexer, the printer and the filters.

/// What Go's `time.ParseDuration` knows, in nanoseconds.
const GO_UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000), // U+00B5, the micro sign
    ("μs", 1_000), // U+03BC, the Greek letter
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];
/// What Prometheus adds.
const LONG_UNITS: [(&str, i128); 3] = [
    ("d", 86_400_000_000_000),
    ("w", 604_800_000_000_000),
    ("y", 31_536_000_000_000_000),
];

/// Reads a duration literal of a query (`1h30m`, `250ms`, `7d`), in nanoseconds.
pub(super) fn literal_duration(text: &str) -> Option<i64> {
    duration(text, &LONG_UNITS)
}

/// Reads a duration in a label's value, as Go's `time.ParseDuration` does, in nanoseconds.
pub(super) fn value_duration(text: &str) -> Option<i64> {
    let (negative, rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let nanos = if rest == "0" { 0 } else { duration(rest, &[])? };
    Some(if negative { -nanos } else { nanos })
}

fn duration(text: &str, more_units: &[(&str, i128)]) -> Option<i64> {
    let mut rest = text;
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let number = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (whole, fraction) = rest[..number]
            .split_once('.')
            .unwrap_or((&rest[..number], ""));
        rest = &rest[number..];
        let end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let unit = GO_UNITS
            .iter()
            .chain(more_units)
            .find(|(name, _)| *name == &rest[..end])?
            .1;
        rest = &rest[end..];
        if whole.len() + fraction.len() == 0 || whole.len() > 19 {
            return None;
        }
        // Below a nanosecond of the longest unit there is nothing to keep.
        let fraction = &fraction[..fraction.len().min(17)];
        let parts = |digits: &str| {
            if digits.is_empty() {
                Some(0)
            } else {
                digits.parse::<i128>().ok()
            }
        };
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        total += parts(whole)? * unit + parts(fraction)? * unit / scale;
    }
    if text.is_empty() {
        None
    } else {
        i64::try_from(total).ok()
    }
}

/// Undoes the escapes of a double-quoted Go string; `None` if one is not valid.
pub(super) fn unquote(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    let push = |out: &mut Vec<u8>, c: char| {
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    };
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(&mut out, c);
            continue;
        }
        match chars.next()? {
            'a' => out.push(7),
            'b' => out.push(8),
            'f' => out.push(12),
            'n' => out.push(b'\n'),
            'r' => out.push(b'\r'),
            't' => out.push(b'\t'),
            'v' => out.push(11),
            same @ ('\\' | '"' | '\'') => push(&mut out, same),
            'x' => out.push(u8::try_from(digits(&mut chars, 2, 16)?).ok()?),
            'u' => push(&mut out, char::from_u32(digits(&mut chars, 4, 16)?)?),
            'U' => push(&mut out, char::from_u32(digits(&mut chars, 8, 16)?)?),
            first @ '0'..='7' => {
                let high = first.to_digit(8)?;
                let low = digits(&mut chars, 2, 8)?;
                out.push(u8::try_from(high * 64 + low).ok()?);
            }
            _ => return None,
        }
    }
    String::from_utf8(out).ok()
}

fn digits(chars: &mut std::str::Chars<'_>, count: usize, radix: u32) -> Option<u32> {
    (0..count).try_fold(0u32, |value, _| {
        value
            .checked_mul(radix)?
            .checked_add(chars.next()?.to_digit(radix)?)
    })
}

/// Puts a string in double quotes so that [`unquote`] gives it back.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                use std::fmt::Write as _;
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_as_go_and_prometheus_read_them() {
        assert_eq!(literal_duration("250ms"), Some(250_000_000));
        assert_eq!(literal_duration("1h30m"), Some(5_400_000_000_000));
        assert_eq!(literal_duration("1.5s"), Some(1_500_000_000));
        assert_eq!(literal_duration("7d"), Some(604_800_000_000_000));
        assert_eq!(literal_duration("10"), None);
        assert_eq!(literal_duration("10kb"), None);
        assert_eq!(literal_duration("99999999y"), None);
        assert_eq!(value_duration("-1.5s"), Some(-1_500_000_000));
        assert_eq!(value_duration("0"), Some(0));
        assert_eq!(value_duration("3µs"), Some(3_000));
        assert_eq!(value_duration("1d"), None, "Go knows no days");
        assert_eq!(value_duration(""), None);
        assert_eq!(value_duration("fast"), None);
    }

    #[test]
    fn escapes_are_those_of_go() {
        assert_eq!(
            unquote(r#"a\n\"\\\x41\u00e4\U0001F600\101"#).as_deref(),
            Some("a\n\"\\Aä😀A")
        );
        for wrong in [r"\q", r"\x4", r"\ud800", r"\400", r"\xff", "\\"] {
            assert_eq!(unquote(wrong), None, "{wrong}");
        }
    }
}
