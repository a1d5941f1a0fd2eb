//! Where the next tier is: a base URL, checked once, and the forms of it that a request, a span and a person need.
//! Read by `settings`, used by `client` and the info routes.

use std::fmt;
use std::str::FromStr;

use http::{HeaderValue, Uri};
use url::Url;

/// The base URL of the next tier: `http`, a host, perhaps credentials and a path that goes before the routes.
///
/// ```
/// use tdemo_services::BaseUrl;
///
/// let base: BaseUrl = "http://gateway:8080/demo/".parse()?;
/// assert_eq!(base.to_string(), "http://gateway:8080/demo");
/// assert!("https://gateway".parse::<BaseUrl>().is_err());
/// # Ok::<(), tdemo_services::BaseUrlError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl(Url);

/// Why a text is no [`BaseUrl`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BaseUrlError {
    /// It cannot be read as a URL.
    #[error("not a URL ({0}); give one like http://127.0.0.1:5001")]
    Malformed(#[from] url::ParseError),
    /// It asks for something that the services do not speak.
    #[error("the services speak plain http:// to each other, and {0}:// was given")]
    Scheme(String),
    /// A query or a fragment has no meaning in a base URL.
    #[error("a base URL has no query and no fragment")]
    Extra,
}

impl FromStr for BaseUrl {
    type Err = BaseUrlError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let url = Url::parse(text)?;
        if url.scheme() != "http" {
            return Err(BaseUrlError::Scheme(url.scheme().to_owned()));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(BaseUrlError::Extra);
        }
        Ok(Self(url))
    }
}

impl fmt::Display for BaseUrl {
    /// Credentials are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(crate::redact::url(&self.0).trim_end_matches('/'))
    }
}

impl BaseUrl {
    /// The URL of `path` (which begins with `/`) under this base.
    pub(crate) fn join(&self, path: &str) -> Url {
        let mut url = self.0.clone();
        url.set_path(&format!("{}{path}", self.0.path().trim_end_matches('/')));
        url
    }

    /// What hyper's client and the `Host` header need for `path`: the URL without credentials, and its authority.
    pub(crate) fn request_parts(&self, path: &str) -> (Uri, HeaderValue) {
        let url = self.join(path);
        let authority = match url.port() {
            Some(port) => format!("{}:{port}", self.host_in_url()),
            None => self.host_in_url().to_owned(),
        };
        let host = HeaderValue::from_str(&authority).expect("a parsed host is ASCII");
        let uri = Uri::builder()
            .scheme("http")
            .authority(authority)
            .path_and_query(url.path())
            .build();
        (uri.expect("the parts of a parsed URL make one"), host)
    }

    fn host_in_url(&self) -> &str {
        self.0
            .host_str()
            .expect("an http URL always has a host (WHATWG URL)")
    }

    /// The host without the brackets of an IPv6 address, as `server.address` has it.
    pub(crate) fn host(&self) -> &str {
        self.host_in_url().trim_matches(['[', ']'])
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(80)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_urls_keep_their_path_and_hide_their_credentials() {
        let base: BaseUrl = "http://me:secret@[::1]:81/demo/".parse().unwrap();
        assert_eq!(
            base.join("/api/data").as_str(),
            "http://me:secret@[::1]:81/demo/api/data"
        );
        let (uri, host) = base.request_parts("/api/data");
        assert_eq!(
            (uri.to_string().as_str(), host.to_str().unwrap()),
            ("http://[::1]:81/demo/api/data", "[::1]:81")
        );
        assert_eq!((base.host(), base.port()), ("::1", 81));
        assert!(!base.to_string().contains("secret"));
    }
}
