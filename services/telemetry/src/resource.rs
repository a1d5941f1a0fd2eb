//! Who is speaking: the OpenTelemetry resource of one service.
//!
//! Called by `Telemetry::start`. Attribute names are the semantic conventions'.

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::resource::TelemetryResourceDetector;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator};

use crate::settings::TelemetrySettings;

/// `service.namespace` of the demo.
pub const DEFAULT_NAMESPACE: &str = "tracing-demo";
/// `deployment.environment.name` unless the program or the environment says more.
pub const DEFAULT_ENVIRONMENT: &str = "development";

/// The program's own account of a service. `OTEL_SERVICE_NAME` and
/// `OTEL_RESOURCE_ATTRIBUTES`, where the settings hold them, win over it.
#[derive(Clone, Debug)]
pub struct ResourceInfo {
    /// `service.name`, and the `service` field of log lines.
    pub service_name: String,
    /// `service.namespace`.
    pub service_namespace: String,
    /// `service.version`.
    pub service_version: String,
    /// `service.instance.id`; a random UUID unless assigned.
    pub service_instance_id: String,
    /// `deployment.environment.name`.
    pub environment: String,
    /// Further attributes, for instance `k8s.pod.name` from the downward API.
    pub attributes: Vec<(String, String)>,
}

/// Variables that a pod fills from the Kubernetes downward API, and the
/// attributes they become.
const KUBERNETES: [(&str, &str); 3] = [
    ("K8S_NAMESPACE_NAME", "k8s.namespace.name"),
    ("K8S_POD_NAME", "k8s.pod.name"),
    ("K8S_NODE_NAME", "k8s.node.name"),
];

impl ResourceInfo {
    /// A service of the demo with a fresh instance id.
    pub fn new(service_name: impl Into<String>, service_version: impl Into<String>) -> Self {
        Self {
            service_name: service_name.into(),
            service_namespace: DEFAULT_NAMESPACE.to_owned(),
            service_version: service_version.into(),
            service_instance_id: random_uuid(),
            environment: DEFAULT_ENVIRONMENT.to_owned(),
            attributes: Vec::new(),
        }
    }

    /// Adds the Kubernetes attributes for which the environment has a value:
    /// `K8S_NAMESPACE_NAME`, `K8S_POD_NAME` and `K8S_NODE_NAME`.
    #[must_use]
    pub fn with_kubernetes(mut self, lookup: &dyn Fn(&str) -> Option<String>) -> Self {
        for (variable, attribute) in KUBERNETES {
            if let Some(value) = lookup(variable).filter(|value| !value.is_empty()) {
                self.attributes.push((attribute.to_owned(), value));
            }
        }
        self
    }

    /// The resource, and the service name that won.
    pub(crate) fn build(self, settings: &TelemetrySettings) -> (Resource, String) {
        let text = |key: &str, value: &str| KeyValue::new(key.to_owned(), value.to_owned());
        let own = [
            text("service.name", &self.service_name),
            text("service.namespace", &self.service_namespace),
            text("service.version", &self.service_version),
            text("service.instance.id", &self.service_instance_id),
            text("deployment.environment.name", &self.environment),
        ];
        let pairs = |pairs: &[(String, String)]| -> Vec<KeyValue> {
            pairs.iter().map(|(key, value)| text(key, value)).collect()
        };
        // A later attribute replaces an earlier one of the same key. Not
        // `Resource::builder()`: that one reads the process environment.
        let mut builder = Resource::builder_empty()
            .with_detector(Box::new(TelemetryResourceDetector))
            .with_attributes(own)
            .with_attributes(pairs(&self.attributes))
            .with_attributes(pairs(&settings.resource_attributes));
        if let Some(name) = &settings.service_name {
            builder = builder.with_attribute(text("service.name", name));
        }
        let resource = builder.build();
        let name = resource
            .get(&"service.name".into())
            .map_or(self.service_name, |name| name.to_string());
        (resource, name)
    }
}

/// A version 4 UUID (RFC 9562).
fn random_uuid() -> String {
    let random = u128::from_be_bytes(RandomIdGenerator::default().new_trace_id().to_bytes());
    let version = random & !(0xf << 76) | (0x4 << 76);
    let variant = version & !(0x3 << 62) | (0x2 << 62);
    let hex = format!("{variant:032x}");
    format!(
        "{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(resource: &Resource, key: &'static str) -> Option<String> {
        resource.get(&key.into()).map(|value| value.to_string())
    }

    #[test]
    fn the_environment_wins_and_the_service_name_variable_most() {
        let info = ResourceInfo::new("frontend", "1.2.3");
        let mut settings = TelemetrySettings {
            resource_attributes: vec![
                ("service.name".into(), "attribute".into()),
                ("service.version".into(), "9".into()),
                ("team".into(), "a".into()),
            ],
            ..TelemetrySettings::default()
        };
        let (resource, name) = info.clone().build(&settings);
        assert_eq!(name, "attribute");
        assert_eq!(value(&resource, "service.version").as_deref(), Some("9"));
        assert_eq!(value(&resource, "team").as_deref(), Some("a"));
        assert_eq!(
            value(&resource, "telemetry.sdk.language").as_deref(),
            Some("rust")
        );

        settings.service_name = Some("variable".into());
        assert_eq!(info.build(&settings).1, "variable");
    }

    #[test]
    fn kubernetes_attributes_come_from_the_variables_that_are_set() {
        let lookup = |name: &str| (name == "K8S_POD_NAME").then(|| "pod-1".to_owned());
        let info = ResourceInfo::new("backend", "1").with_kubernetes(&lookup);
        assert_eq!(info.attributes, [("k8s.pod.name".into(), "pod-1".into())]);
    }

    #[test]
    fn instance_ids_are_distinct_version_4_uuids() {
        let (first, second) = (random_uuid(), random_uuid());
        assert_ne!(first, second);
        let parts: Vec<usize> = first.split('-').map(str::len).collect();
        assert_eq!(parts, [8, 4, 4, 4, 12]);
        assert_eq!(&first[14..15], "4");
        assert!("89ab".contains(&first[19..20]));
    }
}
