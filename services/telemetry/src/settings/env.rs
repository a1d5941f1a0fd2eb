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
    BatchSettings, DEFAULT_GRPC_ENDPOINT, DEFAULT_HTTP_ENDPOINT, ExporterSettings,
    HTTP_TRACES_PATH, Protocol, SettingsError, append_path, parse_endpoint, without_path,
};
use crate::sampler::TraceSampler;

/// The environment as a lookup.
pub(super) struct Env<'a>(pub(super) &'a dyn Fn(&str) -> Option<String>);

/// A variable that is set: its name and its value.
type Set<'a> = (&'a str, String);

impl Env<'_> {
    /// The trimmed value; `None` if unset or empty.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        let value = (self.0)(name)?;
        let value = value.trim();
        (!value.is_empty()).then(|| value.to_owned())
    }

    /// The first of `names` that is set.
    fn first<'n>(&self, names: [&'n str; 2]) -> Option<Set<'n>> {
        names
            .into_iter()
            .find_map(|name| Some((name, self.text(name)?)))
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

    pub(super) fn batch(&self, defaults: &BatchSettings) -> Result<BatchSettings, SettingsError> {
        const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
        const BATCH: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
        let max_queue_spans = self.count(QUEUE, defaults.max_queue_spans)?;
        let mut max_batch_spans = self.count(BATCH, defaults.max_batch_spans as u64)?;
        if max_batch_spans > max_queue_spans {
            if let Some(value) = self.text(BATCH) {
                let allowed = format!("at most {max_queue_spans}, which is {QUEUE}");
                return Err(SettingsError::new(BATCH, value, allowed));
            }
            max_batch_spans = max_queue_spans;
        }
        Ok(BatchSettings {
            max_queue_spans,
            max_queue_bytes: defaults.max_queue_bytes,
            max_batch_spans: usize::try_from(max_batch_spans).unwrap_or(usize::MAX),
            schedule_delay: self.millis("OTEL_BSP_SCHEDULE_DELAY", defaults.schedule_delay)?,
            export_deadline: self.millis("OTEL_BSP_EXPORT_TIMEOUT", defaults.export_deadline)?,
        })
    }

    pub(super) fn exporter(
        &self,
        defaults: ExporterSettings,
    ) -> Result<ExporterSettings, SettingsError> {
        let mut exporter = defaults;
        if let Some(protocol) = self.protocol()? {
            // The default endpoint belongs to the protocol: another port.
            if protocol != exporter.protocol {
                let base = match protocol {
                    Protocol::Grpc => DEFAULT_GRPC_ENDPOINT,
                    Protocol::HttpProtobuf => DEFAULT_HTTP_ENDPOINT,
                };
                exporter.endpoint =
                    ExporterSettings::for_base("the default endpoint", protocol, base)?.endpoint;
            }
            exporter.protocol = protocol;
        }
        if let Some(endpoint) = self.endpoint(exporter.protocol)? {
            exporter.endpoint = endpoint;
        }
        if let Some((name, value)) = self.first([
            "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
            "OTEL_EXPORTER_OTLP_HEADERS",
        ]) {
            exporter.headers = parse_headers(name, &value)?;
        }
        if let Some((name, value)) = self.first([
            "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
            "OTEL_EXPORTER_OTLP_COMPRESSION",
        ]) {
            exporter.gzip = match value.as_str() {
                "gzip" => true,
                "none" => false,
                _ => return Err(SettingsError::new(name, value, "gzip or none")),
            };
        }
        if let Some((name, value)) = self.first([
            "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
            "OTEL_EXPORTER_OTLP_TIMEOUT",
        ]) {
            exporter.timeout = parse_millis(name, value)?;
        }
        if let Some((_, value)) = self.first([
            "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
            "OTEL_EXPORTER_OTLP_CERTIFICATE",
        ]) {
            exporter.certificate = Some(PathBuf::from(value));
        }
        Ok(exporter)
    }

    fn protocol(&self) -> Result<Option<Protocol>, SettingsError> {
        let Some((name, value)) = self.first([
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
            "OTEL_EXPORTER_OTLP_PROTOCOL",
        ]) else {
            return Ok(None);
        };
        match value.as_str() {
            "grpc" => Ok(Some(Protocol::Grpc)),
            "http/protobuf" => Ok(Some(Protocol::HttpProtobuf)),
            _ => Err(SettingsError::new(name, value, "grpc or http/protobuf")),
        }
    }

    fn endpoint(&self, protocol: Protocol) -> Result<Option<http::Uri>, SettingsError> {
        const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
        let Some((name, value)) = self.first([OWN, "OTEL_EXPORTER_OTLP_ENDPOINT"]) else {
            return Ok(None);
        };
        let insecure = self
            .first([
                "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
                "OTEL_EXPORTER_OTLP_INSECURE",
            ])
            .map(|(name, value)| parse_boolean(name, &value))
            .transpose()?
            .unwrap_or(false);
        let endpoint = parse_endpoint(name, &value, insecure)?;
        let endpoint = match protocol {
            Protocol::Grpc => without_path(name, endpoint)?,
            // Only the general variable is a base; the signal's own is used as
            // it is.
            Protocol::HttpProtobuf if name == OWN => endpoint,
            Protocol::HttpProtobuf => append_path(name, endpoint, HTTP_TRACES_PATH)?,
        };
        Ok(Some(endpoint))
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
