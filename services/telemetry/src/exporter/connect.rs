//! The HTTP client under both protocols, and its TLS.
//!
//! Called by `exporter` once a receiver.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::uri::Scheme;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

use crate::settings::{ExporterSettings, Protocol};

/// An HTTP/2 connection whose requests get no answer is probed this often, and
/// closed when a probe gets none for as long: a peer that vanished is noticed.
const PROBE_EVERY: Duration = Duration::from_secs(5);

pub(super) type Client = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Why no connection to a receiver can ever be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The file of `OTEL_EXPORTER_OTLP_CERTIFICATE`.
    #[error(
        "the certificate file {} cannot be read: {source}; OTEL_EXPORTER_OTLP_CERTIFICATE must name a PEM file",
        path.display()
    )]
    Certificate {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: pem::Error,
    },
    /// The file holds no certificate that can be trusted.
    #[error(
        "the certificate file {} holds no usable certificate: {why}; OTEL_EXPORTER_OTLP_CERTIFICATE must name a PEM file with one",
        path.display()
    )]
    NoCertificate {
        /// The file.
        path: PathBuf,
        /// What was found instead.
        why: String,
    },
    /// An `https` endpoint, and the system trusts nobody.
    #[error(
        "no certificate authority was found on this system ({why}); set OTEL_EXPORTER_OTLP_CERTIFICATE to a PEM file"
    )]
    NoSystemRoots {
        /// What was found instead.
        why: String,
    },
    /// The TLS library refuses its configuration.
    #[error("TLS cannot be set up: {0}")]
    Tls(#[from] rustls::Error),
}

pub(super) fn client(settings: &ExporterSettings) -> Result<Client, ConnectError> {
    let tls = tls_config(settings)?;
    let mut tcp = HttpConnector::new();
    tcp.set_nodelay(true);
    tcp.enforce_http(false);
    tcp.set_connect_timeout(Some(settings.timeout));
    let connector = HttpsConnectorBuilder::new()
        .with_tls_config(tls)
        .https_or_http();
    let mut builder = legacy::Client::builder(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new());
    let connector = match settings.protocol {
        Protocol::Grpc => {
            builder
                .http2_only(true)
                .http2_keep_alive_interval(PROBE_EVERY)
                .http2_keep_alive_timeout(PROBE_EVERY);
            connector.enable_http2().wrap_connector(tcp)
        }
        Protocol::HttpProtobuf => connector.enable_http1().wrap_connector(tcp),
    };
    Ok(builder.build(connector))
}

/// The provider is named here, so that no process-wide default is needed.
fn tls_config(settings: &ExporterSettings) -> Result<ClientConfig, ConnectError> {
    let roots = if settings.endpoint.scheme() == Some(&Scheme::HTTPS) {
        trusted(settings)?
    } else {
        RootCertStore::empty()
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn trusted(settings: &ExporterSettings) -> Result<RootCertStore, ConnectError> {
    let mut roots = RootCertStore::empty();
    let Some(path) = &settings.certificate else {
        let found = rustls_native_certs::load_native_certs();
        let (usable, unusable) = roots.add_parsable_certificates(found.certs);
        if usable == 0 {
            let why = format!("{unusable} unusable, {} unreadable", found.errors.len());
            return Err(ConnectError::NoSystemRoots { why });
        }
        return Ok(roots);
    };
    let unreadable = |source| ConnectError::Certificate {
        path: path.clone(),
        source,
    };
    let unusable = |why: String| ConnectError::NoCertificate {
        path: path.clone(),
        why,
    };
    for certificate in CertificateDer::pem_file_iter(path).map_err(unreadable)? {
        roots
            .add(certificate.map_err(unreadable)?)
            .map_err(|error| unusable(error.to_string()))?;
    }
    if roots.is_empty() {
        return Err(unusable("the file has no CERTIFICATE section".to_owned()));
    }
    Ok(roots)
}

/// The error and its causes in one line: the client's own texts say "client
/// error (Connect)" and keep the reason one level down.
pub(super) fn explain(error: &legacy::Error) -> String {
    let mut line = if error.is_connect() {
        "cannot connect".to_owned()
    } else {
        "the connection broke off".to_owned()
    };
    let mut cause: Option<&(dyn Error + 'static)> = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        // A wrapper often repeats what it wraps.
        if !line.ends_with(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = match error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
        {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    line
}
