//! The TLS client configuration for `https` targets. Called by `http`.

use std::sync::Arc;

use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};

/// Why TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// The machine trusts nobody, so no certificate can be checked.
    #[error(
        "no trusted root certificates were found on this machine ({0}): install \
         ca-certificates, or name a PEM file in SSL_CERT_FILE"
    )]
    NoRoots(String),
    /// The cryptography provider does not do what TLS needs.
    #[error("TLS cannot be set up: {0}")]
    Provider(#[from] rustls::Error),
}

/// Trusts the machine's roots (or those of `SSL_CERT_FILE`) and offers HTTP/1.1
/// alone.
pub fn client_config() -> Result<Arc<ClientConfig>, TlsError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why = found
            .errors
            .first()
            .map_or_else(|| "none installed".to_owned(), ToString::to_string);
        return Err(TlsError::NoRoots(why));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
