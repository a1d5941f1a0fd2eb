//! Request headers for the backends, from a file or a variable: the only way
//! in for secrets, which are never printed.
//!
//! A header file has one `Name: value` a line. Empty lines and lines that
//! begin with `#` are skipped. A line `[tempo]` (or `[otlp]`, `[grafana]`,
//! `[loki]`) begins a part that only this backend is sent; what stands before
//! any such line goes to all four. `TDEMO_HEADERS` has the form of
//! `OTEL_EXPORTER_OTLP_HEADERS`: `name=value,name=value`, percent-encoded,
//! and goes to all four.

use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;

use super::ConfigError;

/// The variable that holds headers.
pub(super) const HEADERS_VARIABLE: &str = "TDEMO_HEADERS";

/// A backend that headers are sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// The OTLP endpoint.
    Otlp,
    /// The trace backend.
    Tempo,
    /// Grafana.
    Grafana,
    /// Loki.
    Loki,
}

impl Peer {
    const ALL: [Self; 4] = [Self::Otlp, Self::Tempo, Self::Grafana, Self::Loki];

    fn name(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Tempo => "tempo",
            Self::Grafana => "grafana",
            Self::Loki => "loki",
        }
    }
}

/// Headers, each for one backend or for all. Their values are marked
/// sensitive, so that no debug output shows them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Option<Peer>, HeaderName, HeaderValue)>);

impl Headers {
    /// What to send to `peer`.
    pub fn of(&self, peer: Peer) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (_, name, value) in self
            .0
            .iter()
            .filter(|(only, ..)| only.is_none_or(|only| only == peer))
        {
            map.append(name.clone(), value.clone());
        }
        map
    }

    /// The names of the headers, for people: `Authorization (tempo)`.
    pub fn names(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|(only, name, _)| match only {
                None => name.to_string(),
                Some(peer) => format!("{name} ({})", peer.name()),
            })
            .collect()
    }

    /// Reads a header file.
    ///
    /// # Errors
    /// It cannot be read, or a line of it is none of the above.
    pub fn read_file(&mut self, place: &str, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Unreadable {
            place: place.to_owned(),
            file: path.to_owned(),
            reason: error.to_string(),
        })?;
        let mut only = None;
        for (index, line) in text.lines().enumerate() {
            let at = || format!("{}, line {}", path.display(), index + 1);
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if let Some(part) = line
                .strip_prefix('[')
                .and_then(|line| line.strip_suffix(']'))
            {
                let peer = Peer::ALL
                    .into_iter()
                    .find(|peer| peer.name() == part.trim());
                only = Some(peer.ok_or_else(|| ConfigError::BadHeader {
                    place: at(),
                    reason: "a part is [otlp], [tempo], [grafana] or [loki]".to_owned(),
                })?);
                continue;
            }
            let (name, value) = line.split_once(':').ok_or_else(|| ConfigError::BadHeader {
                place: at(),
                reason: "a header is written as Name: value".to_owned(),
            })?;
            self.push(only, name, value.trim().as_bytes(), &at)?;
        }
        Ok(())
    }

    /// Reads the value of `TDEMO_HEADERS`.
    ///
    /// # Errors
    /// It is no list of `name=value`.
    pub fn read_variable(&mut self, text: &str) -> Result<(), ConfigError> {
        let at = || HEADERS_VARIABLE.to_owned();
        for entry in text
            .split(',')
            .map(str::trim)
            .filter(|entry| !entry.is_empty())
        {
            let (name, value) = entry
                .split_once('=')
                .ok_or_else(|| ConfigError::BadHeader {
                    place: at(),
                    reason: "headers are written as name=value,name=value".to_owned(),
                })?;
            let value: Vec<u8> = percent_decode_str(value.trim()).collect();
            self.push(None, name, &value, &at)?;
        }
        Ok(())
    }

    fn push(
        &mut self,
        only: Option<Peer>,
        name: &str,
        value: &[u8],
        at: &dyn Fn() -> String,
    ) -> Result<(), ConfigError> {
        let bad = |reason: &str| ConfigError::BadHeader {
            place: at(),
            reason: reason.to_owned(),
        };
        let name = HeaderName::try_from(name.trim())
            .map_err(|_| bad("what stands before the first separator is no header name"))?;
        let mut value = HeaderValue::from_bytes(value)
            .map_err(|_| bad("the value has characters that a header cannot carry"))?;
        value.set_sensitive(true);
        self.0.push((only, name, value));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_goes_to_everyone_or_to_the_one_whose_part_it_stands_in() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("headers");
        std::fs::write(
            &path,
            "# for all\nX-Team: a: b\n\n[tempo]\nAuthorization: Bearer s3cret\n[grafana]\nAuthorization: Bearer other\n",
        )
        .unwrap();
        let mut headers = Headers::default();
        headers.read_file("--header-file", &path).unwrap();
        headers.read_variable("x-more=a%20b, x-last = c").unwrap();

        let tempo = headers.of(Peer::Tempo);
        assert_eq!(tempo["x-team"], "a: b");
        assert_eq!(tempo["authorization"], "Bearer s3cret");
        assert_eq!(tempo["x-more"], "a b");
        assert_eq!(tempo["x-last"], "c");
        assert_eq!(headers.of(Peer::Grafana)["authorization"], "Bearer other");
        assert!(!headers.of(Peer::Loki).contains_key("authorization"));
        assert!(!format!("{headers:?}").contains("s3cret"), "never printed");
        assert_eq!(
            headers.names(),
            [
                "x-team",
                "authorization (tempo)",
                "authorization (grafana)",
                "x-more",
                "x-last"
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named_and_its_value_is_not_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("headers");
        for text in [
            "Bearer s3cret",
            "[nowhere s3cret]",
            "a b: s3cret",
            "a: s3cret\u{1}",
        ] {
            std::fs::write(&path, format!("\n{text}\n")).unwrap();
            let error = Headers::default()
                .read_file("--header-file", &path)
                .unwrap_err()
                .to_string();
            assert!(error.contains("headers, line 2: "), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
        let error = Headers::default().read_variable("s3cret").unwrap_err();
        assert_eq!(
            error.to_string(),
            "TDEMO_HEADERS: headers are written as name=value,name=value"
        );
    }
}
