//! What a stack is made of: addresses, the three services' settings, their
//! telemetry, the store's limits. Read by `stack`; built by whoever starts one.

use std::net::{Ipv4Addr, SocketAddr};

use tdemo_services::{Settings, Tier};
use tdemo_telemetry::TelemetrySettings;
use tdemo_telemetry::settings::{ExporterSettings, LogExportSettings};
use tdemo_tracestore::Limits;

/// Variables that would point the stack's telemetry elsewhere or rename its
/// services. The stack keeps its own names and its own receiver.
const IGNORED: [&str; 5] = [
    "OTEL_SERVICE_NAME",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_LOGS_EXPORTER",
];
/// Variables of the single services that the stack decides by itself.
const OWN: [&str; 3] = ["LISTEN", "MIDDLEWARE_URL", "BACKEND_URL"];

/// Where the stack listens; port 0 takes a free one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    /// The frontend.
    pub frontend: SocketAddr,
    /// The middleware.
    pub middleware: SocketAddr,
    /// The backend.
    pub backend: SocketAddr,
    /// The OTLP/gRPC receiver.
    pub otlp_grpc: SocketAddr,
    /// The OTLP/HTTP receiver.
    pub otlp_http: SocketAddr,
    /// The trace store's Tempo API.
    pub tempo: SocketAddr,
}

impl Addresses {
    /// The usual ports of the demo, OTLP and Tempo, on loopback.
    pub const USUAL: Self = Self {
        frontend: loopback(5000),
        middleware: loopback(5001),
        backend: loopback(5002),
        otlp_grpc: loopback(4317),
        otlp_http: loopback(4318),
        tempo: loopback(3200),
    };
}

const fn loopback(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

impl Default for Addresses {
    /// Free ports on loopback.
    fn default() -> Self {
        Self {
            frontend: loopback(0),
            middleware: loopback(0),
            backend: loopback(0),
            otlp_grpc: loopback(0),
            otlp_http: loopback(0),
            tempo: loopback(0),
        }
    }
}

/// A setting of the stack that cannot be used: one line that names it.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// One of a service.
    #[error(transparent)]
    Service(#[from] tdemo_services::SettingsError),
    /// One of its telemetry.
    #[error(transparent)]
    Telemetry(#[from] tdemo_telemetry::SettingsError),
}

/// What a stack is made of. The default is what the services do by themselves:
/// 50 ms and 100 ms of simulated work, every request traced.
#[derive(Debug, Clone)]
pub struct StackConfig {
    /// Where to listen.
    pub addresses: Addresses,
    /// The frontend's settings. Its next tier is the stack's own, whatever they
    /// say; so it is with the middleware's.
    pub frontend: Settings,
    /// The middleware's settings.
    pub middleware: Settings,
    /// The backend's settings.
    pub backend: Settings,
    /// Sampling, batching and mirrors of all three. The exporter always goes to
    /// the stack's own receiver, and names are the stack's own.
    pub telemetry: TelemetrySettings,
    /// How much the store holds.
    pub store: Limits,
    /// Variables that are set and have no say here.
    pub ignored: Vec<&'static str>,
    /// What the environment says of exporting, for [`StackConfig::export_also_to`].
    exporter: ExporterSettings,
    /// The environment has chosen which events are logged.
    log_filter_chosen: bool,
}

impl Default for StackConfig {
    fn default() -> Self {
        Self {
            addresses: Addresses::default(),
            frontend: Settings::new(Tier::Frontend),
            middleware: Settings::new(Tier::Middleware),
            backend: Settings::new(Tier::Backend),
            telemetry: TelemetrySettings::default(),
            store: Limits::default(),
            ignored: Vec::new(),
            exporter: ExporterSettings::default(),
            log_filter_chosen: false,
        }
    }
}

impl StackConfig {
    /// The default with what the services' own variables say (`MIDDLEWARE_WORK`,
    /// `OTEL_TRACES_SAMPLER`, …), as far as it is not the stack's to decide.
    /// `env` gives a variable's value.
    pub fn from_env(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, ConfigError> {
        let seen = |name: &str| {
            if IGNORED.contains(&name) || OWN.contains(&name) {
                None
            } else {
                env(name)
            }
        };
        let mut defaults = TelemetrySettings::default();
        // The stack always exports its log: the bounds are the environment's.
        defaults.logs.otlp = Some(LogExportSettings::default());
        let mut telemetry = TelemetrySettings::from_env(&seen, defaults)?;
        telemetry
            .resource_attributes
            .retain(|(key, _)| !key.starts_with("service."));
        Ok(Self {
            addresses: Addresses::default(),
            frontend: Settings::from_env(Tier::Frontend, &seen)?,
            middleware: Settings::from_env(Tier::Middleware, &seen)?,
            backend: Settings::from_env(Tier::Backend, &seen)?,
            exporter: std::mem::take(&mut telemetry.exporter),
            telemetry,
            store: Limits::default(),
            log_filter_chosen: is_set(env, "RUST_LOG"),
            ignored: IGNORED
                .into_iter()
                .filter(|name| is_set(env, name))
                .collect(),
        })
    }

    /// Has the services log warnings and errors only, unless `RUST_LOG` says
    /// otherwise: for a load, where a record of every request in every tier
    /// would take more than a tenth of the throughput.
    pub fn log_trouble_only(&mut self) {
        if !self.log_filter_chosen {
            self.telemetry.logs.filter = "warn".parse().expect("a level is a valid filter");
        }
    }

    /// Has the services export every span to the OTLP receiver at the base URL
    /// `url` as well, with the protocol, headers, compression and certificate
    /// of the environment. `setting` names the URL's origin in an error.
    pub fn export_also_to(&mut self, setting: &str, url: &str) -> Result<(), ConfigError> {
        let own = &self.exporter;
        let endpoint = ExporterSettings::for_base(setting, own.protocol, url)?.endpoint;
        self.telemetry.mirrors.push(ExporterSettings {
            endpoint,
            ..own.clone()
        });
        Ok(())
    }
}

fn is_set(env: &dyn Fn(&str) -> Option<String>, name: &str) -> bool {
    env(name).is_some_and(|value| !value.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn config(variables: &[(&str, &str)]) -> Result<StackConfig, ConfigError> {
        let variables: HashMap<&str, &str> = variables.iter().copied().collect();
        StackConfig::from_env(&|name| variables.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn work_is_honoured_and_foreign_receivers_and_names_are_not() {
        let config = config(&[
            ("MIDDLEWARE_WORK", "0"),
            ("BACKEND_WORK", "5ms"),
            ("BACKEND_URL", "https://elsewhere"),
            ("OTEL_SERVICE_NAME", "mine"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "not even a URL"),
            ("OTEL_LOGS_EXPORTER", "none"),
            ("OTEL_BLRP_MAX_QUEUE_SIZE", "77"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=mine,team=a"),
        ])
        .unwrap();
        assert_eq!(config.middleware.work, "0".parse().unwrap());
        assert_eq!(config.backend.work, "5ms".parse().unwrap());
        assert_eq!(config.telemetry.service_name, None);
        let team = [("team".to_owned(), "a".to_owned())];
        assert_eq!(config.telemetry.resource_attributes, team);
        let logs = config.telemetry.logs.otlp.unwrap();
        assert_eq!(logs.batch.max_queue_items, 77);
        assert_eq!(
            config.ignored,
            [
                "OTEL_SERVICE_NAME",
                "OTEL_EXPORTER_OTLP_ENDPOINT",
                "OTEL_LOGS_EXPORTER"
            ]
        );
    }

    #[test]
    fn a_bad_value_is_named() {
        let error = config(&[("BACKEND_WORK", "soon")]).unwrap_err().to_string();
        assert!(error.contains("BACKEND_WORK"), "{error}");
        let mut config = config(&[]).unwrap();
        let error = config.export_also_to("--otlp-endpoint", "ftp://nowhere");
        let error = error.unwrap_err().to_string();
        assert!(error.contains("--otlp-endpoint"), "{error}");
    }

    #[test]
    fn a_mirror_takes_what_the_environment_says_of_exporting() {
        let mut config = config(&[("OTEL_EXPORTER_OTLP_HEADERS", "x-key=secret")]).unwrap();
        config
            .export_also_to("--otlp-endpoint", "http://collector:4317")
            .unwrap();
        let mirror = &config.telemetry.mirrors[0];
        assert_eq!(mirror.endpoint, "http://collector:4317/");
        assert_eq!(mirror.headers["x-key"], "secret");
        assert!(config.telemetry.exporter.headers.is_empty());
    }

    #[test]
    fn a_load_logs_trouble_only_unless_the_environment_has_chosen() {
        for (variables, expected) in [
            (vec![], "warn"),
            (vec![("RUST_LOG", " ")], "warn"),
            (vec![("RUST_LOG", "debug")], "debug"),
        ] {
            let mut config = config(&variables).unwrap();
            config.log_trouble_only();
            assert_eq!(config.telemetry.logs.filter.to_string(), expected);
        }
    }
}
