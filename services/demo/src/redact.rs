//! Keeps secrets out of `url.full` and `url.query`, as the HTTP semantic conventions ask (attribute `url.full`, note 1):
//! credentials before the host, and the values of query keys that are known to carry a signature or a key.
//! Used by `instrument` for what callers send and by `client` for the next tier's URL.

use std::borrow::Cow;

const REDACTED: &str = "REDACTED";

/// Query keys whose values are secrets: the conventions' list, and the two it held before (case-sensitive).
const SENSITIVE: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "sig",
    "Signature",
    "AWSAccessKeyId",
];

/// `query` (without its `?`) with the values of sensitive keys replaced; borrowed when there is none.
pub(crate) fn query(query: &str) -> Cow<'_, str> {
    if !query.split('&').any(is_sensitive) {
        return Cow::Borrowed(query);
    }
    let redacted = query.split('&').map(|pair| match pair.split_once('=') {
        Some((key, _)) if is_sensitive(pair) => Cow::Owned(format!("{key}={REDACTED}")),
        _ => Cow::Borrowed(pair),
    });
    Cow::Owned(redacted.collect::<Vec<_>>().join("&"))
}

fn is_sensitive(pair: &str) -> bool {
    let Some((key, _)) = pair.split_once('=') else {
        return false;
    };
    // A key may be percent-encoded to slip past: `%73ig` is `sig`.
    let key = percent_encoding::percent_decode_str(key).decode_utf8_lossy();
    SENSITIVE.contains(&key.as_ref())
}

/// `url` with user name and password replaced, and its query as [`query`] has it.
pub(crate) fn url(url: &url::Url) -> String {
    let mut clean = url.clone();
    let user = if url.username().is_empty() {
        ""
    } else {
        REDACTED
    };
    let password = url.password().map(|_| REDACTED);
    // Both setters refuse a URL that has no host, and such a URL has no credentials either.
    let _ = clean.set_username(user);
    let _ = clean.set_password(password);
    clean.set_query(url.query().map(query).as_deref());
    clean.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitive_values_go_and_all_else_stays() {
        assert_eq!(
            query("q=OpenTelemetry&sig=abc"),
            "q=OpenTelemetry&sig=REDACTED"
        );
        assert_eq!(query("%73ig=abc&&a"), "%73ig=REDACTED&&a");
        assert_eq!(
            query("X-Amz-Credential=a=b&X-Amz-Date=1"),
            "X-Amz-Credential=REDACTED&X-Amz-Date=1"
        );
        for plain in ["", "q=1", "Sig=abc", "sig", "design=1"] {
            assert!(
                matches!(query(plain), Cow::Borrowed(text) if text == plain),
                "{plain}"
            );
        }
    }

    #[test]
    fn credentials_never_show() {
        let full = |text: &str| url(&url::Url::parse(text).unwrap());
        assert_eq!(
            full("http://me:secret@host:1/a?sig=x"),
            "http://REDACTED:REDACTED@host:1/a?sig=REDACTED"
        );
        assert_eq!(full("http://me@host/"), "http://REDACTED@host/");
        assert_eq!(
            full("http://host:5001/api/transform"),
            "http://host:5001/api/transform"
        );
    }
}
