//! How the environment becomes settings.

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<TelemetrySettings, SettingsError> {
    let lookup = |name: &str| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    TelemetrySettings::from_env(&lookup, TelemetrySettings::default())
}

fn exporter(variables: &[(&str, &str)]) -> ExporterSettings {
    read(variables).unwrap().exporter
}

#[test]
fn nothing_set_and_everything_empty_are_the_defaults() {
    let empty = |_: &str| Some("  ".to_owned());
    let from_empty = TelemetrySettings::from_env(&empty, TelemetrySettings::default()).unwrap();
    for settings in [read(&[]).unwrap(), from_empty] {
        assert!(!settings.disabled);
        assert_eq!(settings.sampler, TraceSampler::ParentBasedAlwaysOn);
        assert_eq!(settings.batch, BatchSettings::default());
        assert_eq!(settings.exporter.protocol, Protocol::Grpc);
        assert_eq!(settings.exporter.endpoint, DEFAULT_GRPC_ENDPOINT);
        assert!(settings.exporter.headers.is_empty());
        assert_eq!(settings.service_name, None);
    }
}

#[test]
fn endpoints_follow_the_specification() {
    const GENERAL: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    const OWN: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
    const HTTP: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
    for (variables, expected) in [
        (vec![], "http://localhost:4317/"),
        (vec![(GENERAL, "http://a:1")], "http://a:1/"),
        (vec![HTTP], "http://localhost:4318/v1/traces"),
        (vec![HTTP, (GENERAL, "http://a:1")], "http://a:1/v1/traces"),
        (vec![HTTP, (GENERAL, "http://a:1/")], "http://a:1/v1/traces"),
        (vec![HTTP, (GENERAL, "http://a/b/")], "http://a/b/v1/traces"),
        (vec![HTTP, (OWN, "https://a/own")], "https://a/own"),
        (vec![HTTP, (OWN, "http://a:1")], "http://a:1/"),
        (
            vec![(GENERAL, "http://a:1"), (OWN, "http://b:2")],
            "http://b:2/",
        ),
        (vec![(GENERAL, "a:1")], "https://a:1/"),
        (
            vec![(GENERAL, "a:1"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")],
            "http://a:1/",
        ),
    ] {
        assert_eq!(exporter(&variables).endpoint, expected, "{variables:?}");
    }
}

#[test]
fn the_signals_own_variables_win() {
    let exporter = exporter(&[
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=1"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "b=2"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2000"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/a"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/b"),
    ]);
    assert_eq!(exporter.protocol, Protocol::Grpc);
    assert_eq!(exporter.headers.len(), 1);
    assert_eq!(exporter.headers["b"], "2");
    assert!(exporter.gzip);
    assert_eq!(exporter.timeout, Duration::from_secs(2));
    assert_eq!(exporter.certificate, Some(PathBuf::from("/b")));
}

#[test]
fn headers_and_resource_attributes_are_decoded() {
    let settings = read(&[
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "authorization=Basic%20abc== , x-id=1,",
        ),
        ("OTEL_RESOURCE_ATTRIBUTES", "team=a%2Cb,empty="),
        ("OTEL_SERVICE_NAME", "mine"),
    ])
    .unwrap();
    assert_eq!(settings.exporter.headers["authorization"], "Basic abc==");
    assert_eq!(settings.exporter.headers["x-id"], "1");
    let attributes = settings.resource_attributes;
    assert_eq!(attributes[0], ("team".to_owned(), "a,b".to_owned()));
    assert_eq!(attributes[1], ("empty".to_owned(), String::new()));
    assert_eq!(settings.service_name.as_deref(), Some("mine"));
}

#[test]
fn the_batch_processors_variables() {
    let batch = read(&[
        ("OTEL_BSP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10"),
        ("OTEL_BSP_SCHEDULE_DELAY", "20"),
        ("OTEL_BSP_EXPORT_TIMEOUT", "30"),
    ])
    .unwrap()
    .batch;
    assert_eq!((batch.max_queue_items, batch.max_batch_items), (100, 10));
    assert_eq!(batch.schedule_delay, Duration::from_millis(20));
    assert_eq!(batch.export_deadline, Duration::from_millis(30));

    // A queue smaller than the default batch makes the batch smaller.
    let small = read(&[("OTEL_BSP_MAX_QUEUE_SIZE", "7")]).unwrap().batch;
    assert_eq!(small.max_batch_items, 7);
}

#[test]
fn log_records_are_exported_only_where_that_is_asked_for() {
    const BOTH: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a:1");
    for value in ["", "none", "console"] {
        let settings = read(&[BOTH, ("OTEL_LOGS_EXPORTER", value)]).unwrap();
        assert!(settings.logs.otlp.is_none(), "{value}");
    }
    let otlp = read(&[
        BOTH,
        ("OTEL_LOGS_EXPORTER", "console, otlp"),
        ("OTEL_EXPORTER_OTLP_LOGS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=1"),
        ("OTEL_BLRP_MAX_QUEUE_SIZE", "100"),
        ("OTEL_BLRP_SCHEDULE_DELAY", "20"),
    ])
    .unwrap()
    .logs
    .otlp
    .unwrap();
    assert_eq!(otlp.exporter.endpoint, "http://a:1/v1/logs");
    assert!(otlp.exporter.headers.is_empty());
    assert_eq!(otlp.batch.max_queue_items, 100);
    assert_eq!(otlp.batch.max_batch_items, 100);
    assert_eq!(otlp.batch.schedule_delay, Duration::from_millis(20));

    let http = [
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf"),
    ];
    let otlp = read(&http).unwrap().logs.otlp.unwrap();
    assert_eq!(otlp.exporter.endpoint, "http://localhost:4318/v1/logs");
}

#[test]
fn all_six_samplers() {
    const ARGUMENT: (&str, &str) = ("OTEL_TRACES_SAMPLER_ARG", "0.25");
    for (name, expected) in [
        ("always_on", TraceSampler::AlwaysOn),
        ("always_off", TraceSampler::AlwaysOff),
        ("traceidratio", TraceSampler::Ratio(0.25)),
        ("parentbased_always_on", TraceSampler::ParentBasedAlwaysOn),
        ("parentbased_always_off", TraceSampler::ParentBasedAlwaysOff),
        (
            "parentbased_traceidratio",
            TraceSampler::ParentBasedRatio(0.25),
        ),
    ] {
        let settings = read(&[("OTEL_TRACES_SAMPLER", name), ARGUMENT]).unwrap();
        assert_eq!(settings.sampler, expected);
    }
    let whole = read(&[("OTEL_TRACES_SAMPLER", "traceidratio")]).unwrap();
    assert_eq!(whole.sampler, TraceSampler::Ratio(1.0));
}

#[test]
fn a_bad_value_is_one_line_that_names_the_variable() {
    for (name, value) in [
        ("OTEL_SDK_DISABLED", "yes"),
        ("OTEL_TRACES_SAMPLER", "sometimes"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "GRPC"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "ftp://a"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://a/path"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://a b"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "0"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "18446744073709551615"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "-1"),
        ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "65537"),
        ("OTEL_BSP_SCHEDULE_DELAY", "soon"),
        ("OTEL_RESOURCE_ATTRIBUTES", "novalue"),
        ("OTEL_LOGS_EXPORTER", "stdout"),
        ("RUST_LOG", "tdemo=loud"),
    ] {
        let error = read(&[(name, value)]).unwrap_err();
        let line = error.to_string();
        assert_eq!((error.name.as_str(), error.value.as_str()), (name, value));
        assert!(line.starts_with(name) && !line.contains('\n'), "{line}");
    }
    let ratio = [
        ("OTEL_TRACES_SAMPLER", "traceidratio"),
        ("OTEL_TRACES_SAMPLER_ARG", "2"),
    ];
    assert_eq!(read(&ratio).unwrap_err().name, "OTEL_TRACES_SAMPLER_ARG");
}

#[test]
fn secrets_are_not_repeated() {
    for (name, value) in [
        ("OTEL_EXPORTER_OTLP_HEADERS", "bad name=secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "secret"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0a"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://user:secret@host"),
    ] {
        let line = read(&[(name, value)]).unwrap_err().to_string();
        assert!(line.starts_with(name) && !line.contains("secret"), "{line}");
    }
    let settings = exporter(&[("OTEL_EXPORTER_OTLP_HEADERS", "a=secret")]);
    assert!(!format!("{settings:?}").contains("secret"));
}
