//! The gRPC channel under the OTLP exporter: one HTTP/2 connection, made when it
//! is needed, whose every wait has an end.
//!
//! Called by `exporter` once a receiver.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::Uri;
use hyper_util::client::legacy::connect::HttpConnector;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tower::Service as _;

use super::{USER_AGENT, trust};
use crate::settings::ExporterSettings;

/// A connection whose requests get no answer is probed this often, and closed
/// when a probe gets none for as long: a peer that vanished is noticed.
const PROBE_EVERY: Duration = Duration::from_secs(5);

pub(super) fn endpoint(settings: &ExporterSettings) -> Result<Endpoint, trust::ConnectError> {
    let roots = trust::roots(settings)?;
    let endpoint = Endpoint::from(settings.endpoint.clone())
        .user_agent(USER_AGENT)?
        .timeout(settings.timeout)
        .connect_timeout(settings.timeout)
        .http2_keep_alive_interval(PROBE_EVERY)
        .keep_alive_timeout(PROBE_EVERY);
    if roots.is_empty() {
        return Ok(endpoint);
    }
    let tls = ClientTlsConfig::new()
        .trust_anchors(roots.roots)
        .timeout(settings.timeout);
    Ok(endpoint.tls_config(tls)?)
}

/// Why the last connection could not be made, until one could: the exporter
/// does not tell it before a batch is given up.
#[derive(Clone, Debug, Default)]
pub(super) struct LastTry(Arc<Mutex<Option<String>>>);

impl LastTry {
    pub(super) fn failure(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, failure: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = failure;
    }
}

/// Must be called inside the runtime that is going to hold the connection.
pub(super) fn channel(endpoint: &Endpoint, last_try: &LastTry) -> Channel {
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    let last_try = last_try.clone();
    endpoint.connect_with_connector_lazy(tower::service_fn(move |receiver: Uri| {
        let connecting = tcp.call(receiver);
        let last_try = last_try.clone();
        async move {
            let connected = connecting.await;
            last_try.set(connected.as_ref().err().map(|error| explain(error)));
            connected
        }
    }))
}

/// The error and its causes in one line.
fn explain(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
