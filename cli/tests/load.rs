//! `tdemo load` as a user runs it: the real binary against the embedded stack,
//! a running `tdemo up` and sites that are not the demo.

mod support;

use std::io::BufRead as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::json;
use support::{Process, Site, Up, code, report, run, tdemo, text};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn fifty_requests_are_fifty_whole_traces() {
    let output = run(["load", "--count", "50", "--json"]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let report = report(&output);
    assert_eq!(report["verdict"], "pass");
    assert_eq!(report["partial"], false);
    assert_eq!(report["run"]["embedded"], true);
    let requests = &report["requests"];
    assert_eq!(
        (&requests["sent"], &requests["ok"], &requests["failed"]),
        (&json!(50), &json!(50), &json!(0))
    );
    assert_eq!(requests["by_status"], json!({"200": 50}));
    let traces = &report["traces"];
    assert_eq!(
        (&traces["expected"], &traces["complete"]),
        (&json!(50), &json!(50))
    );
    assert_eq!(
        (&traces["incomplete"], &traces["missing"]),
        (&json!(0), &json!(0))
    );
    assert_eq!(
        report["spans"],
        json!({"expected": 400, "stored": 400, "dropped": 0})
    );
    assert_eq!(report["exemplars"].as_array().unwrap().len(), 10);
    assert_eq!(
        report["exemplars"][0]["latency_ms"],
        report["latency_ms"]["max"]
    );
}

#[test]
fn the_text_says_the_same_plainly_and_ends_with_the_verdict() {
    let output = run(["load", "--count", "20", "--connections", "3"]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let said = text(&output.stdout);
    assert!(
        said.starts_with("load → embedded stack, GET http://127.0.0.1:"),
        "{said}"
    );
    for part in [
        "20 requests, 3 connections, closed loop\n",
        "\nrequests   20 ok   0 failed   in ",
        "\nstatus     200 × 20\n",
        "\ntraces     20 of 20 complete, 160 of 160 spans, 0 dropped\n",
        "\nPASS   ",
    ] {
        assert!(said.contains(part), "{part:?} in:\n{said}");
    }
    assert!(
        !said.contains('\u{1b}'),
        "escape sequences into a pipe:\n{said}"
    );
    let widest = said.lines().map(|line| line.chars().count()).max();
    assert!(widest <= Some(80), "{widest:?} columns:\n{said}");
}

#[test]
fn what_it_says_to_type_next_can_be_typed() {
    let state = tempfile::tempdir().unwrap();
    let mut load = tdemo(["load", "--count", "12"]);
    let output = load.env("XDG_STATE_HOME", state.path()).output().unwrap();
    let said = text(&output.stdout).trim_end();
    let (_, next) = said
        .rsplit_once("PASS   look at the slowest:  tdemo ")
        .unwrap();
    let mut trace = tdemo(next.split_whitespace());
    let output = trace.env("XDG_STATE_HOME", state.path()).output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(
        text(&output.stdout).contains("backend-get-data"),
        "{output:?}"
    );

    let up = Up::start();
    let output = run([
        "load",
        "--target",
        &up.frontend,
        "--tempo-url",
        &up.tempo,
        "--count",
        "3",
    ]);
    let said = text(&output.stdout).trim_end();
    let (_, next) = said
        .rsplit_once("PASS   look at the slowest:\n       tdemo ")
        .unwrap();
    let output = run(next.split_whitespace());
    assert_eq!(code(&output), 0, "{output:?}");
    assert!(
        text(&output.stdout).contains("backend-get-data"),
        "{output:?}"
    );
}

#[test]
fn colour_is_for_those_who_want_it() {
    let colourful = |name: &str| {
        let mut command = tdemo(["load", "--count", "1"]);
        let output = command
            .env("CLICOLOR_FORCE", "1")
            .env(name, "1")
            .output()
            .unwrap();
        assert_eq!(code(&output), 0);
        text(&output.stdout).contains("\u{1b}[")
    };
    assert!(colourful("UNRELATED"));
    assert!(!colourful("NO_COLOR"));
}

#[test]
fn what_cannot_be_meant_is_one_line_and_2() {
    for (args, said) in [
        (
            &["--count", "0"][..],
            "tdemo: invalid value '0' for '--count <N>': give a whole number of at least 1; see --help\n",
        ),
        (
            &["--count", "-5"],
            "tdemo: invalid value '-5' for '--count <N>': give a whole number of at least 1; see --help\n",
        ),
        (
            &["--connections", "many"],
            "tdemo: invalid value 'many' for '--connections <N>': give a whole number from 1 to 60000; see --help\n",
        ),
        (
            &["--duration", "10"],
            "tdemo: invalid value '10' for '--duration <D>': give a number and a unit, as in 500ms, 30s or 5m; see --help\n",
        ),
        (
            &["--duration", "0s"],
            "tdemo: invalid value '0s' for '--duration <D>': give more than zero; see --help\n",
        ),
        (
            &["--target", "localhost:5000"],
            "tdemo: --target \"localhost:5000\": the scheme is missing: write http://localhost:5000\n",
        ),
        (
            &["--target", "ftp://host"],
            "tdemo: --target \"ftp://host\": scheme \"ftp\" is not supported: use http or https\n",
        ),
        (
            &["--tempo-url", "http://127.0.0.1:3200"],
            "tdemo: --tempo-url names a backend that the stack of this process does not export to: add --otlp-endpoint URL to export there, or --target URL to load another stack\n",
        ),
        (
            &[
                "--target",
                "http://host",
                "--otlp-endpoint",
                "http://host:4317",
            ],
            "tdemo: --otlp-endpoint is where the stack of this process exports as well, and --target loads another one: leave out one of them\n",
        ),
        (
            &["--cont", "5"],
            "tdemo: unexpected argument '--cont' found; tip: a similar argument exists: '--count'; see --help\n",
        ),
    ] {
        let output = run(["load"].iter().chain(args).copied());
        assert_eq!(text(&output.stderr), said, "{args:?}");
        assert_eq!((code(&output), text(&output.stdout)), (2, ""), "{args:?}");
    }
    let output = tdemo(["load"])
        .env("BACKEND_WORK", "soon")
        .output()
        .unwrap();
    assert_eq!((code(&output), output.stdout.len()), (2, 0));
    assert!(
        text(&output.stderr).starts_with("tdemo: BACKEND_WORK"),
        "{output:?}"
    );
    assert_eq!(text(&output.stderr).lines().count(), 1);
}

#[test]
fn help_is_on_stdout_and_has_examples() {
    let output = run(["load", "--help"]);
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    assert!(text(&output.stdout).contains("Examples:\n  tdemo load --count 50\n"));
    assert!(text(&output.stdout).contains("[default: 30s]"));
}

#[test]
fn failing_requests_fail_the_run_but_not_its_audit() {
    let mut command = tdemo(["load", "--count", "30", "--json"]);
    let output = command.env("ERROR_RATE", "1").output().unwrap();
    assert_eq!(code(&output), 1, "{output:?}");
    let report = report(&output);
    assert_eq!(report["verdict"], "fail");
    assert_eq!(report["requests"]["by_status"], json!({"500": 30}));
    assert_eq!(report["requests"]["errors"], json!({"status": 30}));
    assert_eq!(report["latency_ms"]["p50"], json!(null));
    assert!(report["failed_latency_ms"]["p50"].is_number());
    assert_eq!(report["traces"]["complete"], 30);
    assert_eq!(report["checks"][0]["ok"], false);
    assert_eq!(report["checks"][1]["ok"], true);
}

#[test]
fn a_target_that_is_down_is_3() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let url = format!("http://{address}");
    let output = run(["load", "--target", &url, "--count", "5", "--json"]);
    assert_eq!(code(&output), 3);
    let report = report(&output);
    assert_eq!(report["requests"]["errors"], json!({"refused": 5}));
    assert_eq!(
        (&report["verdict"], &report["traces"]),
        (&json!("fail"), &json!(null))
    );
    let said = text(&output.stderr);
    assert!(
        said.starts_with(&format!(
            "tdemo: no request to {url}/api/process got an answer: "
        )),
        "{said}"
    );
    assert_eq!(said.lines().count(), 1);
}

#[test]
fn a_trace_backend_that_is_down_is_known_before_anything_is_sent() {
    let site = Site::start(OK);
    let nowhere = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let web = Site::start("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n");
    let not_tempo = format!("http://{}", web.address);
    for (url, why) in [
        (&nowhere, "refused"),
        (&not_tempo, "does not answer like Tempo"),
    ] {
        let output = run(["load", "--target", &site.url(), "--tempo-url", url]);
        assert_eq!((code(&output), text(&output.stdout)), (3, ""));
        let said = text(&output.stderr);
        assert!(
            said.starts_with(&format!("tdemo: the trace backend {url} cannot be used: ")),
            "{said}"
        );
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    }
    assert_eq!(site.requests(), 0);
}

#[test]
fn any_site_can_be_loaded_and_without_a_backend_nothing_is_audited() {
    let site = Site::start(OK);
    let output = run(["load", "--target", &site.url(), "--count", "100", "--json"]);
    assert_eq!(code(&output), 0);
    let json = report(&output);
    assert_eq!(json["traces"], json!(null));
    assert_eq!(
        json["spans"],
        json!({"expected": null, "stored": null, "dropped": null})
    );
    assert_eq!(json["requests"]["body_bytes"], 200);
    assert_eq!(site.requests(), 100);
    let output = run(["load", "--target", &site.url(), "--duration", "100ms"]);
    assert_eq!(code(&output), 0);
    assert!(
        text(&output.stdout)
            .contains("\ntraces     not audited: no trace backend was given (--tempo-url)\n")
    );
}

#[test]
fn a_running_stack_is_loaded_and_audited_over_http() {
    let up = Up::start();
    let output = run([
        "load",
        "--target",
        &up.frontend,
        "--tempo-url",
        &up.tempo,
        "--count",
        "40",
        "--json",
    ]);
    assert_eq!(code(&output), 0, "{output:?}");
    let json = report(&output);
    assert_eq!(json["run"]["embedded"], false);
    assert_eq!(json["traces"]["complete"], 40);
    assert_eq!(
        json["spans"],
        json!({"expected": 320, "stored": 320, "dropped": null})
    );

    // A lone slash is that very URL: the frontend's own span, and no more.
    let root = format!("{}/", up.frontend);
    let output = run([
        "load",
        "--target",
        &root,
        "--tempo-url",
        &up.tempo,
        "--count",
        "10",
        "--json",
    ]);
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(report(&output)["spans"]["stored"], 10);

    // Every answer of a path that is not there fails, and is traced all the same.
    let missing = format!("{}/nowhere", up.frontend);
    let output = run([
        "load",
        "--target",
        &missing,
        "--tempo-url",
        &up.tempo,
        "--count",
        "10",
        "--json",
    ]);
    assert_eq!(code(&output), 1, "{output:?}");
    let json = report(&output);
    assert_eq!(json["requests"]["by_status"], json!({"404": 10}));
    assert_eq!(json["traces"]["complete"], 10);

    // What is running is known, and its backend is offered.
    let mut command = tdemo(["load", "--target", &up.frontend, "--count", "1"]);
    let output = command
        .env("XDG_RUNTIME_DIR", up.home.path())
        .output()
        .unwrap();
    let offer = format!(
        "       tdemo load --target {}/api/process --tempo-url {}\n",
        up.frontend, up.tempo
    );
    assert!(text(&output.stdout).ends_with(&offer), "{output:?}");
}

#[test]
fn traces_that_went_elsewhere_are_missing() {
    let (up, elsewhere) = (Up::start(), Up::start());
    let output = run([
        "load",
        "--target",
        &up.frontend,
        "--tempo-url",
        &elsewhere.tempo,
        "--count",
        "12",
        "--audit-wait",
        "50ms",
        "--json",
    ]);
    assert_eq!(code(&output), 1, "{output:?}");
    let report = report(&output);
    assert_eq!(report["verdict"], "fail");
    assert_eq!(
        (&report["traces"]["missing"], &report["traces"]["complete"]),
        (&json!(12), &json!(0))
    );
    assert_eq!(
        report["spans"],
        json!({"expected": 96, "stored": 0, "dropped": null})
    );
    let problems = report["traces"]["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 10);
    assert!(problems.iter().all(|problem| problem["state"] == "missing"));
}

#[test]
fn a_backend_that_fails_leaves_traces_unread() {
    const TRACED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ntraceresponse: \
        00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n";
    const BROKEN: &str = "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 8\r\n\r\nnot now\n";
    let site = Site::start(TRACED);
    // It passes for Tempo: an unknown id is an empty message. Then it is down.
    let backend = Site::answering(
        |number| match number {
            1 => "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
            _ => BROKEN,
        },
        |stream| stream,
    );
    let tempo = format!("http://{}", backend.address);
    let output = run([
        "load",
        "--target",
        &site.url(),
        "--tempo-url",
        &tempo,
        "--count",
        "500",
        "--audit-wait",
        "1ms",
        "--json",
    ]);
    assert_eq!(code(&output), 1, "{output:?}");
    let report = report(&output);
    assert_eq!(report["traces"]["unread"], 500);
    let problem = &report["traces"]["problems"][0];
    assert_eq!(problem["state"], "unread");
    let why = problem["what"][0].as_str().unwrap();
    assert!(
        why.ends_with("was answered 503 Service Unavailable: not now"),
        "{why}"
    );
    // After the wait, the first failure speaks for the rest.
    assert!(backend.requests() < 100, "{}", backend.requests());
}

#[test]
fn embedded_services_export_to_another_backend_as_well() {
    let up = Up::start();
    let output = run([
        "load",
        "--otlp-endpoint",
        &up.otlp_grpc,
        "--tempo-url",
        &up.tempo,
        "--count",
        "20",
        "--json",
    ]);
    assert_eq!(code(&output), 0, "{output:?}");
    let report = report(&output);
    assert_eq!(report["run"]["tempo_url"], up.tempo);
    assert_eq!(report["traces"]["complete"], 20);
    assert_eq!(
        report["spans"],
        json!({"expected": 160, "stored": 160, "dropped": 0})
    );
}

#[test]
fn a_run_without_any_trace_to_audit_is_no_pass() {
    let (up, site) = (Up::start(), Site::start(OK));
    let output = run([
        "load",
        "--target",
        &site.url(),
        "--tempo-url",
        &up.tempo,
        "--count",
        "5",
    ]);
    assert_eq!(code(&output), 1);
    let said = text(&output.stdout);
    assert!(
        said.contains("✗ traces.complete: no answer named its trace (traceresponse header)"),
        "{said}"
    );
    assert!(said.contains("\nFAIL"), "{said}");
}

#[test]
fn an_unsampled_trace_owes_nothing() {
    let mut command = tdemo(["load", "--count", "10", "--json"]);
    let output = command
        .env("OTEL_TRACES_SAMPLER", "always_off")
        .output()
        .unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    let report = report(&output);
    assert_eq!(
        (
            &report["traces"]["expected"],
            &report["traces"]["unsampled"]
        ),
        (&json!(0), &json!(10))
    );
    assert_eq!(
        report["spans"],
        json!({"expected": 0, "stored": 0, "dropped": 0})
    );
}

#[test]
fn variables_without_a_say_are_named_once() {
    let mut command = tdemo(["load", "--count", "5", "--json"]);
    command
        .env("OTEL_SERVICE_NAME", "mine")
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1");
    let output = command.output().unwrap();
    assert_eq!(
        text(&output.stderr),
        "tdemo: the embedded stack keeps its own names and receiver; ignored: OTEL_SERVICE_NAME, \
         OTEL_EXPORTER_OTLP_ENDPOINT\n"
    );
    assert_eq!(code(&output), 0);
    assert_eq!(report(&output)["traces"]["complete"], 5);
}

#[test]
fn an_interrupt_reports_what_was_measured() {
    let site = Site::start(OK);
    let load = Process::start(&mut tdemo([
        "load",
        "--target",
        &site.url(),
        "--duration",
        "1h",
        "--json",
    ]));
    site.await_requests(20);
    load.signal("-INT");
    let output = load.output();
    assert_eq!(code(&output), 130, "{output:?}");
    let report = report(&output);
    assert_eq!(
        (&report["partial"], &report["requests"]["failed"]),
        (&json!(true), &json!(0))
    );
    assert_eq!(report["requests"]["sent"], site.requests());
}

#[test]
fn an_interrupted_run_is_still_audited() {
    let up = Up::start();
    let load = Process::start(&mut tdemo([
        "load",
        "--target",
        &up.frontend,
        "--tempo-url",
        &up.tempo,
        "--duration",
        "1h",
        "--json",
    ]));
    up.await_spans(3 * 20);
    load.signal("-INT");
    let output = load.output();
    assert_eq!(code(&output), 130, "{output:?}");
    let report = report(&output);
    assert_eq!(
        (&report["partial"], &report["verdict"]),
        (&json!(true), &json!("pass"))
    );
    assert!(
        report["traces"]["expected"].as_u64() >= Some(20),
        "{report:#}"
    );
    assert_eq!(report["traces"]["complete"], report["traces"]["expected"]);
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    let silent = Site::start("");
    let mut load = Process::start(&mut tdemo(["load", "--target", &silent.url()]));
    let mut stderr = load.stderr();
    silent.await_requests(10);
    load.signal("-INT");
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "tdemo: stopping; a second Ctrl-C leaves at once\n");
    let started = Instant::now();
    load.signal("-INT");
    let output = load.output();
    assert_eq!((code(&output), text(&output.stdout)), (130, ""));
    // Ten requests in flight would have had five seconds more.
    assert!(
        started.elapsed() < Duration::from_secs(4),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_reader_that_has_gone_is_no_error() {
    let mut load = Process::start(&mut tdemo(["load", "--count", "5"]));
    drop(load.stdout());
    let output = load.output();
    assert_eq!((code(&output), text(&output.stderr)), (0, ""));
    let mut help = tdemo(["load", "--help"]);
    let mut help = Process::start(help.stdin(Stdio::null()));
    drop(help.stdout());
    assert_eq!(code(&help.output()), 0);
}

#[test]
fn https_is_loaded_where_the_certificate_is_trusted() {
    let rcgen::CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let config = rustls::ServerConfig::builder_with_provider(
        rustls::crypto::ring::default_provider().into(),
    )
    .with_safe_default_protocol_versions()
    .unwrap()
    .with_no_client_auth()
    .with_single_cert(vec![cert.der().clone()], signing_key.into())
    .unwrap();
    let config = std::sync::Arc::new(config);
    let site = Site::answering(
        |_| OK,
        move |stream| {
            let connection = rustls::ServerConnection::new(config.clone()).unwrap();
            rustls::StreamOwned::new(connection, stream)
        },
    );
    let pem = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(pem.path(), cert.pem()).unwrap();
    let url = format!("https://localhost:{}/", site.address.port());
    let mut load = tdemo(["load", "--target", &url, "--count", "20", "--json"]);
    let output = load.env("SSL_CERT_FILE", pem.path()).output().unwrap();
    assert_eq!(code(&output), 0, "{output:?}");
    assert_eq!(report(&output)["requests"]["ok"], 20);
    assert_eq!(site.requests(), 20);

    let strange = rcgen::generate_simple_self_signed(["elsewhere".to_owned()]).unwrap();
    std::fs::write(pem.path(), strange.cert.pem()).unwrap();
    let mut load = tdemo(["load", "--target", &url, "--count", "5", "--json"]);
    let output = load.env("SSL_CERT_FILE", pem.path()).output().unwrap();
    assert_eq!(code(&output), 3, "{output:?}");
    assert_eq!(report(&output)["requests"]["errors"], json!({"tls": 5}));
}
