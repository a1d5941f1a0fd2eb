//! Reads and writes TraceQL's literals, which are Go's: strings, numbers and durations. Used by the
//! lexer, the printer and the search API.

use std::fmt::Write as _;

/// Units of a duration in nanoseconds, largest first.
const UNITS: [(&str, i64); 10] = [
    ("y", 365 * 86_400_000_000_000),
    ("w", 7 * 86_400_000_000_000),
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("µs", 1_000),
    ("ns", 1),
];

const LAST_OF_PROMETHEUS: usize = 6;
const FIRST_OF_GO: usize = 3;

/// A number without a unit.
pub(super) enum Number {
    Int(i64),
    Float(f64),
}

/// The string literal at the start of `text`, unquoted, and the bytes it takes.
pub(super) fn string(text: &str) -> Result<(String, usize), String> {
    let mut chars = text.char_indices();
    if chars.next().is_some_and(|(_, quote)| quote == '`') {
        let end = text[1..]
            .find('`')
            .ok_or("string is not closed, expected a backtick")?;
        // Go drops carriage returns from raw strings.
        return Ok((text[1..=end].replace('\r', ""), end + 2));
    }
    let mut bytes = Vec::new();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let text =
                    String::from_utf8(bytes).map_err(|_| "the string's escapes are not UTF-8")?;
                return Ok((text, at + 1));
            }
            '\n' => break,
            '\\' => escape(&mut chars, &mut bytes)
                .ok_or("unknown escape in a string, expected one of Go's")?,
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    Err("string is not closed, expected `\"`".into())
}

/// One escape of a string literal, after its backslash. Source: Go's specification, "String literals".
fn escape(chars: &mut std::str::CharIndices<'_>, out: &mut Vec<u8>) -> Option<()> {
    let (_, kind) = chars.next()?;
    let mut number = |digits: usize, radix: u32, start: u32| {
        (0..digits).try_fold(start, |value, _| {
            Some(value * radix + chars.next()?.1.to_digit(radix)?)
        })
    };
    let byte = match kind {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' | '"' => u8::try_from(kind).ok()?,
        '0'..='7' => u8::try_from(number(2, 8, kind.to_digit(8)?)?).ok()?,
        'x' => u8::try_from(number(2, 16, 0)?).ok()?,
        'u' | 'U' => {
            let c = char::from_u32(number(if kind == 'u' { 4 } else { 8 }, 16, 0)?)?;
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            return Some(());
        }
        _ => return None,
    };
    out.push(byte);
    Some(())
}

/// How many bytes at the start of `text` are a number: digits, a fraction, an exponent.
pub(super) fn number_len(text: &str) -> usize {
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let mut len = digits(0);
    if text[len..].starts_with('.') {
        len += 1;
        len += digits(len);
    }
    if text[len..].starts_with(['e', 'E']) {
        let sign = usize::from(text[len + 1..].starts_with(['+', '-']));
        let exponent = digits(len + 1 + sign);
        if exponent > 0 {
            len += 1 + sign + exponent;
        }
    }
    len
}

/// The value of a text that [`number_len`] measured.
pub(super) fn number(text: &str) -> Result<Number, String> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text
            .parse()
            .map(Number::Int)
            .map_err(|_| format!("number {text} does not fit into 64 bits"));
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Number::Float(value)),
        _ => Err(format!("number {text} is out of range")),
    }
}

/// A duration, and who can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration {
    pub(crate) nanos: i64,
    /// Whole numbers, with units from `y` to `ms` in falling order: Prometheus' notation.
    pub(crate) prometheus: bool,
    /// Units from `h` to `ns` in any order, fractions too: Go's `time.ParseDuration`.
    pub(crate) go: bool,
}

/// Reads a duration such as `1h15m`, `1d12h`, `1.5s` or `100ms`; `None` if it is none, or too long
/// for 64 bits.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let mut duration = Duration {
        nanos: 0,
        prometheus: true,
        go: true,
    };
    if text == "0" {
        return Some(duration);
    }
    let mut rest = text;
    let mut previous = None;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => {
                duration.prometheus = false;
                digits(after)
            }
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let unit_len = after
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(after.len());
        let index = UNITS
            .iter()
            .position(|(name, _)| *name == &after[..unit_len])?;
        rest = &after[unit_len..];
        duration.go &= index >= FIRST_OF_GO;
        duration.prometheus &= index <= LAST_OF_PROMETHEUS && previous.is_none_or(|p| p < index);
        previous = Some(index);
        let nanos = UNITS[index].1;
        let whole = if whole.is_empty() {
            0
        } else {
            whole.parse::<i64>().ok()?
        };
        duration.nanos = duration
            .nanos
            .checked_add(whole.checked_mul(nanos)?)?
            .checked_add(part(fraction, nanos))?;
    }
    (previous.is_some() && (duration.prometheus || duration.go)).then_some(duration)
}

/// The digits that a text starts with, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().take_while(u8::is_ascii_digit).count())
}

/// `0.fraction` of a unit, cut to whole nanoseconds.
fn part(fraction: &str, nanos: i64) -> i64 {
    let (sum, scale) = fraction
        .bytes()
        .take(18)
        .fold((0i128, 1i128), |(sum, scale), digit| {
            (sum * 10 + i128::from(digit - b'0'), scale * 10)
        });
    i64::try_from(sum * i128::from(nanos) / scale).expect("less than one unit, which fits")
}

/// A duration as Go prints it: `1h15m0s`, `1.5s`, `100ms`, `0s`.
pub(crate) fn duration_text(nanos: i64) -> String {
    let size = nanos.unsigned_abs();
    let mut out = String::new();
    if nanos < 0 {
        out.push('-');
    }
    match size {
        0 => return "0s".into(),
        1..1_000 => _ = write!(out, "{size}ns"),
        1_000..1_000_000 => decimal(&mut out, size, 1_000, "µs"),
        1_000_000..1_000_000_000 => decimal(&mut out, size, 1_000_000, "ms"),
        _ => {
            let (hours, minutes) = (size / 3_600_000_000_000, size / 60_000_000_000 % 60);
            if hours > 0 {
                _ = write!(out, "{hours}h");
            }
            if hours > 0 || minutes > 0 {
                _ = write!(out, "{minutes}m");
            }
            decimal(&mut out, size % 60_000_000_000, 1_000_000_000, "s");
        }
    }
    out
}

/// `value / unit` without trailing zeros, then the unit's name.
fn decimal(out: &mut String, value: u64, unit: u64, name: &str) {
    _ = write!(out, "{}", value / unit);
    let mut rest = value % unit;
    if rest > 0 {
        out.push('.');
        let mut scale = unit;
        while rest > 0 {
            scale /= 10;
            _ = write!(out, "{}", rest / scale);
            rest %= scale;
        }
    }
    out.push_str(name);
}

/// A float as Tempo prints it: the shortest digits, with an exponent when it is below -4 or above 5
/// (Go's `%g`), and `.0` after a number that would read as an int.
pub(crate) fn float_text(value: f64) -> String {
    if !value.is_finite() {
        return if value.is_nan() {
            "NaN".into()
        } else if value > 0.0 {
            "+Inf".into()
        } else {
            "-Inf".into()
        };
    }
    let shortest = format!("{value:e}");
    let (digits, exponent) = shortest
        .split_once('e')
        .expect("`{:e}` always writes an exponent");
    let power: i32 = exponent.parse().expect("`{:e}` writes a whole exponent");
    if (-4..6).contains(&power) {
        let plain = value.to_string();
        return if plain.contains('.') {
            plain
        } else {
            plain + ".0"
        };
    }
    let sign = if power < 0 { '-' } else { '+' };
    format!("{digits}e{sign}{:02}", power.abs())
}

/// A string as a literal: in backticks where that can be read back, else quoted with escapes.
pub(super) fn string_text(text: &str) -> String {
    if !text.contains(['`', '\r']) {
        return format!("`{text}`");
    }
    let mut out = String::from('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
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
    fn strings_are_gos() {
        for (text, expected) in [
            (r#""a\tb\"c\\""#, "a\tb\"c\\"),
            (r#""\x41\u00e9\U0001F600\101""#, "Aé😀A"),
            ("`a\\n\"b`", "a\\n\"b"),
            (r#""""#, ""),
            (r#""\xc3\xa9""#, "é"),
        ] {
            assert_eq!(
                string(text),
                Ok((expected.to_owned(), text.len())),
                "{text}"
            );
        }
        for bad in [
            r#"""#,
            "`",
            r#""\q""#,
            r#""\'""#,
            r#""\xff""#,
            r#""\777""#,
            "\"a\nb\"",
            r#""\ud800""#,
        ] {
            assert!(string(bad).is_err(), "{bad}");
        }
        assert_eq!(string("\"a\" b").unwrap().1, 3);
    }

    #[test]
    fn durations_are_prometheus_then_gos() {
        for (text, nanos) in [
            ("1h15m", 4_500_000_000_000),
            ("1.5s", 1_500_000_000),
            ("100ms", 100_000_000),
            ("3us", 3_000),
            ("3µs", 3_000),
            ("1d12h", 129_600_000_000_000),
            ("1y", 31_536_000_000_000_000),
            ("5s1h", 3_605_000_000_000),
            (".5s", 500_000_000),
            ("1h1.5s", 3_601_500_000_000),
        ] {
            assert_eq!(duration(text).map(|d| d.nanos), Some(nanos), "{text}");
        }
        for bad in [
            "", "5", "1x", "12h1d", "1.5d", "1d1.5s", "s", "300y", "1h 5m",
        ] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }

    #[test]
    fn durations_print_as_go_does() {
        for (nanos, text) in [
            (0, "0s"),
            (999, "999ns"),
            (1_500, "1.5µs"),
            (100_000_000, "100ms"),
            (1_000_000_001, "1.000000001s"),
            (4_500_000_000_000, "1h15m0s"),
            (-90_000_000_000, "-1m30s"),
        ] {
            assert_eq!(duration_text(nanos), text);
        }
    }

    #[test]
    fn floats_print_as_go_does() {
        for (value, text) in [
            (1.0, "1.0"),
            (0.5, "0.5"),
            (123_456_789.0, "1.23456789e+08"),
            (1e6, "1e+06"),
            (100_000.0, "100000.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.25, "-2.25"),
        ] {
            assert_eq!(float_text(value), text);
        }
    }
}
