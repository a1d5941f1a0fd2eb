//! The HTTP semantic conventions' spellings that the SERVER and CLIENT sides share: methods, protocol versions, span
//! names and the `exception` event. Pure; used by `instrument`, `client` and `metrics`.

use std::borrow::Cow;

use http::{Method, Version};
use opentelemetry::KeyValue;
use opentelemetry::trace::SpanRef;
use opentelemetry_semantic_conventions::attribute as semconv;

use crate::route::Route;

/// `http.request.method` of a method that the conventions do not know.
pub(crate) const OTHER: &str = "_OTHER";

/// `http.request.method`: the methods of RFC 9110, PATCH and QUERY by name, all else `_OTHER`.
pub(crate) fn known_method(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "CONNECT" => "CONNECT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        "PUT" => "PUT",
        "QUERY" => "QUERY",
        "TRACE" => "TRACE",
        _ => OTHER,
    }
}

/// The name of a SERVER span: method and route, the method alone where nothing matched, `HTTP` for an unknown method.
pub(crate) fn server_span_name(method: &'static str, route: Option<Route>) -> Cow<'static, str> {
    let method = if method == OTHER { "HTTP" } else { method };
    Cow::Borrowed(match (method, route) {
        (method, None) => method,
        ("GET", Some(Route::Info)) => "GET /",
        ("GET", Some(Route::Process)) => "GET /api/process",
        ("POST", Some(Route::Process)) => "POST /api/process",
        ("POST", Some(Route::Transform)) => "POST /api/transform",
        ("GET", Some(Route::Data)) => "GET /api/data",
        (method, Some(route)) => return Cow::Owned(format!("{method} {}", route.path())),
    })
}

/// `network.protocol.version`; only HTTP/1 is spoken here.
pub(crate) fn protocol_version(version: Version) -> &'static str {
    if version == Version::HTTP_10 {
        "1.0"
    } else {
        "1.1"
    }
}

/// The event that Tempo's users look for on a failed span.
pub(crate) fn add_exception(span: &SpanRef<'_>, kind: &str, message: &str) {
    let attributes = vec![
        KeyValue::new(semconv::EXCEPTION_TYPE, kind.to_owned()),
        KeyValue::new(semconv::EXCEPTION_MESSAGE, message.to_owned()),
    ];
    span.add_event("exception", attributes);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_known_and_unknown_methods() {
        let name = |method: &str, route| {
            server_span_name(known_method(&method.parse().unwrap()), route).into_owned()
        };
        assert_eq!(name("GET", Some(Route::Process)), "GET /api/process");
        assert_eq!(name("DELETE", Some(Route::Process)), "DELETE /api/process");
        assert_eq!(name("GET", None), "GET");
        assert_eq!(name("BREW", None), "HTTP");
        assert_eq!(name("get", Some(Route::Data)), "HTTP /api/data");
    }
}
