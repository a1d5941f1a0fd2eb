//! Reads one variable at a time and says clearly what is wrong with it.
//!
//! Called only by `TelemetrySettings::from_env`.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use percent_encoding::percent_decode_str;
use tracing_subscriber::filter::Targets;

use super::{
    BatchSettings, DEFAULT_GRPC_ENDPOINT, DEFAULT_HTTP_ENDPOINT, ExporterSettings, HTTP_LOGS_PATH,
    HTTP_TRACES_PATH, Protocol, SettingsError, append_path, parse_endpoint, without_path,
};
use crate::sampler::TraceSampler;

/// The environment as a lookup.
pub(super) struct Env<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

/// A variable that is set: its name and its value.
type Set = (String, String);

/// A kind of telemetry, as the exporter's variables name it.
#[derive(Clone, Copy)]
pub(super) struct Signal {
    name: &'static str,
    http_path: &'static str,
}

impl Signal {
    pub(super) const TRACES: Self = Self {
        name: "TRACES",
        http_path: HTTP_TRACES_PATH,
    };
    pub(super) const LOGS: Self = Self {
        name: "LOGS",
        http_path: HTTP_LOGS_PATH,
    };

    /// The signal's own variable for `what`.
    fn own(self, what: &str) -> String {
        format!("OTEL_EXPORTER_OTLP_{}_{what}", self.name)
    }
}

impl Env<'_> {
    /// The trimmed value; `None` if unset or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The exporter's variable for `what`: the signal's own, or the general one.
    fn of_exporter(&self, signal: Signal, what: &str) -> Option<Set> {
        [signal.own(what), format!("OTEL_EXPORTER_OTLP_{what}")]
            .into_iter()
            .find_map(|name| self.text(&name).map(|value| (name, value)))
    }

    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, SettingsError> {
        self.text(name)
            .map(|value| parse_boolean(name, &value))
            .transpose()
    }

    fn count<T: FromStr + PartialOrd + From<u8>>(
        &self,
        name: &str,
        default: T,
    ) -> Result<T, SettingsError> {
        let Some(value) = self.text(name) else {
            return Ok(default);
        };
        match value.parse::<T>() {
            Ok(count) if count >= T::from(1) => Ok(count),
            _ => Err(SettingsError::new(name, value, "a whole number from 1 up")),
        }
    }

    fn millis(&self, name: &str, default: Duration) -> Result<Duration, SettingsError> {
        match self.text(name) {
            Some(value) => parse_millis(name, value),
            None => Ok(default),
        }
    }

    pub(super) fn sampler(&self) -> Result<Option<TraceSampler>, SettingsError> {
        const NAME: &str = "OTEL_TRACES_SAMPLER";
        const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
        let Some(value) = self.text(NAME) else {
            return Ok(None);
        };
        let ratio = || match self.text(ARGUMENT) {
            None => Ok(1.0),
            Some(text) => match text.parse::<f64>() {
                Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
                _ => Err(SettingsError::new(ARGUMENT, text, "a number from 0 to 1")),
            },
        };
        let sampler = match value.to_ascii_lowercase().as_str() {
            "always_on" => TraceSampler::AlwaysOn,
            "always_off" => TraceSampler::AlwaysOff,
            "traceidratio" => TraceSampler::Ratio(ratio()?),
            "parentbased_always_on" => TraceSampler::ParentBasedAlwaysOn,
            "parentbased_always_off" => TraceSampler::ParentBasedAlwaysOff,
            "parentbased_traceidratio" => TraceSampler::ParentBasedRatio(ratio()?),
            _ => {
                return Err(SettingsError::new(
                    NAME,
                    value,
                    "always_on, always_off or traceidratio, or one of them after parentbased_",
                ));
            }
        };
        Ok(Some(sampler))
    }

    /// The variables of the batch processor `OTEL_{processor}_…`.
    pub(super) fn batch(
        &self,
        processor: &str,
        defaults: &BatchSettings,
    ) -> Result<BatchSettings, SettingsError> {
        let variable = |what: &str| format!("OTEL_{processor}_{what}");
        let queue = variable("MAX_QUEUE_SIZE");
        let batch = variable("MAX_EXPORT_BATCH_SIZE");
        let max_queue_items = self.count(&queue, defaults.max_queue_items)?;
        let mut max_batch_items = self.count(&batch, defaults.max_batch_items as u64)?;
        if max_batch_items > max_queue_items {
            if let Some(value) = self.text(&batch) {
                let allowed = format!("at most {max_queue_items}, which is {queue}");
                return Err(SettingsError::new(&batch, value, allowed));
            }
            max_batch_items = max_queue_items;
        }
        Ok(BatchSettings {
            max_queue_items,
            max_queue_bytes: defaults.max_queue_bytes,
            max_batch_items: usize::try_from(max_batch_items).unwrap_or(usize::MAX),
            schedule_delay: self.millis(&variable("SCHEDULE_DELAY"), defaults.schedule_delay)?,
            export_deadline: self.millis(&variable("EXPORT_TIMEOUT"), defaults.export_deadline)?,
        })
    }

    pub(super) fn exporter(
        &self,
        signal: Signal,
        defaults: ExporterSettings,
    ) -> Result<ExporterSettings, SettingsError> {
        let mut exporter = defaults;
        if let Some(protocol) = self.protocol(signal)? {
            // The default endpoint belongs to the protocol: another port.
            if protocol != exporter.protocol {
                let base = match protocol {
                    Protocol::Grpc => DEFAULT_GRPC_ENDPOINT,
                    Protocol::HttpProtobuf => DEFAULT_HTTP_ENDPOINT,
                };
                let name = "the default endpoint";
                exporter.endpoint =
                    ExporterSettings::below(name, protocol, base, signal.http_path)?.endpoint;
            }
            exporter.protocol = protocol;
        }
        if let Some(endpoint) = self.endpoint(signal, exporter.protocol)? {
            exporter.endpoint = endpoint;
        }
        if let Some((name, value)) = self.of_exporter(signal, "HEADERS") {
            exporter.headers = parse_headers(&name, &value)?;
        }
        if let Some((name, value)) = self.of_exporter(signal, "COMPRESSION") {
            exporter.gzip = match value.as_str() {
                "gzip" => true,
                "none" => false,
                _ => return Err(SettingsError::new(&name, value, "gzip or none")),
            };
        }
        if let Some((name, value)) = self.of_exporter(signal, "TIMEOUT") {
            exporter.timeout = parse_millis(&name, value)?;
        }
        if let Some((_, value)) = self.of_exporter(signal, "CERTIFICATE") {
            exporter.certificate = Some(PathBuf::from(value));
        }
        Ok(exporter)
    }

    fn protocol(&self, signal: Signal) -> Result<Option<Protocol>, SettingsError> {
        let Some((name, value)) = self.of_exporter(signal, "PROTOCOL") else {
            return Ok(None);
        };
        match value.as_str() {
            "grpc" => Ok(Some(Protocol::Grpc)),
            "http/protobuf" => Ok(Some(Protocol::HttpProtobuf)),
            _ => Err(SettingsError::new(&name, value, "grpc or http/protobuf")),
        }
    }

    fn endpoint(
        &self,
        signal: Signal,
        protocol: Protocol,
    ) -> Result<Option<http::Uri>, SettingsError> {
        let Some((name, value)) = self.of_exporter(signal, "ENDPOINT") else {
            return Ok(None);
        };
        let insecure = self
            .of_exporter(signal, "INSECURE")
            .map(|(name, value)| parse_boolean(&name, &value))
            .transpose()?
            .unwrap_or(false);
        let endpoint = parse_endpoint(&name, &value, insecure)?;
        let endpoint = match protocol {
            Protocol::Grpc => without_path(&name, endpoint)?,
            // Only the general variable is a base; the signal's own is used as
            // it is.
            Protocol::HttpProtobuf if name == signal.own("ENDPOINT") => endpoint,
            Protocol::HttpProtobuf => append_path(&name, endpoint, signal.http_path)?,
        };
        Ok(Some(endpoint))
    }

    /// Whether `OTEL_LOGS_EXPORTER`, a list, names `otlp`.
    pub(super) fn logs_by_otlp(&self) -> Result<Option<bool>, SettingsError> {
        const NAME: &str = "OTEL_LOGS_EXPORTER";
        let Some(value) = self.text(NAME) else {
            return Ok(None);
        };
        let mut otlp = false;
        for exporter in value.split(',').map(str::trim) {
            match exporter {
                "otlp" => otlp = true,
                "console" | "none" => {}
                _ => return Err(SettingsError::new(NAME, value, "otlp, console or none")),
            }
        }
        Ok(Some(otlp))
    }

    pub(super) fn resource_attributes(
        &self,
    ) -> Result<Option<Vec<(String, String)>>, SettingsError> {
        const NAME: &str = "OTEL_RESOURCE_ATTRIBUTES";
        let Some(value) = self.text(NAME) else {
            return Ok(None);
        };
        parse_pairs(&value)
            .ok_or_else(|| {
                let allowed = "key=value pairs with commas between them, values percent-encoded";
                SettingsError::new(NAME, value, allowed)
            })
            .map(Some)
    }

    pub(super) fn log_filter(&self) -> Result<Option<Targets>, SettingsError> {
        const NAME: &str = "RUST_LOG";
        let Some(value) = self.text(NAME) else {
            return Ok(None);
        };
        value.parse().map(Some).map_err(|_| {
            let allowed = "a level (error, warn, info, debug, trace, off), or target=level pairs with commas between them";
            SettingsError::new(NAME, value, allowed)
        })
    }
}

fn parse_boolean(name: &str, value: &str) -> Result<bool, SettingsError> {
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(SettingsError::new(name, value, "true or false")),
    }
}

fn parse_millis(name: &str, value: String) -> Result<Duration, SettingsError> {
    // A day is more than any of these needs, and keeps deadlines computable.
    const MAX_MS: u64 = 86_400_000;
    match value.parse::<u64>() {
        Ok(ms) if (1..=MAX_MS).contains(&ms) => Ok(Duration::from_millis(ms)),
        _ => Err(SettingsError::new(
            name,
            value,
            format!("whole milliseconds from 1 to {MAX_MS}"),
        )),
    }
}

/// `key=value` pairs by the rules of W3C baggage without properties, which the
/// specification prescribes for both lists: percent-decoded, blanks trimmed.
fn parse_pairs(text: &str) -> Option<Vec<(String, String)>> {
    text.split(',')
        .map(str::trim)
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (key, value) = pair.split_once('=')?;
            let key = percent_decode_str(key.trim()).decode_utf8().ok()?;
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            (!key.is_empty()).then(|| (key.into_owned(), value.into_owned()))
        })
        .collect()
}

fn parse_headers(name: &str, text: &str) -> Result<HeaderMap, SettingsError> {
    // The values are secrets as a rule: the message does not repeat them.
    let refuse = || {
        let allowed =
            "name=value pairs with commas between them, as HTTP headers, values percent-encoded";
        SettingsError::new(name, "<hidden>", allowed)
    };
    let mut headers = HeaderMap::new();
    for (key, value) in parse_pairs(text).ok_or_else(refuse)? {
        let key = HeaderName::from_str(&key).map_err(|_| refuse())?;
        let mut value = HeaderValue::from_str(&value).map_err(|_| refuse())?;
        value.set_sensitive(true);
        headers.append(key, value);
    }
    Ok(headers)
}
