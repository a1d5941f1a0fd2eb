//! The flags that say where everything is, shared by every command that
//! reaches out; `config` weighs them against variables and profiles.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::config::{self, Key, OtelVariables, ProfileFile, Settings};
use crate::ctx::Ctx;
use crate::exit::Failure;

const CONFIG_VARIABLE: &str = "TDEMO_CONFIG";
const PROFILE_VARIABLE: &str = "TDEMO_PROFILE";

/// Where everything is. A flag beats its variable, which beats the profile.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Connections")]
#[expect(
    clippy::doc_markdown,
    reason = "the texts are help in a terminal, where backticks would stay"
)]
pub struct Connections {
    /// The frontend, or any URL to request; without it a stack of our own is
    /// started [env: TDEMO_TARGET]
    #[arg(long, value_name = "URL")]
    target: Option<String>,

    /// The middleware, to ask it directly [env: TDEMO_MIDDLEWARE_URL]
    #[arg(long, value_name = "URL")]
    middleware_url: Option<String>,

    /// The backend, to ask it directly [env: TDEMO_BACKEND_URL]
    #[arg(long, value_name = "URL")]
    backend_url: Option<String>,

    /// Where spans of our own are sent; gRPC unless OTEL_EXPORTER_OTLP_PROTOCOL
    /// says otherwise [env: TDEMO_OTLP_ENDPOINT, with a target also
    /// OTEL_EXPORTER_OTLP_ENDPOINT]
    #[arg(long, value_name = "URL")]
    otlp_endpoint: Option<String>,

    /// The trace backend: base URL of Tempo's API [env: TDEMO_TEMPO_URL]
    #[arg(long, value_name = "URL")]
    tempo_url: Option<String>,

    /// Grafana, for links [env: TDEMO_GRAFANA_URL]
    #[arg(long, value_name = "URL")]
    grafana_url: Option<String>,

    /// The uid of Grafana's Tempo data source; without it Grafana is asked
    /// [env: TDEMO_GRAFANA_DATASOURCE_UID]
    #[arg(long, value_name = "UID")]
    grafana_datasource_uid: Option<String>,

    /// Prometheus [env: TDEMO_PROMETHEUS_URL]
    #[arg(long, value_name = "URL")]
    prometheus_url: Option<String>,

    /// Loki, for logs by trace id [env: TDEMO_LOKI_URL]
    #[arg(long, value_name = "URL")]
    loki_url: Option<String>,

    /// Grafana Alloy's own HTTP server [env: TDEMO_ALLOY_URL]
    #[arg(long, value_name = "URL")]
    alloy_url: Option<String>,

    /// Tenant, sent as X-Scope-OrgID to OTLP, Tempo and Loki [env: TDEMO_TENANT]
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,

    /// File of request headers, one `Name: value` a line, for OTLP, Tempo,
    /// Grafana and Loki; below a line `[tempo]` for that one alone. The place
    /// for tokens [env: TDEMO_HEADER_FILE; TDEMO_HEADERS=name=value,…]
    #[arg(long, value_name = "FILE")]
    header_file: Option<String>,

    /// Profile of tdemo.toml to use [default: the one called default]
    /// [env: TDEMO_PROFILE]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// File of profiles [default: ./tdemo.toml, or tdemo/tdemo.toml in the
    /// user's configuration directory] [env: TDEMO_CONFIG]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// What was found out about the outside, and from which file.
#[derive(Debug, Clone)]
pub struct Known {
    /// The settings.
    pub settings: Settings,
    /// The file of profiles, if there is one.
    pub file: Option<ProfileFile>,
}

impl Connections {
    /// Weighs flags, variables and profile.
    ///
    /// # Errors
    /// [`Failure::Usage`], one line that names the place.
    pub fn settings(&self, ctx: &Ctx, otel: OtelVariables) -> Result<Settings, Failure> {
        self.known(ctx, otel).map(|known| known.settings)
    }

    /// The same, with the file that was read.
    ///
    /// # Errors
    /// As [`Connections::settings`].
    pub fn known(&self, ctx: &Ctx, otel: OtelVariables) -> Result<Known, Failure> {
        self.weigh(&|name| ctx.env(name), otel)
            .map_err(|error| Failure::Usage(error.to_string()))
    }

    /// The flags of this call that say where traces are read, to be typed again
    /// behind `tdemo trace ID`; each begins with a blank.
    pub fn again(&self) -> String {
        let reading = [
            Key::TempoUrl,
            Key::GrafanaUrl,
            Key::GrafanaDatasourceUid,
            Key::Tenant,
            Key::HeaderFile,
        ];
        let mut typed = String::new();
        for key in reading {
            if let Some(value) = self.flag(key) {
                push_flag(&mut typed, key.name(), value);
            }
        }
        if let Some(profile) = &self.profile {
            push_flag(&mut typed, "profile", profile);
        }
        if let Some(file) = &self.config {
            push_flag(&mut typed, "config", &file.to_string_lossy());
        }
        typed
    }

    fn weigh(
        &self,
        variable: &dyn Fn(&str) -> Option<String>,
        otel: OtelVariables,
    ) -> Result<Known, config::ConfigError> {
        let from_variable = variable(CONFIG_VARIABLE).map(PathBuf::from);
        let asked = match (&self.config, &from_variable) {
            (Some(path), _) => Some(("--config", path.as_path())),
            (None, Some(path)) => Some((CONFIG_VARIABLE, path.as_path())),
            (None, None) => None,
        };
        let file = config::find_file(asked, Path::new(""), variable)?;
        let profile = self.profile.clone().or_else(|| variable(PROFILE_VARIABLE));
        let settings = config::resolve(
            &self.flags(),
            variable,
            file.as_ref(),
            profile.as_deref(),
            otel,
        )?;
        Ok(Known { settings, file })
    }

    fn flags(&self) -> BTreeMap<Key, String> {
        Key::ALL
            .into_iter()
            .filter_map(|key| Some((key, self.flag(key)?.clone())))
            .collect()
    }

    fn flag(&self, key: Key) -> Option<&String> {
        match key {
            Key::Target => self.target.as_ref(),
            Key::MiddlewareUrl => self.middleware_url.as_ref(),
            Key::BackendUrl => self.backend_url.as_ref(),
            Key::OtlpEndpoint => self.otlp_endpoint.as_ref(),
            Key::TempoUrl => self.tempo_url.as_ref(),
            Key::GrafanaUrl => self.grafana_url.as_ref(),
            Key::GrafanaDatasourceUid => self.grafana_datasource_uid.as_ref(),
            Key::PrometheusUrl => self.prometheus_url.as_ref(),
            Key::LokiUrl => self.loki_url.as_ref(),
            Key::AlloyUrl => self.alloy_url.as_ref(),
            Key::Tenant => self.tenant.as_ref(),
            Key::HeaderFile => self.header_file.as_ref(),
        }
    }
}

fn push_flag(typed: &mut String, name: &str, value: &str) {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~:/@%+=,".contains(c);
    if !value.is_empty() && value.chars().all(plain) {
        typed.extend([" --", name, " ", value]);
    } else {
        typed.extend([" --", name, " '", &value.replace('\'', r"'\''"), "'"]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        connections: Connections,
    }

    #[test]
    fn every_setting_has_its_flag_and_its_variable_in_the_help() {
        use clap::CommandFactory;
        let command = Cli::command();
        for key in Key::ALL {
            let arg = command
                .get_arguments()
                .find(|arg| arg.get_long() == Some(key.name()))
                .unwrap_or_else(|| panic!("no flag --{}", key.name()));
            let help = arg.get_help().unwrap().to_string();
            assert!(
                help.contains(&format!("[env: {}", key.variable())),
                "{help}"
            );
            let value = match key {
                Key::GrafanaDatasourceUid | Key::Tenant | Key::HeaderFile => "x",
                _ => "http://x",
            };
            let parsed = Cli::parse_from(["x", &format!("--{}", key.name()), value]);
            assert_eq!(parsed.connections.flags(), [(key, value.to_owned())].into());
        }
    }

    #[test]
    fn the_flags_that_read_traces_can_be_typed_again() {
        let typed = [
            "x",
            "--target",
            "http://a",
            "--tempo-url",
            "http://t:1",
            "--tenant",
            "a|b's",
            "--profile",
            "p",
        ];
        assert_eq!(
            Cli::parse_from(typed).connections.again(),
            r" --tempo-url http://t:1 --tenant 'a|b'\''s' --profile p"
        );
        assert_eq!(Connections::default().again(), "");
    }

    #[test]
    fn profile_and_file_can_be_named_by_variables() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mine.toml");
        std::fs::write(&path, "[profile.a]\ntempo-url = \"http://t:1\"\n").unwrap();
        let path_text = path.to_str().unwrap().to_owned();
        let variable = move |name: &str| match name {
            CONFIG_VARIABLE => Some(path_text.clone()),
            PROFILE_VARIABLE => Some("a".to_owned()),
            _ => None,
        };
        let known = Connections::default()
            .weigh(&variable, OtelVariables::WithTarget)
            .unwrap();
        assert_eq!(known.file.unwrap().path, path);
        assert_eq!(known.settings.tempo_url.unwrap().as_str(), "http://t:1/");
        let other = Cli::parse_from(["x", "--profile", "b"]).connections;
        let error = other
            .weigh(&variable, OtelVariables::WithTarget)
            .unwrap_err();
        assert!(error.to_string().starts_with("--profile b: "), "{error}");
    }
}
