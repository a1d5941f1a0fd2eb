//! The middleware: transforms the frontend's data and enriches it with the backend's. Called by `tier::handle`.

use bytes::Bytes;
use opentelemetry::{Array, KeyValue, StringValue, Value};

use crate::answer::{self, HttpAnswer, Refusal};
use crate::app::Call;
use crate::body;
use crate::instrument::internal;
use crate::work::millis;

/// The attribute that holds the status of the backend's answer.
const STATUS: &str = "middleware.backend.status";

/// `POST /api/transform`
pub(crate) async fn transform(call: &mut Call<'_>) -> Result<HttpAnswer, Refusal> {
    let original = body::read_json(call.headers, call.body, call.app.body_limits).await?;
    let call = &*call;
    let keys = original.keys().into_iter().map(StringValue::from).collect();
    let mut attributes = Vec::with_capacity(4);
    attributes.push(KeyValue::new("middleware.handler", "transform"));
    attributes.push(KeyValue::new(
        "middleware.input.keys",
        Value::Array(Array::String(keys)),
    ));
    internal(call, "middleware-transform", attributes, async {
        let work = call.work().await?;
        let reply = call.next(Bytes::new(), STATUS).await?;
        let head = br#"{"middleware_processed":true,"original_data":"#;
        let tail = format!(r#","transformation_time_ms":{}}}"#, millis(work));
        Ok(answer::json(answer::concat(&[
            head,
            original.bytes(),
            br#","backend_data":"#,
            reply.body.bytes(),
            tail.as_bytes(),
        ])))
    })
    .await
}
