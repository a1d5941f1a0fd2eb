//! Requests of log records for the tests of logs.

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
use opentelemetry_proto::tonic::resource::v1::Resource;

pub(crate) fn any(text: &str) -> AnyValue {
    AnyValue {
        value: Some(Value::StringValue(text.to_owned())),
    }
}

pub(crate) fn attribute(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(any(value)),
        ..KeyValue::default()
    }
}

/// A record of a time in nanoseconds with a line.
pub(crate) fn record(time: u64, line: &str) -> LogRecord {
    LogRecord {
        time_unix_nano: time,
        body: Some(any(line)),
        ..LogRecord::default()
    }
}

/// A record of a trace.
pub(crate) fn traced(time: u64, line: &str, trace: u128) -> LogRecord {
    LogRecord {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: vec![7; 8],
        ..record(time, line)
    }
}

/// A request of one service.
pub(crate) fn request(service: &str, records: Vec<LogRecord>) -> ExportLogsServiceRequest {
    let resource = Resource {
        attributes: vec![attribute("service.name", service)],
        ..Resource::default()
    };
    let scope = InstrumentationScope {
        name: "demo".to_owned(),
        ..InstrumentationScope::default()
    };
    ExportLogsServiceRequest {
        resource_logs: vec![ResourceLogs {
            resource: Some(resource),
            scope_logs: vec![ScopeLogs {
                scope: Some(scope),
                log_records: records,
                ..ScopeLogs::default()
            }],
            ..ResourceLogs::default()
        }],
    }
}
