//! The backend: pretends to query a database. Called by `tier::handle`.

use bytes::Bytes;
use opentelemetry::trace::TraceContextExt;
use opentelemetry::{Context, KeyValue};

use crate::answer::{self, HttpAnswer, Refusal};
use crate::app::Call;
use crate::instrument::internal;
use crate::work::millis;

/// `GET /api/data`
pub(crate) async fn data(call: &Call<'_>) -> Result<HttpAnswer, Refusal> {
    let mut attributes = Vec::with_capacity(4);
    attributes.push(KeyValue::new("backend.handler", "get_data"));
    attributes.push(KeyValue::new(
        "backend.query.type",
        "simulated_database_query",
    ));
    internal(call, "backend-get-data", attributes, async {
        let query_time_ms = millis(call.work().await?);
        Context::map_current(|cx| {
            cx.span()
                .set_attribute(KeyValue::new("backend.query.duration_ms", query_time_ms));
        });
        Ok(answer::json(body(query_time_ms, jiff::Timestamp::now())))
    })
    .await
}

fn body(query_time_ms: f64, now: jiff::Timestamp) -> Bytes {
    // `{:?}` prints a whole number as `100.0`, which keeps it a float for readers who care.
    format!(
        r#"{{"service":"backend","data":{{"id":12345,"value":"Sample data from backend service","timestamp":"{now}","query_time_ms":{query_time_ms:?}}}}}"#
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_body_is_json_with_a_float() {
        let now = "2026-11-22T10:04:26.051Z".parse().unwrap();
        for (time, text) in [
            (100.0, "100.0"),
            (0.0, "0.0"),
            (1e-7, "1e-7"),
            (60_000.123, "60000.123"),
        ] {
            let body = body(time, now);
            let expected = format!(
                r#"{{"service":"backend","data":{{"id":12345,"value":"Sample data from backend service","timestamp":"2026-11-22T10:04:26.051Z","query_time_ms":{text}}}}}"#
            );
            assert_eq!(body, expected);
            serde_json::from_slice::<serde_json::Value>(&body).unwrap();
        }
    }
}
