//! `tracestate` (W3C Trace Context, section 3.3).
//!
//! Called by `traceparent`. An invalid list is dropped whole, and the
//! `traceparent` stays, as the recommendation says.

use http::HeaderValue;
use opentelemetry::trace::TraceState;

const MAX_MEMBERS: usize = 32;
const MAX_KEY: usize = 256;
const MAX_VALUE: usize = 256;
/// In `tenant@system`.
const MAX_TENANT: usize = 241;
const MAX_SYSTEM: usize = 14;

/// A list as the SDK holds it or, where the SDK refuses a legal one, as it came.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) value: TraceState,
    pub(super) passenger: Option<HeaderValue>,
}

/// Reads the header lines as one list.
pub(super) fn read<'a>(lines: impl Iterator<Item = &'a [u8]>) -> State {
    let Some(members) = members(lines) else {
        return State::default();
    };
    if members.is_empty() {
        return State::default();
    }
    match TraceState::from_key_value(members.iter().copied()) {
        Ok(value) => State {
            value,
            passenger: None,
        },
        Err(_) => State {
            value: TraceState::NONE,
            passenger: join(&members),
        },
    }
}

fn join(members: &[(&str, &str)]) -> Option<HeaderValue> {
    let members: Vec<String> = members
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    HeaderValue::try_from(members.join(",")).ok()
}

/// The members in order; `None` if the list is not legal.
fn members<'a>(lines: impl Iterator<Item = &'a [u8]>) -> Option<Vec<(&'a str, &'a str)>> {
    let mut members: Vec<(&str, &str)> = Vec::new();
    for line in lines {
        let line = std::str::from_utf8(line).ok()?;
        for member in line.split(',') {
            // Empty members are allowed, so that lines can be joined.
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            let (key, value) = member.split_once('=')?;
            let known = members.iter().any(|(other, _)| *other == key);
            if known || members.len() == MAX_MEMBERS || !is_key(key) || !is_value(value) {
                return None;
            }
            members.push((key, value));
        }
    }
    Some(members)
}

/// A simple key, or a tenant and a system. Level 1 wants a letter at the
/// beginning of a simple key, Level 2 takes a digit too, and so do we.
fn is_key(key: &str) -> bool {
    match key.split_once('@') {
        None => is_part(key, MAX_KEY, true),
        Some((tenant, system)) => {
            is_part(tenant, MAX_TENANT, true) && is_part(system, MAX_SYSTEM, false)
        }
    }
}

fn is_part(part: &str, max: usize, digit_first: bool) -> bool {
    let first = part.bytes().next();
    part.len() <= max
        && first.is_some_and(|b| b.is_ascii_lowercase() || (digit_first && b.is_ascii_digit()))
        && part
            .bytes()
            .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/'))
}

/// Printable ASCII without comma and equals sign, not ending with a blank.
fn is_value(value: &str) -> bool {
    (1..=MAX_VALUE).contains(&value.len())
        && !value.ends_with(' ')
        && value
            .bytes()
            .all(|b| (0x20..=0x7e).contains(&b) && b != b',' && b != b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: &[&str]) -> String {
        let state = read(lines.iter().map(|line| line.as_bytes()));
        match state.passenger {
            Some(raw) => raw.to_str().unwrap().to_owned(),
            None => state.value.header(),
        }
    }

    #[test]
    fn lines_are_joined_in_order_and_blanks_and_empty_members_left_out() {
        assert_eq!(kept(&["a=1 , b=2,", "\t,c=3"]), "a=1,b=2,c=3");
        assert_eq!(kept(&["", " , "]), "");
    }

    #[test]
    fn every_legal_form_is_kept() {
        let longest_key = format!("{}=1", "z".repeat(256));
        let longest_tenant = format!("{}@{}=1", "t".repeat(241), "v".repeat(14));
        let longest_value = format!("a={}", "v".repeat(256));
        let most = (0..32)
            .map(|n| format!("k{n}=1"))
            .collect::<Vec<_>>()
            .join(",");
        for list in [
            "foo=1",
            "1a=1",
            "a_-*/0=!\"#$%&'()*+-./:;<>?@[\\]^_`{|}~",
            "a=b c",
            "fw529a3039@dt=FfAAAAAAAAAAAAAAAA",
            &longest_key,
            &longest_tenant,
            &longest_value,
            &most,
        ] {
            assert_eq!(kept(&[list]), list);
        }
    }

    #[test]
    fn an_illegal_member_drops_the_list() {
        let long_key = format!("{}=1", "z".repeat(257));
        let long_tenant = format!("{}@v=1", "t".repeat(242));
        let long_system = format!("t@{}=1", "v".repeat(15));
        let long_value = format!("a={}", "v".repeat(257));
        let many = (0..33)
            .map(|n| format!("k{n}=1"))
            .collect::<Vec<_>>()
            .join(",");
        for member in [
            "foo",
            "foo=",
            "=1",
            "Foo=1",
            "foo =1",
            "foo.bar=1",
            "foo@=1",
            "@foo=1",
            "foo@@bar=1",
            "foo@bar@baz=1",
            "a@1=1",
            "foo=a=b",
            "foo=\u{7f}",
            "foo=ü",
            "ok=1",
            &long_key,
            &long_tenant,
            &long_system,
            &long_value,
            &many,
        ] {
            assert_eq!(kept(&["ok=1", member]), "", "{member}");
        }
    }
}
