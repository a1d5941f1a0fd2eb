//! The caller's own span: a CLIENT span of service `tdemo`, exported so that
//! the service's span has a parent that is there. Called by `gather`.

use std::time::Duration;

use opentelemetry::trace::{SpanBuilder, SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use tdemo_telemetry::settings::ExporterSettings;
use tdemo_telemetry::{ResourceInfo, StartError, Telemetry, TelemetrySettings};
use tdemo_trace::{SpanId, TraceId};
use url::Url;

use super::evidence::Sent;

/// The service that this program is in a trace.
const SERVICE: &str = "tdemo";

/// The span, under way.
#[derive(Debug)]
pub(super) struct OwnSpan {
    telemetry: Telemetry,
    context: Context,
}

impl OwnSpan {
    /// Starts the span of a request to `url`.
    ///
    /// # Errors
    /// The exporter cannot be set up.
    pub(super) fn start(
        exporter: ExporterSettings,
        method: &'static str,
        url: &Url,
    ) -> Result<Self, StartError> {
        let settings = TelemetrySettings {
            exporter,
            ..TelemetrySettings::default()
        };
        let resource = ResourceInfo::new(SERVICE, env!("CARGO_PKG_VERSION"));
        let telemetry = Telemetry::start(settings, resource)?;
        let mut attributes = vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.full", url.to_string()),
        ];
        if let (Some(host), Some(port)) = (url.host_str(), url.port_or_known_default()) {
            attributes.push(KeyValue::new("server.address", host.to_owned()));
            attributes.push(KeyValue::new("server.port", i64::from(port)));
        }
        let span = SpanBuilder::from_name(method)
            .with_kind(SpanKind::Client)
            .with_attributes(attributes);
        let context = telemetry.start_span(span, &Context::new());
        Ok(Self { telemetry, context })
    }

    /// What goes into the request's `traceparent`.
    pub(super) fn sent(&self) -> Sent {
        let span = self.context.span();
        let context = span.span_context();
        Sent {
            trace_id: TraceId(context.trace_id().to_bytes()),
            span_id: SpanId(context.span_id().to_bytes()),
            flags: context.trace_flags().to_u8(),
            exported: true,
        }
    }

    /// Ends the span and sends it; says whether it arrived.
    pub(super) async fn finish(self, status: Option<u16>, deadline: Duration) -> bool {
        let span = self.context.span();
        if let Some(status) = status {
            let status = i64::from(status);
            span.set_attribute(KeyValue::new("http.response.status_code", status));
        }
        span.end();
        let report = self.telemetry.shutdown(deadline).await;
        report.ledger.exported == 1
    }
}
