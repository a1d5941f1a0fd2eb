//! The frontend: takes the user's request to the middleware. Called by `tier::handle`.

use http::Method;
use opentelemetry::KeyValue;

use crate::answer::{self, HttpAnswer, Refusal};
use crate::app::Call;
use crate::body::{self, Json};
use crate::instrument::internal;

/// The attribute that holds the status of the middleware's answer.
const STATUS: &str = "frontend.middleware.status";

/// What a GET, which brings no data, sends on.
const GET_DATA: Json = Json::from_static(r#"{"source":"GET request"}"#);

/// `GET` and `POST /api/process`
pub(crate) async fn process(call: &mut Call<'_>) -> Result<HttpAnswer, Refusal> {
    let (method, data) = if *call.method == Method::POST {
        (
            "POST",
            body::read_json(call.headers, call.body, call.app.body_limits).await?,
        )
    } else {
        ("GET", GET_DATA)
    };
    let call = &*call;
    let mut attributes = Vec::with_capacity(4);
    attributes.push(KeyValue::new("frontend.handler", "process"));
    attributes.push(KeyValue::new("frontend.request.method", method));
    internal(call, "frontend-process", attributes, async {
        call.work().await?;
        let reply = call.next(data.bytes().clone(), STATUS).await?;
        Ok(answer::json(answer::concat(&[
            br#"{"service":"frontend","status":"success","request_data":"#,
            data.bytes(),
            br#","middleware_response":"#,
            reply.body.bytes(),
            b"}",
        ])))
    })
    .await
}
