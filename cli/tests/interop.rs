//! Peers of other makers: an OpenTelemetry SDK of another language exports to `tdemo up`, and the demo's services
//! export through another vendor's collector. Needs both installed, which `.ci/run` does.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tdemo::runtime_dir::Running;
use tdemo::tempo::Tempo;
use tdemo_trace::otlp::json;
use tdemo_trace::owed::{Answer, Caller, Completeness, Owed};
use tdemo_trace::span::StatusCode;
use tdemo_trace::tree::Tree;
use tdemo_trace::{SpanKind, Trace, TraceId, Value};

/// For everything that is waited for; none of it takes long.
const PATIENCE: Duration = Duration::from_secs(30);

/// A process that ends with the test, however the test ends.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A `tdemo up` on free ports, and what it said of itself.
struct Up {
    _process: Process,
    running: Running,
}

impl Up {
    fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut up = Command::new(env!("CARGO_BIN_EXE_tdemo"));
        up.arg("up").env("XDG_RUNTIME_DIR", dir.path());
        for part in [
            "frontend",
            "middleware",
            "backend",
            "otlp-grpc",
            "otlp-http",
            "tempo",
        ] {
            up.args([format!("--{part}-addr"), "127.0.0.1:0".to_owned()]);
        }
        let mut child = up.stdout(Stdio::piped()).spawn().expect("tdemo starts");
        let stdout = child.stdout.take().expect("stdout is piped");
        let process = Process(child);
        // The last line is written once everything stands.
        BufReader::new(stdout)
            .lines()
            .map_while(Result::ok)
            .find(|line| line.starts_with("load "))
            .expect("tdemo up says what to type next");
        let running = find_json(dir.path()).expect("tdemo up leaves its addresses");
        Self {
            _process: process,
            running,
        }
    }

    async fn trace(&self, id: TraceId, whole: impl Fn(&Trace) -> bool) -> Trace {
        let url = self.running.tempo_url.parse().expect("a base URL");
        let tempo = Tempo::open(url).await.expect("the store answers");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let found = tempo.trace(id).await.expect("the store answers");
            if let Some(trace) = found.filter(|trace| whole(trace)) {
                return trace;
            }
            assert!(Instant::now() < deadline, "trace {id} did not arrive whole");
            tokio::task::yield_now().await;
        }
    }
}

fn find_json(dir: &Path) -> Option<Running> {
    std::fs::read_dir(dir).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() {
            return find_json(&path);
        }
        serde_json::from_slice(&std::fs::read(path).ok()?).ok()
    })
}

fn tool(variable: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(
        || panic!("{variable} must name the tool this test needs"),
        PathBuf::from,
    )
}

#[tokio::test]
#[ignore = "needs node and the OpenTelemetry SDK for JavaScript: TDEMO_TEST_OTEL_JS names send.mjs beside its node_modules"]
async fn an_sdk_of_another_language_exports_by_every_protocol() {
    let script = tool("TDEMO_TEST_OTEL_JS");
    // Installed by another test is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let up = Up::start();
    for (protocol, endpoint) in [
        ("grpc", &up.running.otlp_grpc_url),
        ("http/protobuf", &up.running.otlp_http_url),
        ("http/json", &up.running.otlp_http_url),
    ] {
        let sent = Command::new("node")
            .arg(&script)
            .args([protocol, endpoint])
            .output()
            .expect("node runs");
        assert!(
            sent.status.success(),
            "{protocol}: {}",
            String::from_utf8_lossy(&sent.stderr)
        );
        let id: TraceId = String::from_utf8_lossy(&sent.stdout)
            .trim()
            .parse()
            .expect("a trace id");

        let trace = up.trace(id, |trace| trace.spans.len() == 2).await;
        assert_eq!(
            Owed::foreign(Caller::Silent).judge(&trace),
            Completeness::Complete,
            "{protocol}"
        );
        assert_eq!(trace.services(), ["checkout"], "{protocol}");
        let tree = Tree::new(&trace);
        assert_eq!(tree.orphans().count(), 0, "{protocol}");

        let root = trace
            .spans
            .iter()
            .find(|span| span.parent.is_none())
            .expect("a root");
        assert_eq!(
            (root.name.as_str(), root.kind),
            ("GET /cart", SpanKind::Server),
            "{protocol}"
        );
        let child = trace
            .spans
            .iter()
            .find(|span| span.parent == Some(root.id))
            .expect("a child");
        assert_eq!(
            (child.name.as_str(), child.kind),
            ("SELECT cart", SpanKind::Client),
            "{protocol}"
        );
        assert_eq!(child.scope.name, "interop");
        assert_eq!(child.status.code, StatusCode::Error, "{protocol}");
        assert_eq!(child.status.message, "no such cart", "{protocol}");
        for (key, value) in [
            ("text", Value::from("naïve ☃")),
            ("rows", Value::from(42_i64)),
            ("ratio", Value::from(0.5)),
            ("cached", Value::from(false)),
        ] {
            assert_eq!(child.attributes.get(key), Some(&value), "{protocol}");
        }
        assert!(
            matches!(child.attributes.get("ids"), Some(Value::Array(ids)) if ids.len() == 3),
            "{protocol}"
        );
        assert_eq!(child.events.len(), 1, "{protocol}");
        assert_eq!(child.events[0].name, "exception", "{protocol}");
        assert_eq!(child.links.len(), 1, "{protocol}");
        assert_eq!(child.links[0].span_id, root.id, "{protocol}");
    }
}

/// An address that was free a moment ago: the collector and the services must know each other's before they start.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("an address")
}

fn await_listening(address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
        assert!(Instant::now() < deadline, "nothing listens on {address}");
        std::thread::yield_now();
    }
}

/// A binary of another package of the workspace, built beside this one by `cargo test`.
fn sibling(name: &str) -> Command {
    let path = Path::new(env!("CARGO_BIN_EXE_tdemo")).with_file_name(name);
    assert!(
        path.exists(),
        "{} is not built: run `cargo test --workspace` or `cargo build --workspace`",
        path.display()
    );
    Command::new(path)
}

fn service(
    name: &str,
    listen: SocketAddr,
    otlp: SocketAddr,
    next: Option<(&str, SocketAddr)>,
) -> Process {
    let mut service = sibling(name);
    service
        .env("LISTEN", listen.to_string())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{otlp}"))
        .stdout(Stdio::null());
    if let Some((variable, address)) = next {
        service.env(variable, format!("http://{address}"));
    }
    Process(service.spawn().expect("the service starts"))
}

/// What a trace looks like whoever made it: each span's service, kind and name, and the same of its parent.
fn shape(trace: &Trace) -> BTreeSet<(String, Option<String>)> {
    let label =
        |span: &tdemo_trace::Span| format!("{} {} {}", span.service(), span.kind, span.name);
    trace
        .spans
        .iter()
        .map(|span| {
            (
                label(span),
                span.parent.and_then(|id| trace.span(id)).map(label),
            )
        })
        .collect()
}

#[tokio::test]
#[ignore = "needs another vendor's collector: TDEMO_TEST_ROTEL names rotel's program"]
async fn three_processes_deliver_the_original_tree_through_another_vendors_collector() {
    // Installed by another test is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let up = Up::start();
    let [collector, collector_http, frontend, middleware, backend] =
        std::array::from_fn(|_| free_address());
    let _collector = Process(
        Command::new(tool("TDEMO_TEST_ROTEL"))
            .args(["start", "--otlp-grpc-endpoint", &collector.to_string()])
            .args(["--otlp-http-endpoint", &collector_http.to_string()])
            .args(["--exporter", "otlp", "--otlp-exporter-protocol", "grpc"])
            .args(["--otlp-exporter-endpoint", &up.running.otlp_grpc_url])
            .stdout(Stdio::null())
            .spawn()
            .expect("the collector starts"),
    );
    await_listening(collector);
    let _backend = service("backend", backend, collector, None);
    let _middleware = service(
        "middleware",
        middleware,
        collector,
        Some(("BACKEND_URL", backend)),
    );
    let _frontend = service(
        "frontend",
        frontend,
        collector,
        Some(("MIDDLEWARE_URL", middleware)),
    );
    for address in [backend, middleware, frontend] {
        await_listening(address);
    }

    let answer = reqwest::get(format!("http://{frontend}/api/process"))
        .await
        .expect("an answer");
    assert_eq!(answer.status(), 200);
    let traceresponse = answer.headers()["traceresponse"].to_str().expect("ASCII");
    let id: TraceId = traceresponse
        .split('-')
        .nth(1)
        .expect("a trace id")
        .parse()
        .expect("a trace id");
    let owed = Owed::demo(&Answer {
        tier: None,
        method: "GET",
        path: "/api/process",
        status: 200,
        sampled: true,
        caller: Caller::Silent,
    });
    let trace = up
        .trace(id, |trace| owed.judge(trace) == Completeness::Complete)
        .await;
    let original =
        json::decode_by_id(include_bytes!("data/python-trace.json")).expect("a recorded answer");
    let original =
        Trace::from_otlp(original.trace.expect("a trace").resource_spans).expect("valid ids");
    assert_eq!(shape(&trace), shape(&original[0]));
}
