//! Where a load goes and where its traces are read, out of the settings that
//! every command shares. Called by `cmd::load`.

use http::HeaderMap;
use url::Url;

use crate::config::{Chosen, Key, Origin, Peer, Settings};
use crate::exit::Failure;
use crate::load::target::Target;
use crate::tempo::TempoUrl;

/// Where a run goes, as flags, variables and profile say.
pub(super) struct Places {
    /// What to load; a stack of this process where there is none.
    pub(super) target: Option<Target>,
    /// The trace backend, where it is not that stack's own.
    pub(super) tempo: Option<TempoUrl>,
    /// What the backend asks for: tenant, tokens.
    pub(super) headers: HeaderMap,
    /// Where that stack exports as well, and which setting says so.
    pub(super) mirror: Option<(String, Url)>,
}

impl Places {
    pub(super) fn new(settings: &Settings) -> Result<Self, Failure> {
        let flagged = |key| {
            settings
                .chosen(key)
                .is_some_and(|chosen| chosen.origin == Origin::Flag)
        };
        let target = match settings.chosen(Key::Target) {
            // The text and not the URL: a lone `/` at its end is a path.
            Some(chosen) => Some(
                chosen
                    .text
                    .parse::<Target>()
                    .map_err(|error| Failure::Usage(format!("{}: {error}", chosen.place())))?,
            ),
            None => None,
        };
        if target.is_some() && flagged(Key::OtlpEndpoint) {
            return Err(Failure::Usage(
                "--otlp-endpoint is where the stack of this process exports as well, and --target \
                 loads another one: leave out one of them"
                    .to_owned(),
            ));
        }
        let otlp = settings.otlp.as_ref().filter(|_| target.is_none());
        if flagged(Key::TempoUrl) && target.is_none() && otlp.is_none() {
            return Err(Failure::Usage(
                "--tempo-url names a backend that the stack of this process does not export to: \
                 add --otlp-endpoint URL to export there, or --target URL to load another stack"
                    .to_owned(),
            ));
        }
        let mirror = otlp.map(|otlp| {
            let chosen = settings.chosen(Key::OtlpEndpoint);
            let place = chosen.map_or_else(String::new, Chosen::place);
            (place, otlp.endpoint.clone())
        });
        let tempo = match settings.chosen(Key::TempoUrl) {
            Some(chosen) if target.is_some() || mirror.is_some() => Some(
                chosen
                    .text
                    .parse()
                    .map_err(|error| Failure::Usage(format!("{}: {error}", chosen.place())))?,
            ),
            _ => None,
        };
        Ok(Self {
            target,
            tempo,
            headers: settings.headers_of(Peer::Tempo),
            mirror,
        })
    }
}
