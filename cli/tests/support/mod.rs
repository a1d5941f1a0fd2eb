//! What the tests of the real binary share: a clean environment, a running
//! `tdemo up` on free ports, and a site of the test's own.
#![allow(dead_code, reason = "each test file uses its own part of this")]
#![allow(
    clippy::allow_attributes,
    reason = "whether anything is unused differs by file"
)]
#![allow(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::Value;

/// For everything that is waited for; none of it takes long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The built program with no settings but `args`: no simulated work, and a
/// runtime directory of its own unless one is set.
pub(crate) fn tdemo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tdemo"));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("OTEL_") || name.starts_with("TDEMO_") {
            command.env_remove(&*name);
        }
    }
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "ERROR_RATE", "SLOW_RATE"] {
        command.env_remove(name);
    }
    command
        .args(args)
        .env("MIDDLEWARE_WORK", "0")
        .env("BACKEND_WORK", "0")
        .env(
            "XDG_STATE_HOME",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/state"),
        )
        .env(
            "XDG_RUNTIME_DIR",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/nobody-runs-here"),
        )
        .env(
            "XDG_STATE_HOME",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/state"),
        )
        .env(
            "XDG_CONFIG_HOME",
            concat!(env!("CARGO_TARGET_TMPDIR"), "/no-settings-here"),
        )
        .stdin(Stdio::null());
    command
}

/// Runs to the end.
pub(crate) fn run<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    tdemo(args).output().unwrap()
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A load report: valid by the published schema.
pub(crate) fn report(output: &Output) -> Value {
    valid_json(output, include_str!("../../schema/load.schema.json"))
}

/// The JSON on stdout, valid by a published schema.
pub(crate) fn valid_json(output: &Output, schema: &str) -> Value {
    let schema: Value = serde_json::from_str(schema).unwrap();
    let printed: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {output:?}"));
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator
        .iter_errors(&printed)
        .map(|error| format!("{} {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "{errors:#?}\n{printed:#}");
    printed
}

/// A started program, killed with the test if it has not ended by itself.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    pub(crate) fn start(command: &mut Command) -> Self {
        let child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child }
    }

    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill")
            .args([signal, &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(status.success());
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn stdout(&mut self) -> BufReader<ChildStdout> {
        BufReader::new(self.child.stdout.take().unwrap())
    }

    pub(crate) fn stderr(&mut self) -> BufReader<ChildStderr> {
        BufReader::new(self.child.stderr.take().unwrap())
    }

    pub(crate) fn wait(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }

    /// Both streams to their ends, as far as they were not taken.
    pub(crate) fn output(mut self) -> Output {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        if let Some(mut stream) = self.child.stdout.take() {
            stream.read_to_end(&mut stdout).unwrap();
        }
        if let Some(mut stream) = self.child.stderr.take() {
            stream.read_to_end(&mut stderr).unwrap();
        }
        let status = self.child.wait().unwrap();
        Output {
            status,
            stdout,
            stderr,
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The flags that put every part of a stack on a free port.
pub(crate) fn free_ports() -> Vec<&'static str> {
    [
        "--frontend-addr",
        "--middleware-addr",
        "--backend-addr",
        "--otlp-grpc-addr",
        "--otlp-http-addr",
        "--tempo-addr",
    ]
    .into_iter()
    .flat_map(|flag| [flag, "127.0.0.1:0"])
    .collect()
}

/// A running `tdemo up`, and where its parts are.
pub(crate) struct Up {
    pub(crate) process: Process,
    pub(crate) stdout: BufReader<ChildStdout>,
    /// Its runtime directory, which is this stack's alone.
    pub(crate) home: tempfile::TempDir,
    pub(crate) frontend: String,
    pub(crate) otlp_grpc: String,
    pub(crate) tempo: String,
}

impl Up {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With further flags.
    pub(crate) fn start_with(flags: &[&str]) -> Self {
        let mut command = tdemo(["up"]);
        command.args(flags);
        Self::spawn(command)
    }

    /// With a state directory of its own.
    pub(crate) fn start_in(state: &std::path::Path) -> Self {
        let mut command = tdemo(["up"]);
        command.env("XDG_STATE_HOME", state);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let home = tempfile::tempdir().unwrap();
        command
            .args(free_ports())
            .env("XDG_RUNTIME_DIR", home.path());
        let mut process = Process::start(&mut command);
        let mut stdout = process.stdout();
        let mut said = Vec::new();
        // Its last line is what to type next, and all is printed at once.
        while !said
            .last()
            .is_some_and(|line: &String| line.starts_with("load "))
        {
            let mut line = String::new();
            assert_ne!(
                stdout.read_line(&mut line).unwrap(),
                0,
                "it ended: {said:?}"
            );
            said.push(line);
        }
        let url = |part: &str| {
            let line = said.iter().find(|line| line.starts_with(part)).unwrap();
            line.split_whitespace().nth(1).unwrap().to_owned()
        };
        Self {
            frontend: url("frontend"),
            otlp_grpc: url("OTLP/gRPC"),
            tempo: url("traces"),
            process,
            stdout,
            home,
        }
    }
}

impl Up {
    /// Waits until the frontend has ended so many spans, as its `/metrics` say.
    pub(crate) fn await_spans(&self, wanted: u64) {
        let host = self.frontend.trim_start_matches("http://");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let mut stream = TcpStream::connect(host).unwrap();
            let request =
                format!("GET /metrics HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            let ended = answer
                .lines()
                .find(|line| line.starts_with("tdemo_spans_total") && line.contains("ended"))
                .and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
            if ended >= Some(wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{ended:?} spans of {wanted}");
        }
    }
}

/// A site that answers every request on kept connections with the same bytes,
/// or never where there are none.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
    requests: Arc<AtomicU64>,
}

impl Site {
    pub(crate) fn start(answer: &'static str) -> Self {
        Self::answering(move |_| answer, |stream| stream)
    }

    /// Answers by the number of the request, from 1, over what `wrap` makes of
    /// each connection.
    pub(crate) fn answering<S: Read + Write>(
        answer: impl Fn(u64) -> &'static str + Clone + Send + 'static,
        wrap: impl Fn(TcpStream) -> S + Clone + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&requests);
        // Both kinds of threads end with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (counter, wrap) = (Arc::clone(&counter), wrap.clone());
                let answer = answer.clone();
                std::thread::spawn(move || serve(wrap(stream), answer, &counter));
            }
        });
        Self { address, requests }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/page", self.address)
    }

    pub(crate) fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }

    /// Waits until so many requests have come in.
    pub(crate) fn await_requests(&self, wanted: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.requests() < wanted {
            assert!(
                Instant::now() < deadline,
                "only {} requests came",
                self.requests()
            );
            std::thread::yield_now();
        }
    }
}

/// Requests without a body, one after the other, until the client has gone.
fn serve(
    mut stream: impl Read + Write,
    answer: impl Fn(u64) -> &'static str,
    requests: &AtomicU64,
) {
    let (mut head, mut byte) = (Vec::new(), [0; 1]);
    while let Ok(1) = stream.read(&mut byte) {
        head.push(byte[0]);
        if head.ends_with(b"\r\n\r\n") {
            head.clear();
            let answer = answer(requests.fetch_add(1, Ordering::Relaxed) + 1);
            if stream
                .write_all(answer.as_bytes())
                .and_then(|()| stream.flush())
                .is_err()
            {
                return;
            }
        }
    }
}
