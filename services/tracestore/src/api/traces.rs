//! Traces by id: `/api/traces/{id}` and `/api/v2/traces/{id}`, as JSON or protobuf.

use std::sync::Arc;

use http::{Response, StatusCode};

use super::Accept;
use crate::byid::{self, Found};
use crate::model::{Chunk, Slot};
use crate::server::{Body, answer, plain_text};
use crate::tenants::Tenant;

/// Tempo's first form: an unknown id is 404, a trace of which spans were refused 422.
pub(super) fn v1(stores: &[Tenant], id: &str, query: &str, accept: Accept) -> Response<Body> {
    let trace_id = match check(id, query) {
        Ok(trace_id) => trace_id,
        Err(message) => return plain_text(StatusCode::BAD_REQUEST, message),
    };
    let Some((chunk, slot)) = find(stores, trace_id) else {
        return Response::builder()
            .status(StatusCode::NOT_FOUND)
            .body(crate::server::full(""))
            .expect("a status alone makes a response");
    };
    let found = Found::new(&chunk, slot);
    if let Some(message) = found.partial_message() {
        return plain_text(StatusCode::UNPROCESSABLE_ENTITY, message);
    }
    let body = match accept {
        Accept::Json => byid::json_v1(&found),
        Accept::Protobuf => byid::protobuf_v1(&found),
    };
    answer(StatusCode::OK, accept.content_type(), body)
}

/// Tempo's second form: an unknown id is an empty trace, a trace of which spans were refused is marked as partial.
pub(super) fn v2(stores: &[Tenant], id: &str, query: &str, accept: Accept) -> Response<Body> {
    let trace_id = match check(id, query) {
        Ok(trace_id) => trace_id,
        Err(message) => return plain_text(StatusCode::BAD_REQUEST, message),
    };
    let held = find(stores, trace_id);
    let found = held.as_ref().map(|(chunk, slot)| Found::new(chunk, *slot));
    let body = match accept {
        Accept::Json => byid::json_v2(found.as_ref()),
        Accept::Protobuf => byid::protobuf_v2(found.as_ref()),
    };
    answer(StatusCode::OK, accept.content_type(), body)
}

/// The trace with the first of the tenants that has it.
fn find(tenants: &[Tenant], trace_id: u128) -> Option<(Arc<Chunk>, Slot)> {
    tenants
        .iter()
        .find_map(|tenant| tenant.store.find(trace_id))
}

/// Checks id and time range. The range is not applied: in Tempo it says which blocks to look into, and here there are none.
fn check(id: &str, query: &str) -> Result<u128, String> {
    let trace_id = parse_trace_id(id)?;
    let time = |name: &str| {
        let mut pairs = url::form_urlencoded::parse(query.as_bytes());
        let value = pairs
            .find(|(key, value)| key == name && !value.is_empty())
            .map(|(_, value)| value);
        let parsed = value.map(|value| {
            value
                .parse::<i64>()
                .map_err(|error| format!("invalid {name}: {error}: {value:?}"))
        });
        parsed.transpose()
    };
    match (time("start")?, time("end")?) {
        (Some(start), Some(end)) if end <= start => Err(format!(
            "http parameter start must be before end. received start={start} end={end}"
        )),
        _ => Ok(trace_id),
    }
}

/// Hex of either case, of any length up to 32, which is as if zeros stood before it.
fn parse_trace_id(id: &str) -> Result<u128, String> {
    for (i, character) in id.char_indices() {
        if !character.is_ascii_hexdigit() {
            return Err(format!(
                "trace IDs can only contain hex characters: invalid character '{character}' at position {}",
                i + 1
            ));
        }
    }
    if id.len() > 32 {
        return Err("trace IDs can't be larger than 128 bits".to_owned());
    }
    u128::from_str_radix(id, 16).map_err(|_| "a trace ID is missing".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_numbers() {
        assert_eq!(parse_trace_id("a006"), Ok(0xa006));
        assert_eq!(parse_trace_id("A06"), Ok(0xa06));
        assert_eq!(parse_trace_id(&"f".repeat(32)), Ok(u128::MAX));
    }

    #[test]
    fn what_is_no_id_says_why() {
        for (id, expected) in [
            ("xyz", "invalid character 'x' at position 1"),
            ("0_1", "invalid character '_' at position 2"),
            ("+1", "invalid character '+' at position 1"),
            ("é", "invalid character 'é' at position 1"),
            (&"a".repeat(33), "larger than 128 bits"),
            ("", "missing"),
        ] {
            let message = parse_trace_id(id).expect_err(id);
            assert!(message.contains(expected), "{id}: {message}");
        }
    }

    #[test]
    fn a_range_must_be_one() {
        assert_eq!(check("1", "start=10&end=20"), Ok(1));
        assert_eq!(check("1", "start=10"), Ok(1));
        assert_eq!(check("1", "start=&end="), Ok(1));
        for query in ["start=x", "end=1.5", "start=20&end=10", "start=10&end=10"] {
            assert!(check("1", query).is_err(), "{query}");
        }
    }
}
