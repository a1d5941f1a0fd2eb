//! What the three tiers do: one file each for its work, and the routes that all of them have. Called by `server`.

use std::fmt::Write as _;

use bytes::Bytes;

use crate::answer::{self, HttpAnswer, Refusal};
use crate::app::Call;
use crate::route::{Route, Tier};
use crate::settings::Settings;

mod backend;
mod frontend;
mod middleware;

/// Answers one traced request to a route that exists and takes its method.
pub(crate) async fn handle(route: Route, call: &mut Call<'_>) -> Result<HttpAnswer, Refusal> {
    match route {
        Route::Process => frontend::process(call).await,
        Route::Transform => middleware::transform(call).await,
        Route::Data => backend::data(call).await,
        Route::Info | Route::Health | Route::Metrics => Ok(answer::json(call.app.info.clone())),
    }
}

/// The body of `GET /`; `traced` is false where the SDK is switched off.
pub(crate) fn info(settings: &Settings, traced: bool) -> Bytes {
    let tier = settings.tier;
    let version = env!("CARGO_PKG_VERSION");
    // Writing to a String cannot fail.
    let mut info = format!(
        r#"{{"service":"{tier}","version":"{version}","message":"Tracing demo {tier} service""#
    );
    if tier == Tier::Frontend {
        let _ = write!(info, r#","trace_enabled":{traced}"#);
    }
    if let Some(next) = tier.next() {
        let url = serde_json::Value::String(settings.next_url().to_string());
        let _ = write!(info, r#","{next}_url":{url}"#);
    }
    info.push('}');
    info.into()
}
