//! Whom to trust: the certificate authorities of a receiver's TLS, for both
//! protocols.
//!
//! Called by `exporter` once a receiver, before anything is connected.

use std::path::PathBuf;
use std::sync::Arc;

use http::uri::Scheme;
use opentelemetry_otlp::ExporterBuildError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};

use crate::settings::ExporterSettings;

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
    /// The gRPC transport refuses its configuration.
    #[error("gRPC cannot be set up: {0}")]
    Grpc(#[from] tonic::transport::Error),
    /// The HTTP client refuses its configuration.
    #[error("HTTP cannot be set up: {0}")]
    Http(#[from] reqwest::Error),
    /// The OTLP exporter refuses its configuration.
    #[error("the exporter cannot be set up: {0}")]
    Exporter(#[from] ExporterBuildError),
}

/// The authorities to trust; none where the endpoint is plain HTTP.
pub(super) fn roots(settings: &ExporterSettings) -> Result<RootCertStore, ConnectError> {
    if settings.endpoint.scheme() == Some(&Scheme::HTTPS) {
        trusted(settings)
    } else {
        Ok(RootCertStore::empty())
    }
}

/// The provider is named here, so that no process-wide default is needed.
pub(super) fn client_config(roots: RootCertStore) -> Result<ClientConfig, ConnectError> {
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
