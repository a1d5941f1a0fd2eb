//! Which trace backend to read from, and reading from it: Tempo, Tempo behind
//! Grafana, a running `tdemo up`, or the saved runs. One order for every
//! command that takes an id: `cmd::trace`, `cmd::trace_link`, `cmd::smoke`.

use std::path::Path;

use tdemo_trace::{Trace, TraceId};
use url::Url;

use crate::config::{Chosen, Key, Peer, Settings};
use crate::ctx::Ctx;
use crate::exit::Failure;
use crate::runtime_dir::{Running, RuntimeDir};
use crate::saved::{self, Found, IdPrefix, SavedRuns};
use crate::tempo::{Tempo, TempoError};

/// A backend that answers, with what people call it.
#[derive(Debug, Clone)]
pub struct Backend {
    /// Its client.
    pub tempo: Tempo,
    /// The `tdemo up` that it belongs to, if it was found as such.
    pub up: Option<Running>,
}

/// Opens the backends that are known, the likeliest first: the one that was
/// configured, else every `tdemo up` that runs. May be empty.
pub async fn open(settings: &Settings, ctx: &Ctx) -> Result<Vec<Backend>, Failure> {
    if let Some(tempo) = configured(settings).await? {
        return Ok(vec![Backend { tempo, up: None }]);
    }
    let mut backends = Vec::new();
    for running in RuntimeDir::of(ctx).running().into_iter().rev() {
        // One that is just stopping is as good as none.
        if let Ok(tempo) = open_url(&running.tempo_url, settings).await {
            backends.push(Backend {
                tempo,
                up: Some(running),
            });
        }
    }
    Ok(backends)
}

/// Opens the backend that the settings name: `tempo-url`, or the one behind
/// Grafana where the data source is known too.
///
/// # Errors
/// [`Failure::CouldNotRun`] when it is named and does not answer like Tempo.
pub async fn configured(settings: &Settings) -> Result<Option<Tempo>, Failure> {
    let (key, opened) = if let Some(url) = &settings.tempo_url {
        (Key::TempoUrl, open_url(url.as_str(), settings).await)
    } else if let (Some(grafana), Some(uid)) =
        (&settings.grafana_url, &settings.grafana_datasource_uid)
    {
        let proxy = proxied(grafana, uid);
        let url = proxy.parse().expect("a path below an http URL is one");
        let headers = settings.headers_of(Peer::Grafana);
        (Key::GrafanaUrl, Tempo::open_with(url, headers).await)
    } else {
        return Ok(None);
    };
    let place = settings.chosen(key).map_or_else(String::new, Chosen::place);
    opened.map(Some).map_err(|error| {
        Failure::CouldNotRun(format!(
            "the trace backend of {place} cannot be used: {error}"
        ))
    })
}

async fn open_url(url: &str, settings: &Settings) -> Result<Tempo, TempoError> {
    let url = url.parse().expect("the settings hold http URLs alone");
    Tempo::open_with(url, settings.headers_of(Peer::Tempo)).await
}

/// The base URL of a data source's own API behind Grafana
/// (Grafana HTTP API, "Data source proxy calls").
fn proxied(grafana: &Url, uid: &str) -> String {
    let base = grafana.as_str().trim_end_matches('/');
    let uid = percent_encoding::utf8_percent_encode(uid, percent_encoding::NON_ALPHANUMERIC);
    format!("{base}/api/datasources/proxy/uid/{uid}")
}

/// What a look for a trace came to.
#[derive(Debug)]
pub enum Look {
    /// Here it is.
    Here(Trace),
    /// It is nowhere; these are the places that were asked.
    Nowhere {
        /// The id that was looked for.
        id: TraceId,
        /// In words, for a message.
        asked: Vec<String>,
    },
}

/// Looks for the trace that `prefix` names: in the saved runs where it is only
/// the beginning of an id, then in the backends, then in the saved runs.
///
/// # Errors
/// Several traces begin so, or a backend or a saved run cannot be read.
pub async fn look(
    prefix: &IdPrefix,
    backends: &[Backend],
    saved: Option<&SavedRuns>,
) -> Result<Look, Failure> {
    let remembered = match saved {
        Some(saved) => remembered(prefix, saved)?,
        None => None,
    };
    let id = match (&remembered, prefix.whole()) {
        (_, Some(id)) => id,
        (Some(trace), None) => return Ok(Look::Here(trace.clone())),
        (None, None) => prefix.padded(),
    };
    let mut asked = Vec::new();
    for backend in backends {
        let found = backend.tempo.trace(id).await;
        match found.map_err(|error| Failure::CouldNotRun(error.to_string()))? {
            Some(trace) => return Ok(Look::Here(trace)),
            None => asked.push(backend.tempo.base().to_string()),
        }
    }
    if let Some(trace) = remembered {
        return Ok(Look::Here(trace));
    }
    if let Some(saved) = saved {
        asked.push(match saved.files().len() {
            0 => "the saved runs (there are none)".to_owned(),
            1 => "the saved run".to_owned(),
            runs => format!("the {runs} saved runs"),
        });
    }
    Ok(Look::Nowhere { id, asked })
}

/// The trace of a saved run that begins so.
///
/// # Errors
/// Several do, or a saved run cannot be read.
pub fn remembered(prefix: &IdPrefix, saved: &SavedRuns) -> Result<Option<Trace>, Failure> {
    match saved.find(prefix).map_err(unreadable)? {
        Found::None => Ok(None),
        Found::One(trace) => Ok(Some(trace)),
        Found::Several(ids) => Err(ambiguous(&ids)),
    }
}

/// The same in one file in the form of the Collector's file exporter.
///
/// # Errors
/// As [`look`].
pub fn look_into(prefix: &IdPrefix, file: &Path) -> Result<Look, Failure> {
    let mut traces = saved::read_file(file).map_err(unreadable)?;
    traces.retain(|trace| prefix.matches(trace.id));
    if traces.len() > 1 {
        let ids: Vec<TraceId> = traces.iter().map(|trace| trace.id).collect();
        return Err(ambiguous(&ids));
    }
    Ok(traces.pop().map_or_else(
        || Look::Nowhere {
            id: prefix.padded(),
            asked: vec![file.display().to_string()],
        },
        Look::Here,
    ))
}

#[expect(clippy::needless_pass_by_value, reason = "it is the end of a map_err")]
fn unreadable(error: saved::SavedError) -> Failure {
    Failure::CouldNotRun(error.to_string())
}

fn ambiguous(ids: &[TraceId]) -> Failure {
    const SHOWN: usize = 4;
    let shown: Vec<String> = ids.iter().take(SHOWN).map(ToString::to_string).collect();
    let rest = ids.len().saturating_sub(SHOWN);
    let rest = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    Failure::Usage(format!(
        "{} traces begin so: {}{rest}; give more digits",
        ids.len(),
        shown.join(", ")
    ))
}

/// In words where a trace is not: `is neither in A nor in B`.
pub fn nowhere(id: TraceId, asked: &[String]) -> String {
    match asked {
        [] => format!(
            "trace {id}: there is no trace backend to ask; give --tempo-url, or run `tdemo up`"
        ),
        [place] => format!("trace {id} is not in {place}"),
        [places @ .., last] => format!(
            "trace {id} is neither in {} nor in {last}",
            places.join(" nor in ")
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::demo;

    #[tokio::test]
    async fn a_beginning_is_looked_up_in_the_saved_runs() {
        let dir = tempfile::tempdir().unwrap();
        let saved = SavedRuns::at(dir.path());
        saved.keep("load", &[demo()]).unwrap();
        let prefix = "4bf92f".parse().unwrap();
        let Look::Here(found) = look(&prefix, &[], Some(&saved)).await.unwrap() else {
            panic!("it is saved");
        };
        assert_eq!(found, demo());
        let other: IdPrefix = "abc".parse().unwrap();
        let Look::Nowhere { id, asked } = look(&other, &[], Some(&saved)).await.unwrap() else {
            panic!("no trace begins so");
        };
        assert_eq!(
            nowhere(id, &asked),
            "trace 00000000000000000000000000000abc is not in the saved run"
        );
    }

    #[test]
    fn several_that_begin_so_are_named() {
        let ids: Vec<TraceId> = (1..=6).map(|last| TraceId([last; 16])).collect();
        let text = ambiguous(&ids).to_string();
        assert!(text.starts_with("6 traces begin so: 01010101"), "{text}");
        assert!(text.ends_with(" and 2 more; give more digits"), "{text}");
    }

    #[test]
    fn tempo_is_reached_through_grafana_below_its_path() {
        let grafana = "http://g/grafana/".parse().unwrap();
        assert_eq!(
            proxied(&grafana, "a b"),
            "http://g/grafana/api/datasources/proxy/uid/a%20b"
        );
    }
}
