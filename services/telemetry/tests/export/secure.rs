//! TLS, with an authority made for the test.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tdemo_telemetry::settings::Protocol;
use tdemo_telemetry::{ResourceInfo, Telemetry};
use tokio_rustls::TlsAcceptor;

use super::receiver::{PROTOCOLS, Receiver};
use super::{block_on, emit, flush, settings, start};

/// An authority; its certificate lies in a file of its own.
struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
    directory: tempfile::TempDir,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let issuer = CertifiedIssuer::self_signed(params, key).unwrap();
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("ca.pem"), issuer.pem()).unwrap();
        Self { issuer, directory }
    }

    fn file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A server for `localhost` that speaks what the protocol needs.
    fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        config.alpn_protocols = vec![match protocol {
            Protocol::Grpc => b"h2".to_vec(),
            Protocol::HttpProtobuf => b"http/1.1".to_vec(),
        }];
        TlsAcceptor::from(Arc::new(config))
    }
}

#[test]
fn spans_arrive_by_tls() {
    for protocol in PROTOCOLS {
        let authority = Authority::new();
        let receiver = Receiver::start_with(protocol, Some(authority.acceptor(protocol)));
        let mut exporter = receiver.settings();
        exporter.certificate = Some(authority.file());
        let telemetry = start(settings(exporter));
        emit(&telemetry, 10);
        assert_eq!(flush(&telemetry).exported, 10);
    }
}

#[test]
fn a_receiver_of_another_authority_gets_nothing() {
    for protocol in PROTOCOLS {
        let (authority, other) = (Authority::new(), Authority::new());
        let receiver = Receiver::start_with(protocol, Some(authority.acceptor(protocol)));
        let mut exporter = receiver.settings();
        exporter.certificate = Some(other.file());
        let telemetry = start(settings(exporter));
        emit(&telemetry, 10);
        let report = block_on(telemetry.shutdown(Duration::from_millis(500)));
        assert_eq!((report.in_time, report.abandoned), (false, 10));
        assert!(receiver.seen().is_empty());
    }
}

#[test]
fn a_certificate_file_that_cannot_be_used_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let empty = directory.path().join("empty.pem");
    std::fs::write(&empty, "nothing").unwrap();
    for path in [directory.path().join("missing.pem"), empty] {
        let authority = Authority::new();
        let acceptor = authority.acceptor(PROTOCOLS[0]);
        let receiver = Receiver::start_with(PROTOCOLS[0], Some(acceptor));
        let mut exporter = receiver.settings();
        exporter.certificate = Some(path.clone());
        let info = ResourceInfo::new("test", "1");
        let error = Telemetry::start(settings(exporter), info).unwrap_err();
        let line = error.to_string();
        assert!(line.contains(path.to_str().unwrap()), "{line}");
        assert!(line.contains("OTEL_EXPORTER_OTLP_CERTIFICATE"), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
}
