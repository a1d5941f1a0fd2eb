//! The two ends of one connection, in the form the spans want. Made by `server` at each accept.

use std::net::SocketAddr;
use std::sync::Arc;

use http::uri::Authority;
use http::{header, request};

/// Who is at the other end of a connection, and where it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    /// `client.address`: the other end of the socket. A `Forwarded` header, which anyone can write, is not believed.
    pub(crate) client: Arc<str>,
    local: SocketAddr,
}

impl Peer {
    pub(crate) fn new(remote: SocketAddr, local: SocketAddr) -> Self {
        Self {
            client: remote.ip().to_canonical().to_string().into(),
            local,
        }
    }

    /// `server.address` and `server.port`: what the caller asked for, or, where it did not say, where it arrived.
    pub(crate) fn server(&self, request: &request::Parts) -> (String, u16) {
        let asked = request.uri.authority().cloned().or_else(|| {
            let host = request.headers.get(header::HOST)?;
            Authority::try_from(host.as_bytes()).ok()
        });
        match asked {
            Some(authority) => {
                let host = authority.host().trim_matches(['[', ']']).to_owned();
                (host, authority.port_u16().unwrap_or(80))
            }
            None => (
                self.local.ip().to_canonical().to_string(),
                self.local.port(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_that_was_asked_for_or_the_socket() {
        let peer = Peer::new(
            "[::ffff:10.0.0.1]:4000".parse().unwrap(),
            "127.0.0.1:5000".parse().unwrap(),
        );
        assert_eq!(&*peer.client, "10.0.0.1");
        let server = |uri: &str, host: &[u8]| {
            let request = http::Request::builder()
                .uri(uri)
                .header("host", host)
                .body(())
                .unwrap();
            peer.server(&request.into_parts().0)
        };
        assert_eq!(
            server("/", b"demo.example"),
            ("demo.example".to_owned(), 80)
        );
        assert_eq!(server("/", b"[::1]:81"), ("::1".to_owned(), 81));
        assert_eq!(
            server("http://other:82/", b"demo.example"),
            ("other".to_owned(), 82)
        );
        for bad in [&b"a b"[..], b"", b"\xff", b"host:99999"] {
            let (host, port) = server("/", bad);
            assert!(!host.is_empty() && port > 0, "{bad:?} gave {host}:{port}");
        }
    }
}
