//! Routes that say that the store is there: `/ready`, `/api/echo`, `/api/status/buildinfo`.

use http::{Response, StatusCode};
use serde_json::json;

use super::JSON;
use crate::server::{Body, answer, plain_text};

pub(super) fn ready(stopping: bool) -> Response<Body> {
    if stopping {
        plain_text(StatusCode::SERVICE_UNAVAILABLE, "Application is stopping\n")
    } else {
        plain_text(StatusCode::OK, "ready\n")
    }
}

/// What Grafana's "Save & test" asks for.
pub(super) fn echo() -> Response<Body> {
    plain_text(StatusCode::OK, "echo\n")
}

/// The fields are Tempo's; there is no Go in here, and no build machine to name.
pub(super) fn build_info() -> Response<Body> {
    let info = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "revision": "",
        "branch": "",
        "buildUser": "",
        "buildDate": "",
        "goVersion": "",
    });
    answer(StatusCode::OK, JSON, info.to_string())
}
