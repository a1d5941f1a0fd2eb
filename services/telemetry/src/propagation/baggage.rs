//! `baggage` (W3C Baggage): passed on as it came, and readable decoded.
//!
//! Called by `propagation::{extract, inject}`.

use std::sync::LazyLock;

use http::HeaderValue;
use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::{Context, Key};
use percent_encoding::percent_decode_str;

/// So much must be passed on (W3C Baggage, section 3.3.2), and no more is: whole
/// members are left out at the end.
const MAX_BYTES: usize = 8192;

/// The baggage of a caller, verbatim, beside its decoded form in the context.
#[derive(Debug)]
struct Received {
    /// Legal members, in order, parted by commas.
    raw: String,
    /// What the context was given to read, to see later what was changed.
    readable: Baggage,
}

/// One legal member.
struct Member<'a> {
    key: &'a str,
    value: &'a str,
    /// Behind the first semicolon; empty if there is none.
    properties: &'a str,
}

fn parse(text: &str) -> Option<Member<'_>> {
    let (pair, properties) = text.split_once(';').unwrap_or((text, ""));
    let (key, value) = pair.split_once('=')?;
    let member = Member {
        key: trim(key),
        value: trim(value),
        properties: trim(properties),
    };
    let legal = is_token(member.key)
        && is_value(member.value)
        && (!text.contains(';') || properties_are_legal(properties));
    legal.then_some(member)
}

fn properties_are_legal(properties: &str) -> bool {
    properties
        .split(';')
        .all(|property| match property.split_once('=') {
            Some((key, value)) => is_token(trim(key)) && is_value(trim(value)),
            None => is_token(trim(property)),
        })
}

/// Without the blanks and tabs that the grammar allows around everything.
fn trim(text: &str) -> &str {
    text.trim_matches([' ', '\t'])
}

/// RFC 9110, section 5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// `baggage-octet`s: visible ASCII without quote, comma, semicolon, backslash.
fn is_value(text: &str) -> bool {
    text.bytes()
        .all(|b| b.is_ascii_graphic() && !b"\",;\\".contains(&b))
}

/// `cx` with the baggage of the header lines, joined. What is not legal is left
/// out, member by member.
pub(super) fn extract<'a>(cx: Context, lines: impl Iterator<Item = &'a [u8]>) -> Context {
    let mut raw = String::new();
    let mut readable = Vec::new();
    let members = lines.flat_map(|line| line.split(|&b| b == b','));
    for text in members.filter_map(|member| std::str::from_utf8(member).ok()) {
        let text = trim(text);
        let Some(member) = parse(text) else { continue };
        let comma = usize::from(!raw.is_empty());
        if raw.len() + comma + text.len() > MAX_BYTES {
            break;
        }
        if comma == 1 {
            raw.push(',');
        }
        raw.push_str(text);
        // Octets that are not UTF-8 become U+FFFD, as the recommendation says.
        let value = percent_decode_str(member.value).decode_utf8_lossy();
        readable.push((
            Key::from(member.key.to_owned()),
            (value.into_owned().into(), member.properties.into()),
        ));
    }
    if raw.is_empty() {
        return cx;
    }
    let given = readable.clone().into_iter().collect();
    let readable = readable.into_iter().collect();
    cx.with_baggage::<Baggage>(given)
        .with_value(Received { raw, readable })
}

/// The `baggage` to send; `None` if it would be empty.
pub(super) fn header(cx: &Context) -> Option<HeaderValue> {
    let now = cx.baggage();
    let Some(received) = cx.get::<Received>() else {
        return (!now.is_empty())
            .then(|| HeaderValue::try_from(now.to_string()).ok())
            .flatten();
    };
    let Some(text) = merge(received, now) else {
        return HeaderValue::from_str(&received.raw).ok();
    };
    (!text.is_empty())
        .then(|| HeaderValue::try_from(text).ok())
        .flatten()
}

/// What was received with what the program has changed since; `None` if that
/// is nothing.
fn merge(received: &Received, now: &Baggage) -> Option<String> {
    let before = &received.readable;
    let same = |key: &str| before.get_with_metadata(key) == now.get_with_metadata(key);
    let added: Baggage = now
        .iter()
        .filter(|(key, _)| !same(key.as_str()))
        .map(|(key, entry)| (key.clone(), entry.clone()))
        .collect();
    if added.is_empty() && before.len() == now.len() {
        return None;
    }
    let mut members: Vec<&str> = received
        .raw
        .split(',')
        .filter(|text| parse(text).is_some_and(|member| same(member.key)))
        .collect();
    let added = added.to_string();
    if !added.is_empty() {
        members.push(&added);
    }
    Some(members.join(","))
}

/// `baggage` for carriers that are not HTTP headers.
#[derive(Clone, Copy, Debug, Default)]
pub struct BaggagePropagator {
    _private: (),
}

impl BaggagePropagator {
    /// A propagator.
    pub fn new() -> Self {
        Self::default()
    }
}

static FIELDS: LazyLock<[String; 1]> = LazyLock::new(|| ["baggage".to_owned()]);

impl TextMapPropagator for BaggagePropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let value = header(cx);
        if let Some(text) = value.as_ref().and_then(|value| value.to_str().ok()) {
            injector.set(&FIELDS[0], text.to_owned());
        }
    }

    fn extract_with_context(&self, cx: &Context, extractor: &dyn Extractor) -> Context {
        let lines = extractor.get_all(&FIELDS[0]).unwrap_or_default();
        extract(cx.clone(), lines.iter().map(|line| line.as_bytes()))
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&*FIELDS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &[&str]) -> Context {
        extract(Context::new(), lines.iter().map(|line| line.as_bytes()))
    }

    fn sent(cx: &Context) -> Option<String> {
        header(cx).map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn a_legal_value_is_passed_on_as_it_came() {
        for value in [
            "a=b=c==",
            "a=",
            "a=%20x%2C;p=1;q",
            "a = b ; p = 1",
            "demo.fault=backend:error:503/middleware:delay:300ms",
            "a=1,a=2",
            "a=%E4",
        ] {
            assert_eq!(sent(&read(&[value])).as_deref(), Some(value));
        }
    }

    #[test]
    fn it_is_readable_decoded() {
        let cx = read(&["a=b=c%20d;p=1,bad=%ff", "e=f"]);
        let (value, properties) = cx.baggage().get_with_metadata("a").unwrap();
        assert_eq!((value.as_str(), properties.as_str()), ("b=c d", "p=1"));
        assert_eq!(cx.baggage().get("bad").unwrap().as_str(), "\u{fffd}");
        assert_eq!(cx.baggage().get("e").unwrap().as_str(), "f");
    }

    #[test]
    fn illegal_members_are_left_out_alone() {
        for illegal in [
            "x", "=1", "a b=1", "x=\"1\"", "x=1 2", "x=\\", "x=1;", "x=1;=2", "x=ü",
        ] {
            let cx = read(&["ok=1", illegal, "fine=2"]);
            assert_eq!(sent(&cx).as_deref(), Some("ok=1,fine=2"), "{illegal}");
        }
        assert_eq!(sent(&read(&["x", ",,"])), None);
        let bytes: [&[u8]; 2] = [b"a=1,\xff\xfe=2", b"b=\xc3\x28,c=3"];
        let cx = extract(Context::new(), bytes.into_iter());
        assert_eq!(sent(&cx).as_deref(), Some("a=1,c=3"));
    }

    #[test]
    fn as_much_is_passed_on_as_the_recommendation_asks() {
        let members: Vec<String> = (0..180).map(|n| format!("k{n}=v")).collect();
        let all = members.join(",");
        assert_eq!(sent(&read(&[&all])), Some(all));

        let largest = format!("a={}", "v".repeat(MAX_BYTES - 2));
        assert_eq!(sent(&read(&[&largest])), Some(largest.clone()));
        assert_eq!(sent(&read(&["b=1", &largest])).as_deref(), Some("b=1"));
    }

    #[test]
    fn what_the_program_changes_is_sent_and_the_rest_stays_verbatim() {
        let cx = read(&["keep=a=b;p,change=1,remove=2"]);
        let mut baggage: Baggage = cx
            .baggage()
            .iter()
            .map(|(key, entry)| (key.clone(), entry.clone()))
            .collect();
        baggage.insert("change", "x y");
        baggage.remove("remove");
        let cx = cx.with_baggage(baggage);
        assert_eq!(sent(&cx).as_deref(), Some("keep=a=b;p,change=x%20y"));
        assert_eq!(sent(&cx.with_cleared_baggage()), None);
    }

    #[test]
    fn baggage_of_the_program_alone_is_sent() {
        let cx = Context::new().with_baggage([opentelemetry::KeyValue::new("a", "b c")]);
        assert_eq!(sent(&cx).as_deref(), Some("a=b%20c"));
        assert_eq!(sent(&Context::new()), None);
    }
}
