//! OTLP log records as Loki 3 keeps them: stream labels, structured metadata and a line.
//! Called by [`LogStore::export`](super::LogStore::export), outside the store's lock.
//!
//! Which resource attributes become labels is Loki's default list
//! (`distributor.otlp_config.default_resource_attributes_as_index_labels`); all others, the
//! scope's and the record's become structured metadata.

use std::borrow::Cow;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::{level, names};

/// Resource attributes that make a stream.
const INDEXED: [&str; 18] = [
    "service.name",
    "service.namespace",
    "service.instance.id",
    "deployment.environment",
    "deployment.environment.name",
    "cloud.region",
    "cloud.availability_zone",
    "k8s.cluster.name",
    "k8s.namespace.name",
    "k8s.pod.name",
    "k8s.container.name",
    "container.name",
    "k8s.replicaset.name",
    "k8s.deployment.name",
    "k8s.statefulset.name",
    "k8s.daemonset.name",
    "k8s.cronjob.name",
    "k8s.job.name",
];
/// Labels that stand in for a missing `service_name`, in this order.
const SERVICE_NAME_STAND_INS: [&str; 3] = ["container_name", "k8s_container_name", "k8s_job_name"];
const SERVICE_NAME: &str = "service_name";
const UNKNOWN_SERVICE: &str = "unknown_service";

/// Why a request is refused, all of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpLogsError {
    /// An id that is neither absent nor of its length.
    #[error(
        "invalid {field} of {length} bytes in log record {index}: it must have {expected} bytes, or none"
    )]
    IdLength {
        /// `trace_id` or `span_id`.
        field: &'static str,
        /// How long it is.
        length: usize,
        /// How long it must be.
        expected: usize,
        /// Which record of the request, from 0.
        index: usize,
    },
}

/// Names with values: sorted, each name once.
pub(super) type Pairs = Vec<(String, String)>;

/// What all records of one resource and scope share.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Origin {
    /// The stream's labels.
    pub(super) labels: Pairs,
    /// Structured metadata from the resource and the scope.
    pub(super) metadata: Pairs,
    /// Whether one of the above may tell the level of its records.
    tells_level: bool,
}

impl Origin {
    fn new(labels: Pairs, metadata: Pairs) -> Self {
        let tells_level =
            level::names().any(|name| get(&labels, name).or(get(&metadata, name)).is_some());
        Self {
            labels,
            metadata,
            tells_level,
        }
    }

    pub(super) fn label(&self, name: &str) -> Option<&str> {
        get(&self.labels, name)
    }

    pub(super) fn metadata(&self, name: &str) -> Option<&str> {
        get(&self.metadata, name)
    }

    /// Bytes that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let pairs = self.labels.iter().chain(&self.metadata);
        pairs
            .map(|(name, value)| name.len() + value.len() + size_of::<(String, String)>())
            .sum()
    }
}

fn get<'a>(pairs: &'a Pairs, name: &str) -> Option<&'a str> {
    let at = pairs.binary_search_by(|(n, _)| n.as_str().cmp(name)).ok()?;
    Some(&pairs[at].1)
}

/// A record on its way into the store.
#[derive(Debug)]
pub(super) struct Incoming<'a> {
    /// Index into [`Batch::origins`].
    pub(super) origin: usize,
    /// Nanoseconds since the epoch.
    pub(super) timestamp: i64,
    /// Nanoseconds since the epoch when it is shown, else 0.
    pub(super) observed: i64,
    /// All zero if there is none.
    pub(super) trace_id: [u8; 16],
    /// All zero if there is none.
    pub(super) span_id: [u8; 8],
    pub(super) line: Cow<'a, str>,
    /// Its own structured metadata beside the three above.
    pub(super) metadata: Vec<(Cow<'a, str>, Cow<'a, str>)>,
}

impl Incoming<'_> {
    /// Bytes of its line and metadata, as Loki counts them against its line size.
    pub(super) fn bytes(&self) -> usize {
        let pairs = self
            .metadata
            .iter()
            .map(|(name, value)| name.len() + value.len());
        self.line.len() + pairs.sum::<usize>()
    }
}

/// A decoded request.
#[derive(Debug, Default)]
pub(super) struct Batch<'a> {
    pub(super) origins: Vec<Arc<Origin>>,
    pub(super) records: Vec<Incoming<'a>>,
}

/// Reads a request; `now` (nanoseconds since the epoch) dates records that have no time.
pub(super) fn batch(
    request: &ExportLogsServiceRequest,
    now: i64,
) -> Result<Batch<'_>, OtlpLogsError> {
    let mut batch = Batch::default();
    for resource_logs in &request.resource_logs {
        add_resource(&mut batch, resource_logs, now)?;
    }
    Ok(batch)
}

fn add_resource<'a>(
    batch: &mut Batch<'a>,
    logs: &'a ResourceLogs,
    now: i64,
) -> Result<(), OtlpLogsError> {
    let (labels, resource_metadata) = resource_labels(logs.resource.as_ref());
    for scope_logs in &logs.scope_logs {
        let metadata = shared_metadata(&labels, &resource_metadata, scope_logs.scope.as_ref());
        let origin = Arc::new(Origin::new(labels.clone(), metadata));
        for record in &scope_logs.log_records {
            let incoming = incoming(
                record,
                &origin,
                batch.origins.len(),
                now,
                batch.records.len(),
            )?;
            batch.records.push(incoming);
        }
        batch.origins.push(origin);
    }
    Ok(())
}

type Shared<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

fn resource_labels(resource: Option<&Resource>) -> (Pairs, Shared<'_>) {
    let mut labels = Vec::new();
    let mut metadata = Vec::new();
    for attribute in resource.iter().flat_map(|resource| &resource.attributes) {
        let indexed = INDEXED.contains(&attribute.key.as_str());
        names::each_label(attribute, &mut |name, value| {
            set(
                if indexed { &mut labels } else { &mut metadata },
                name,
                value,
            );
        });
    }
    if !labels.iter().any(|(name, _)| name == SERVICE_NAME) {
        let stand_in = SERVICE_NAME_STAND_INS
            .iter()
            .find_map(|wanted| labels.iter().find(|(name, _)| name == wanted));
        let service = stand_in.map_or(Cow::Borrowed(UNKNOWN_SERVICE), |(_, value)| value.clone());
        labels.push((Cow::Borrowed(SERVICE_NAME), service));
    }
    (sorted(labels), metadata)
}

fn shared_metadata(
    labels: &Pairs,
    resource: &Shared<'_>,
    scope: Option<&InstrumentationScope>,
) -> Pairs {
    let mut metadata = Vec::new();
    let mut add = |name: Cow<'_, str>, value: Cow<'_, str>| {
        let name = beside(labels, name).into_owned();
        set(
            &mut metadata,
            Cow::Owned(name),
            Cow::Owned(value.into_owned()),
        );
    };
    for (name, value) in resource {
        add(name.clone(), value.clone());
    }
    if let Some(scope) = scope {
        for attribute in &scope.attributes {
            names::each_label(attribute, &mut add);
        }
        if !scope.name.is_empty() {
            add("scope_name".into(), scope.name.as_str().into());
        }
        if !scope.version.is_empty() {
            add("scope_version".into(), scope.version.as_str().into());
        }
        if scope.dropped_attributes_count != 0 {
            let count = scope.dropped_attributes_count.to_string();
            add("scope_dropped_attributes_count".into(), count.into());
        }
    }
    sorted(metadata)
}

/// A name of structured metadata, changed if the stream has a label of that name.
fn beside<'a>(labels: &Pairs, name: Cow<'a, str>) -> Cow<'a, str> {
    if get(labels, &name).is_some() {
        Cow::Owned(format!("{name}_extracted"))
    } else {
        name
    }
}

/// Sets a value; the last one of a name stays. An empty one is no value.
fn set<'a>(pairs: &mut Shared<'a>, name: Cow<'a, str>, value: Cow<'a, str>) {
    if value.is_empty() {
        return;
    }
    match pairs.iter_mut().find(|(n, _)| *n == name) {
        Some((_, old)) => *old = value,
        None => pairs.push((name, value)),
    }
}

fn sorted(pairs: Shared<'_>) -> Pairs {
    let mut pairs: Pairs = pairs
        .into_iter()
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    pairs.sort();
    pairs
}

fn incoming<'a>(
    record: &'a LogRecord,
    origin: &Origin,
    origin_index: usize,
    now: i64,
    index: usize,
) -> Result<Incoming<'a>, OtlpLogsError> {
    let mut trace_id = id("trace_id", &record.trace_id, index)?;
    let mut span_id = id("span_id", &record.span_id, index)?;
    let line = names::text(record.body.as_ref());
    let mut metadata = own_metadata(record, &origin.labels);

    let time = nanos(record.time_unix_nano);
    let mut observed = nanos(record.observed_time_unix_nano);
    let timestamp = [time, observed, now]
        .into_iter()
        .find(|t| *t != 0)
        .unwrap_or(now);
    if time == 0 {
        observed = 0; // it is the timestamp itself, and not shown twice
    }

    let found = level::detect(
        |name| {
            let own = || {
                metadata
                    .iter()
                    .find(|(n, _)| n == name)
                    .map(|(_, value)| value.as_ref())
            };
            // Spares most records two searches for each name.
            if !origin.tells_level {
                return own();
            }
            origin
                .label(name)
                .or_else(own)
                .or_else(|| origin.metadata(name))
        },
        record.severity_number,
        &line,
    );
    set(
        &mut metadata,
        Cow::Borrowed(level::DETECTED_LEVEL),
        Cow::Owned(found),
    );

    // What the resource or scope says of a name stands in the record's place, as in Loki, and an
    // id in the record's own fields stands before an attribute of that name.
    if origin.metadata("trace_id").is_some() {
        trace_id = [0; 16];
    }
    if origin.metadata("span_id").is_some() {
        span_id = [0; 8];
    }
    if origin.metadata("observed_timestamp").is_some() {
        observed = 0;
    }
    metadata.retain(|(name, _)| {
        let own_field = match name.as_ref() {
            "trace_id" => trace_id != [0; 16],
            "span_id" => span_id != [0; 8],
            "observed_timestamp" => observed != 0,
            _ => false,
        };
        !own_field && origin.metadata(name).is_none()
    });
    Ok(Incoming {
        origin: origin_index,
        timestamp,
        observed,
        trace_id,
        span_id,
        line,
        metadata,
    })
}

fn own_metadata<'a>(record: &'a LogRecord, labels: &Pairs) -> Shared<'a> {
    let mut metadata = Vec::with_capacity(record.attributes.len() + 6);
    let mut add = |name: Cow<'a, str>, value: Cow<'a, str>| {
        set(&mut metadata, beside(labels, name), value);
    };
    for attribute in &record.attributes {
        names::each_label(attribute, &mut add);
    }
    if record.severity_number != 0 {
        add(
            "severity_number".into(),
            record.severity_number.to_string().into(),
        );
    }
    if !record.severity_text.is_empty() {
        add("severity_text".into(), record.severity_text.as_str().into());
    }
    if record.dropped_attributes_count != 0 {
        let count = record.dropped_attributes_count.to_string();
        add("dropped_attributes_count".into(), count.into());
    }
    if record.flags != 0 {
        add("flags".into(), record.flags.to_string().into());
    }
    if !record.event_name.is_empty() {
        add("event_name".into(), record.event_name.as_str().into());
    }
    metadata
}

/// An id of the right length, or all zero if there is none.
fn id<const N: usize>(
    field: &'static str,
    bytes: &[u8],
    index: usize,
) -> Result<[u8; N], OtlpLogsError> {
    if bytes.is_empty() {
        return Ok([0; N]);
    }
    bytes.try_into().map_err(|_| OtlpLogsError::IdLength {
        field,
        length: bytes.len(),
        expected: N,
        index,
    })
}

/// OTLP's unsigned nanoseconds; what is beyond the year 2262 is set to its end.
fn nanos(time: u64) -> i64 {
    i64::try_from(time).unwrap_or(i64::MAX)
}
