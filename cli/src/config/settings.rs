//! The typed settings, and the one place where flag, variable and profile are
//! weighed against each other.

use std::collections::BTreeMap;
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::headers::HEADERS_VARIABLE;
use super::{Chosen, ConfigError, Headers, Key, Origin, Peer, ProfileFile};
use crate::load::target::{TargetError, parse_base};

/// How OTLP is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtlpProtocol {
    /// gRPC, the default.
    Grpc,
    /// Protobuf over HTTP.
    HttpProtobuf,
}

impl OtlpProtocol {
    /// The value of `OTEL_EXPORTER_OTLP_PROTOCOL` that asks for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::HttpProtobuf => "http/protobuf",
        }
    }
}

/// Where and how OTLP is sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Otlp {
    /// The base URL: `/v1/traces` is not part of it, whatever the protocol.
    pub endpoint: Url,
    /// gRPC unless `OTEL_EXPORTER_OTLP_PROTOCOL` says otherwise.
    pub protocol: OtlpProtocol,
}

/// Whether `OTEL_EXPORTER_OTLP_ENDPOINT` may stand in for `--otlp-endpoint`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtelVariables {
    /// Only where there is a target: the embedded stack has its own receiver,
    /// and a developer's shell often has the variable set for other programs.
    WithTarget,
    /// Always: the command examines what is configured.
    Always,
}

/// Everything that is known of the outside.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where requests go; `None` means the embedded stack.
    pub target: Option<Url>,
    /// The middleware, asked directly.
    pub middleware_url: Option<Url>,
    /// The backend, asked directly.
    pub backend_url: Option<Url>,
    /// Where spans of our own go.
    pub otlp: Option<Otlp>,
    /// Where traces are read.
    pub tempo_url: Option<Url>,
    /// Where links lead.
    pub grafana_url: Option<Url>,
    /// The data source in those links.
    pub grafana_datasource_uid: Option<String>,
    /// Where series are read.
    pub prometheus_url: Option<Url>,
    /// Where logs are read.
    pub loki_url: Option<Url>,
    /// Where the collector's own counters are read.
    pub alloy_url: Option<Url>,
    /// The tenant on all requests to OTLP, Tempo and Loki.
    pub tenant: Option<String>,
    /// Further headers.
    pub headers: Headers,
    /// What was set, and by what; in [`Key::ALL`]'s order.
    pub chosen: Vec<Chosen>,
}

impl Settings {
    /// The headers for `peer`, with the tenant where `peer` has tenants.
    pub fn headers_of(&self, peer: Peer) -> HeaderMap {
        let mut map = self.headers.of(peer);
        if let Some(tenant) = self.tenant.as_deref().filter(|_| peer != Peer::Grafana) {
            let value = HeaderValue::from_str(tenant).expect("resolve checked it");
            map.insert(HeaderName::from_static("x-scope-orgid"), value);
        }
        map
    }

    /// What was chosen for `key`, if anything.
    pub fn chosen(&self, key: Key) -> Option<&Chosen> {
        self.chosen.iter().find(|chosen| chosen.key == key)
    }
}

/// Weighs `flags` against `variable` against the profile `wanted` of `file`,
/// and reads what was chosen.
///
/// # Errors
/// A value cannot be used, a file cannot be read, or there is no such profile;
/// each names its place.
pub fn resolve(
    flags: &BTreeMap<Key, String>,
    variable: &dyn Fn(&str) -> Option<String>,
    file: Option<&ProfileFile>,
    wanted: Option<&str>,
    otel: OtelVariables,
) -> Result<Settings, ConfigError> {
    // An empty variable is an unset one, as everywhere in OpenTelemetry.
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let profile = match (file, wanted) {
        (Some(file), wanted) => file
            .pick(wanted)?
            .map(|(name, profile)| (file, name, profile)),
        (None, None) => None,
        (None, Some(wanted)) => {
            return Err(ConfigError::NoProfile {
                wanted: wanted.to_owned(),
                file: None,
                known: Vec::new(),
            });
        }
    };
    let choose = |key: Key| {
        let (text, origin) = if let Some(text) = flags.get(&key) {
            (text.clone(), Origin::Flag)
        } else if let Some(text) = variable(&key.variable()) {
            (text, Origin::Variable(key.variable()))
        } else {
            let (file, name, profile) = profile?;
            let origin = Origin::Profile {
                file: file.path.clone(),
                profile: name.to_owned(),
            };
            (profile.get(&key)?.clone(), origin)
        };
        Some(Chosen { key, text, origin })
    };
    let mut settings = Settings {
        chosen: Key::ALL.into_iter().filter_map(choose).collect(),
        ..Settings::default()
    };
    let may_stand_in = match otel {
        OtelVariables::Always => true,
        OtelVariables::WithTarget => settings.chosen(Key::Target).is_some(),
    };
    if may_stand_in && settings.chosen(Key::OtlpEndpoint).is_none() {
        settings.chosen.extend(otel_endpoint(&variable));
        settings.chosen.sort_by_key(|chosen| chosen.key);
    }
    for chosen in settings.chosen.clone() {
        read(&mut settings, &chosen, &variable)?;
    }
    if let Some(text) = variable(HEADERS_VARIABLE) {
        settings.headers.read_variable(&text)?;
    }
    Ok(settings)
}

/// The endpoint of the standard variables; the one for traces alone wins
/// (OpenTelemetry specification, "OTLP exporter").
fn otel_endpoint(variable: &dyn Fn(&str) -> Option<String>) -> Option<Chosen> {
    [
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ]
    .into_iter()
    .find_map(|name| {
        Some(Chosen {
            key: Key::OtlpEndpoint,
            text: variable(name)?,
            origin: Origin::Variable(name.to_owned()),
        })
    })
}

fn read(
    settings: &mut Settings,
    chosen: &Chosen,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<(), ConfigError> {
    match chosen.key {
        Key::Target => settings.target = Some(http_url(chosen)?),
        Key::MiddlewareUrl => settings.middleware_url = Some(http_url(chosen)?),
        Key::BackendUrl => settings.backend_url = Some(http_url(chosen)?),
        Key::OtlpEndpoint => {
            settings.otlp = Some(Otlp {
                endpoint: base_endpoint(http_url(chosen)?),
                protocol: otlp_protocol(variable)?,
            });
        }
        Key::TempoUrl => settings.tempo_url = Some(http_url(chosen)?),
        Key::GrafanaUrl => settings.grafana_url = Some(http_url(chosen)?),
        Key::GrafanaDatasourceUid => settings.grafana_datasource_uid = Some(chosen.text.clone()),
        Key::PrometheusUrl => settings.prometheus_url = Some(http_url(chosen)?),
        Key::LokiUrl => settings.loki_url = Some(http_url(chosen)?),
        Key::AlloyUrl => settings.alloy_url = Some(http_url(chosen)?),
        Key::Tenant => {
            if HeaderValue::from_str(&chosen.text).is_err() {
                return Err(bad(chosen, "it has characters that a header cannot carry"));
            }
            settings.tenant = Some(chosen.text.clone());
        }
        Key::HeaderFile => settings
            .headers
            .read_file(&chosen.place(), Path::new(&chosen.text))?,
    }
    Ok(())
}

fn bad(chosen: &Chosen, reason: &str) -> ConfigError {
    ConfigError::BadValue {
        place: chosen.place(),
        value: chosen.text.clone(),
        reason: reason.to_owned(),
    }
}

/// An absolute http or https URL without a password: what is chosen is shown
/// by `tdemo config` and stands in reports.
fn http_url(chosen: &Chosen) -> Result<Url, ConfigError> {
    parse_base(&chosen.text).map_err(|error| match error {
        // The message would print the value, password and all.
        TargetError::Credentials => ConfigError::BadHeader {
            place: chosen.place(),
            reason: "a URL here carries no user or password: put an Authorization header into a --header-file"
                .to_owned(),
        },
        error => bad(chosen, &error.to_string()),
    })
}

/// The traces variable names the full path for HTTP; the settings keep the base.
fn base_endpoint(mut url: Url) -> Url {
    if let Some(base) = url.path().trim_end_matches('/').strip_suffix("/v1/traces") {
        let base = base.to_owned();
        url.set_path(&base);
    }
    url
}

fn otlp_protocol(variable: &dyn Fn(&str) -> Option<String>) -> Result<OtlpProtocol, ConfigError> {
    let asked = [
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "OTEL_EXPORTER_OTLP_PROTOCOL",
    ]
    .into_iter()
    .find_map(|name| Some((name, variable(name)?)));
    match asked {
        None => Ok(OtlpProtocol::Grpc),
        Some((place, value)) => [OtlpProtocol::Grpc, OtlpProtocol::HttpProtobuf]
            .into_iter()
            .find(|protocol| protocol.as_str() == value)
            .ok_or_else(|| ConfigError::BadValue {
                place: place.to_owned(),
                value,
                reason: "it is neither grpc nor http/protobuf".to_owned(),
            }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve_with(
        flags: &[(Key, &str)],
        variables: &[(&str, &str)],
        file: &str,
        wanted: Option<&str>,
    ) -> Result<Settings, ConfigError> {
        let flags = flags
            .iter()
            .map(|(key, text)| (*key, (*text).to_owned()))
            .collect();
        let variable = |name: &str| {
            variables
                .iter()
                .find_map(|(known, value)| (*known == name).then(|| (*value).to_owned()))
        };
        let file = ProfileFile::parse("tdemo.toml".into(), file).unwrap();
        resolve(
            &flags,
            &variable,
            Some(&file),
            wanted,
            OtelVariables::WithTarget,
        )
    }

    const FILE: &str = "[profile.f3s]\ntempo-url = \"http://profile:1\"\nloki-url = \"http://profile:2\"\ngrafana-url = \"http://profile:3\"\n";

    #[test]
    fn a_flag_beats_a_variable_beats_a_profile() {
        let settings = resolve_with(
            &[(Key::TempoUrl, "http://flag:1")],
            &[
                ("TDEMO_TEMPO_URL", "http://variable:1"),
                ("TDEMO_LOKI_URL", "http://variable:2"),
                ("TDEMO_GRAFANA_URL", ""),
            ],
            FILE,
            Some("f3s"),
        )
        .unwrap();
        assert_eq!(settings.tempo_url.unwrap().as_str(), "http://flag:1/");
        assert_eq!(settings.loki_url.unwrap().as_str(), "http://variable:2/");
        assert_eq!(settings.grafana_url.unwrap().as_str(), "http://profile:3/");
        let origins: Vec<_> = settings
            .chosen
            .iter()
            .map(|chosen| format!("{} {}", chosen.key.name(), chosen.origin))
            .collect();
        assert_eq!(
            origins,
            [
                "tempo-url flag",
                "grafana-url tdemo.toml [profile.f3s]",
                "loki-url TDEMO_LOKI_URL",
            ]
        );
    }

    #[test]
    fn the_standard_variable_stands_in_only_with_a_target() {
        let otel = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4317");
        let alone = resolve_with(&[], &[otel], "", None).unwrap();
        assert_eq!(alone.otlp, None);
        let with = resolve_with(&[(Key::Target, "http://a")], &[otel], "", None).unwrap();
        assert_eq!(
            with.otlp.unwrap().endpoint.as_str(),
            "http://collector:4317/"
        );
        let flags = BTreeMap::new();
        let variable = |name: &str| (name == otel.0).then(|| otel.1.to_owned());
        let always = resolve(&flags, &variable, None, None, OtelVariables::Always).unwrap();
        assert!(always.otlp.is_some());
    }

    #[test]
    fn the_protocol_is_grpc_unless_the_variable_says_otherwise() {
        let flag = [(Key::OtlpEndpoint, "http://c:4318/v1/traces")];
        let http = [("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")];
        let otlp = resolve_with(&flag, &http, "", None).unwrap().otlp.unwrap();
        assert_eq!(otlp.protocol, OtlpProtocol::HttpProtobuf);
        assert_eq!(otlp.endpoint.as_str(), "http://c:4318/");
        let otlp = resolve_with(&flag, &[], "", None).unwrap().otlp.unwrap();
        assert_eq!(otlp.protocol, OtlpProtocol::Grpc);
        let error = resolve_with(&flag, &[("OTEL_EXPORTER_OTLP_PROTOCOL", "udp")], "", None);
        assert_eq!(
            error.unwrap_err().to_string(),
            "OTEL_EXPORTER_OTLP_PROTOCOL \"udp\": it is neither grpc nor http/protobuf"
        );
    }

    #[test]
    fn a_bad_value_is_one_line_that_names_its_place() {
        let line = |flags: &[(Key, &str)], variables: &[(&str, &str)], file: &str| {
            let error = resolve_with(flags, variables, file, Some("f3s")).unwrap_err();
            error.to_string()
        };
        let empty = "[profile.f3s]\n";
        assert!(
            line(&[(Key::TempoUrl, "tempo:3200")], &[], empty).starts_with(
                "--tempo-url \"tempo:3200\": the scheme is missing: write http://tempo:3200"
            )
        );
        assert!(
            line(&[], &[("TDEMO_LOKI_URL", "loki")], empty)
                .starts_with("TDEMO_LOKI_URL \"loki\": the scheme is missing")
        );
        assert!(
            line(&[], &[], "[profile.f3s]\nalloy-url = \"ftp://x\"\n")
                .starts_with("tdemo.toml [profile.f3s] alloy-url \"ftp://x\": scheme")
        );
        let secret = line(&[(Key::TempoUrl, "http://me:s3cret@tempo")], &[], empty);
        assert!(!secret.contains("s3cret"), "{secret}");
        assert!(secret.contains("--header-file"), "{secret}");
    }

    #[test]
    fn the_tenant_goes_where_there_are_tenants() {
        let settings = resolve_with(&[(Key::Tenant, "team-a")], &[], "", None).unwrap();
        for peer in [Peer::Otlp, Peer::Tempo, Peer::Loki] {
            assert_eq!(settings.headers_of(peer)["x-scope-orgid"], "team-a");
        }
        assert!(settings.headers_of(Peer::Grafana).is_empty());
    }
}
