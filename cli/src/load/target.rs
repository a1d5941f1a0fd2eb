//! The URL a load is sent to, read once and strictly, and split into what a
//! connection needs. Called by `plan` and by the argument parser of `cmd::load`.

use std::fmt;
use std::str::FromStr;

use http::{HeaderValue, Uri};
use url::Url;

/// The route asked for where a target names none: the demo's main one.
pub const DEFAULT_PATH: &str = "/api/process";

/// Where requests go: an absolute `http` or `https` URL with a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    url: Url,
    host: String,
    port: u16,
    host_header: HeaderValue,
    origin_form: Uri,
}

/// Why a text is no target.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TargetError {
    /// No scheme, as in `localhost:5000`.
    #[error("the scheme is missing: write http://{0}")]
    NoScheme(String),
    /// A scheme that this program does not speak.
    #[error("scheme \"{0}\" is not supported: use http or https")]
    Scheme(String),
    /// User information in the URL, which would be sent nowhere.
    #[error("user name and password in the URL are not supported: leave out the part before \"@\"")]
    Credentials,
    /// A port that nothing can listen on.
    #[error("port 0 cannot be connected to: name the port the service listens on")]
    PortZero,
    /// Anything else, in the words of the URL parser (WHATWG URL).
    #[error("{0}: write it as http://host:port/path")]
    Malformed(String),
}

impl Target {
    /// The whole URL, as it is requested.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Host name or address to connect to, IPv6 without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Port to connect to, the scheme's own where the URL names none.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether the connection is TLS.
    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Value of the `Host` header (RFC 9110 §7.2): no port where it is the
    /// scheme's own.
    pub fn host_header(&self) -> &HeaderValue {
        &self.host_header
    }

    /// Path and query: the request target in origin form (RFC 9112 §3.2.1).
    pub fn origin_form(&self) -> &Uri {
        &self.origin_form
    }

    /// The path alone, percent-encoded.
    pub fn path(&self) -> &str {
        self.url.path()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.url.fmt(f)
    }
}

impl FromStr for Target {
    type Err = TargetError;

    /// A text without a path means [`DEFAULT_PATH`]; one with a path, a lone
    /// `/` too, means that very URL.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let mut url = parse_base(text)?;
        if !names_a_path(text) {
            url.set_path(DEFAULT_PATH);
        }
        url.set_fragment(None);
        let malformed = |what: &str| TargetError::Malformed(what.to_owned());
        let bracketed = url.host_str().ok_or_else(|| malformed("it has no host"))?;
        let host = bracketed.trim_matches(['[', ']']).to_owned();
        let port = url
            .port_or_known_default()
            .ok_or_else(|| malformed("it has no port"))?;
        let authority = match url.port() {
            Some(port) => format!("{bracketed}:{port}"),
            None => bracketed.to_owned(),
        };
        let host_header =
            HeaderValue::from_str(&authority).map_err(|_| malformed("its host is not ASCII"))?;
        let origin = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        let origin_form = Uri::try_from(origin).map_err(|error| malformed(&error.to_string()))?;
        Ok(Self {
            url,
            host,
            port,
            host_header,
            origin_form,
        })
    }
}

/// Reads an absolute http(s) URL without credentials; shared with the other
/// flags that take a base URL.
pub fn parse_base(text: &str) -> Result<Url, TargetError> {
    let text = text.trim();
    if !text.contains("://") && !text.is_empty() {
        return Err(TargetError::NoScheme(text.to_owned()));
    }
    let url = Url::parse(text).map_err(|error| TargetError::Malformed(error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(TargetError::Scheme(url.scheme().to_owned()));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(TargetError::Credentials);
    }
    if url.port() == Some(0) {
        return Err(TargetError::PortZero);
    }
    Ok(url)
}

/// The URL parser gives every http URL the path `/`, so whether one was
/// written has to be read from the text.
fn names_a_path(text: &str) -> bool {
    text.split_once("://")
        .and_then(|(_, rest)| rest.find(['/', '?', '#']).map(|at| rest.as_bytes()[at]))
        == Some(b'/')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(text: &str) -> Target {
        text.parse().expect("a good URL")
    }

    #[test]
    fn a_target_without_a_path_means_the_main_route() {
        assert_eq!(
            target("http://host:5000").url().as_str(),
            "http://host:5000/api/process"
        );
        assert_eq!(
            target("http://host?a=1").origin_form(),
            &"/api/process?a=1".parse::<Uri>().unwrap()
        );
    }

    #[test]
    fn a_written_path_is_kept_even_a_lone_slash() {
        assert_eq!(target("http://host:5000/").path(), "/");
        assert_eq!(
            target("http://host/a%20b?q=%7B").origin_form(),
            "/a%20b?q=%7B"
        );
        assert_eq!(target("http://host/x#part").origin_form(), "/x");
    }

    #[test]
    fn host_header_and_address_follow_the_rfc() {
        let v6 = target("http://[::1]:5000");
        assert_eq!((v6.host(), v6.port()), ("::1", 5000));
        assert_eq!(v6.host_header(), "[::1]:5000");
        let https = target("https://example.com:443/");
        assert_eq!((https.port(), https.is_https()), (443, true));
        assert_eq!(https.host_header(), "example.com");
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_to_do() {
        for (text, part) in [
            ("localhost:5000", "write http://localhost:5000"),
            ("ftp://host/", "use http or https"),
            ("http://", "empty host"),
            ("http://host:99999", "invalid port"),
            ("http://host:0", "port 0"),
            ("http://user:pw@host/", "password"),
            ("", "write it as"),
            ("http://a b/", "write it as"),
        ] {
            let error = text.parse::<Target>().expect_err(text).to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }
}
