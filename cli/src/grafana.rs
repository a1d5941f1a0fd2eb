//! Asks Grafana for its Tempo data source, where no uid is given. Called by
//! `cmd::trace_link`.

use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use url::Url;

use crate::tempo::innermost;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Grafana did not say which data source is Tempo's.
#[derive(Debug, thiserror::Error)]
pub enum GrafanaError {
    /// It could not be reached, or answered something else.
    #[error("GET {url}: {}", innermost(.source))]
    Transport {
        /// What was asked.
        url: String,
        /// What happened.
        source: reqwest::Error,
    },
    /// It said no.
    #[error(
        "GET {url} was answered {status}: put a token that may read data sources into a --header-file, or give --grafana-datasource-uid"
    )]
    Refused {
        /// What was asked.
        url: String,
        /// Its status.
        status: StatusCode,
    },
    /// It has none.
    #[error("{url} lists no data source of type tempo")]
    None {
        /// What was asked.
        url: String,
    },
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct DataSource {
    uid: String,
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    is_default: bool,
}

/// The uid of the Tempo data source of the Grafana at `base`: the default one,
/// else the first of that type.
///
/// # Errors
/// See [`GrafanaError`].
pub async fn tempo_datasource(base: &Url, headers: HeaderMap) -> Result<String, GrafanaError> {
    let url = format!("{}/api/datasources", base.as_str().trim_end_matches('/'));
    let transport = |source: reqwest::Error| GrafanaError::Transport {
        url: url.clone(),
        source: source.without_url(),
    };
    let client = reqwest::Client::builder()
        .default_headers(headers)
        .timeout(TIMEOUT)
        .build()
        .map_err(transport)?;
    let answer = client.get(&url).send().await.map_err(transport)?;
    let status = answer.status();
    if !status.is_success() {
        return Err(GrafanaError::Refused { url, status });
    }
    let sources: Vec<DataSource> = answer.json().await.map_err(transport)?;
    pick(sources).ok_or(GrafanaError::None { url })
}

fn pick(sources: Vec<DataSource>) -> Option<String> {
    let mut tempos = sources.into_iter().filter(|source| source.kind == "tempo");
    let first = tempos.next()?;
    if first.is_default {
        return Some(first.uid);
    }
    let default = tempos.find(|source| source.is_default);
    Some(default.unwrap_or(first).uid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_tempo_wins_over_the_first() {
        let list = r#"[{"uid":"p","type":"prometheus","isDefault":true},
            {"uid":"a","type":"tempo"},{"uid":"b","type":"tempo","isDefault":true}]"#;
        assert_eq!(
            pick(serde_json::from_str(list).unwrap()).as_deref(),
            Some("b")
        );
        let list = r#"[{"uid":"a","type":"tempo"},{"uid":"b","type":"tempo"}]"#;
        assert_eq!(
            pick(serde_json::from_str(list).unwrap()).as_deref(),
            Some("a")
        );
        assert_eq!(pick(Vec::new()), None);
    }
}
