//! The three programs themselves: under load when SIGTERM comes, with a collector that is gone, with bad settings.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tdemo_services::Tier;
use tokio::net::TcpStream;

use crate::common::{Answer, DEADLINE, Receiver, get, request};

fn command(tier: Tier) -> Command {
    let mut command = Command::new(match tier {
        Tier::Frontend => env!("CARGO_BIN_EXE_frontend"),
        Tier::Middleware => env!("CARGO_BIN_EXE_middleware"),
        Tier::Backend => env!("CARGO_BIN_EXE_backend"),
    });
    command
        .env_clear()
        .env("LISTEN", "127.0.0.1:0")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// A running program; killed if a test ends without having stopped it.
struct Program {
    child: Child,
    address: SocketAddr,
}

impl Program {
    /// Starts a program and waits for the line that says where it listens.
    fn start(command: &mut Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first: serde_json::Value =
            serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        let port = u16::try_from(first["server.port"].as_u64().unwrap()).unwrap();
        // Somebody has to read on, or the program's log would have nowhere to go.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            child,
            address: ([127, 0, 0, 1], port).into(),
        }
    }

    fn terminate(&self) {
        let killed = Command::new("kill")
            .args(["-TERM", &self.child.id().to_string()])
            .status()
            .unwrap();
        assert!(killed.success());
    }

    /// Waits for the end; gives the exit code and what stderr said.
    fn ended(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + DEADLINE;
        let (sender, receiver) = std::sync::mpsc::channel();
        let mut stderr = self.child.stderr.take().unwrap();
        // stderr ends when the program does.
        std::thread::spawn(move || {
            let mut text = String::new();
            stderr.read_to_string(&mut text).unwrap();
            sender.send(text)
        });
        let text = receiver
            .recv_timeout(deadline - Instant::now())
            .expect("the program ends");
        (self.child.wait().unwrap().code(), text)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Fails where it has ended, as it should have.
        let _ = self.child.kill();
    }
}

struct Programs {
    receiver: Receiver,
    all: [Option<Program>; 3],
}

impl Programs {
    fn start() -> Self {
        let receiver = Receiver::start();
        let traced = |tier: Tier| {
            let mut command = command(tier);
            command
                .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
                .env("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url());
            command
                .env("MIDDLEWARE_WORK", "2ms")
                .env("BACKEND_WORK", "4ms");
            command
        };
        let backend = Program::start(&mut traced(Tier::Backend));
        let middleware = Program::start(
            traced(Tier::Middleware).env("BACKEND_URL", format!("http://{}", backend.address)),
        );
        let frontend = Program::start(
            traced(Tier::Frontend).env("MIDDLEWARE_URL", format!("http://{}", middleware.address)),
        );
        Self {
            receiver,
            all: [Some(frontend), Some(middleware), Some(backend)],
        }
    }

    fn frontend(&self) -> SocketAddr {
        self.all[0].as_ref().unwrap().address
    }
}

/// Asks over one connection after the other until told to stop or nobody listens; every request must be answered.
async fn ask_on(to: SocketAddr, stop: Arc<AtomicBool>, answered: Arc<AtomicUsize>) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Ok(stream) = TcpStream::connect(to).await {
        let (mut sender, connection) = http1::handshake::<_, Full<Bytes>>(TokioIo::new(stream))
            .await
            .unwrap();
        tokio::spawn(connection);
        while sender.ready().await.is_ok() {
            if stop.load(Ordering::Relaxed) {
                return answers;
            }
            let answer = sender
                .send_request(request("GET", "/api/process", &[], ""))
                .await
                .expect("an answer");
            let (parts, body) = answer.into_parts();
            let body = body.collect().await.expect("a whole answer").to_bytes();
            answers.push(Answer {
                status: parts.status,
                headers: parts.headers,
                body,
            });
            answered.fetch_add(1, Ordering::Relaxed);
        }
    }
    answers
}

/// Stops one program under load, then the others, and accounts for every request and every span.
async fn terminated_under_load(tier: Tier) {
    let mut programs = Programs::start();
    let (stop, answered) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let to = programs.frontend();
    let asking: Vec<_> = (0..8)
        .map(|_| tokio::spawn(ask_on(to, Arc::clone(&stop), Arc::clone(&answered))))
        .collect();
    let under_load = async {
        while answered.load(Ordering::Relaxed) < 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, under_load)
        .await
        .expect("200 answers");

    let program = programs.all[Tier::ALL.iter().position(|other| *other == tier).unwrap()]
        .take()
        .unwrap();
    program.terminate();
    let ended = tokio::task::spawn_blocking(|| program.ended())
        .await
        .unwrap();
    assert_eq!(ended, (Some(0), String::new()), "{tier}");
    stop.store(true, Ordering::Relaxed);
    let mut answers = Vec::new();
    for task in asking {
        answers.extend(task.await.expect("every request is answered"));
    }
    for program in programs.all.into_iter().flatten() {
        program.terminate();
        let ended = tokio::task::spawn_blocking(|| program.ended())
            .await
            .unwrap();
        assert_eq!(ended, (Some(0), String::new()));
    }

    assert!(answers.len() >= 200);
    let spans = programs.receiver.all();
    let mut of_trace = std::collections::HashMap::<_, Vec<_>>::new();
    for seen in &spans {
        of_trace
            .entry(crate::common::hex(&seen.span.trace_id))
            .or_default()
            .push(seen);
    }
    for answer in &answers {
        let trace = &of_trace[&answer.trace_id()];
        let labels: Vec<_> = trace.iter().map(|seen| seen.label()).collect();
        if answer.status == 200 {
            assert_eq!(trace.len(), 8, "{labels:?}");
        } else {
            // Once the tier listens no more, its caller is told so; nothing that it had taken was broken off.
            assert_eq!(answer.status, 502, "{answer:?}");
            let refused = trace
                .iter()
                .any(|seen| seen.text("error.type") == Some("connection_refused"));
            assert!(refused, "{labels:?} {:?}", answer.body);
        }
    }
    assert_eq!(of_trace.len(), answers.len(), "no trace without an answer");
    if tier == Tier::Frontend {
        assert!(answers.iter().all(|answer| answer.status == 200));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frontend_told_to_stop_under_load_loses_nothing() {
    terminated_under_load(Tier::Frontend).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_middleware_told_to_stop_under_load_loses_nothing() {
    terminated_under_load(Tier::Middleware).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_told_to_stop_under_load_loses_nothing() {
    terminated_under_load(Tier::Backend).await;
}

#[tokio::test]
async fn without_a_collector_a_stop_takes_its_deadline_and_says_what_is_lost() {
    let mut command = command(Tier::Backend);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    command
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", nobody)
        .env("BACKEND_WORK", "0");
    let backend = Program::start(&mut command);
    assert_eq!(get(backend.address, "/api/data").await.status, 200);
    let started = Instant::now();
    backend.terminate();
    let (code, stderr) = backend.ended();
    assert_eq!(code, Some(0));
    assert!(
        stderr.contains("of 2 spans, 2 failed to be exported"),
        "{stderr}"
    );
    assert!(
        started.elapsed() < Duration::from_secs(8),
        "{:?}",
        started.elapsed()
    );
}

#[test]
fn a_bad_setting_is_one_line_and_exit_code_2() {
    for (tier, name, value) in [
        (Tier::Backend, "BACKEND_WORK", "fast"),
        (Tier::Middleware, "BACKEND_URL", "ftp://backend"),
        (Tier::Frontend, "MAX_IN_FLIGHT", "-1"),
        (Tier::Frontend, "OTEL_TRACES_SAMPLER", "sometimes"),
        (
            Tier::Frontend,
            "OTEL_EXPORTER_OTLP_ENDPOINT",
            "nowhere at all",
        ),
        (Tier::Frontend, "OTEL_EXPORTER_OTLP_PROTOCOL", "smoke"),
    ] {
        let output = command(tier).env(name, value).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(
            stderr.lines().count() == 1 && stderr.contains(name) && stderr.contains(value),
            "{stderr}"
        );
        assert!(output.stdout.is_empty());
    }
    let output = command(Tier::Backend)
        .args(["--error-rate", "2"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(
        String::from_utf8(output.stderr)
            .unwrap()
            .contains("--error-rate=\"2\"")
    );
    let output = command(Tier::Backend)
        .arg("--no-such-flag")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_port_in_use_is_one_line_that_names_it() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = command(Tier::Backend)
        .env("LISTEN", &address)
        .output()
        .unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.lines().count() == 1 && stderr.contains(&address) && stderr.contains("--listen"),
        "{stderr}"
    );
}

#[test]
fn help_shows_every_setting_with_its_variable_and_its_default() {
    for (tier, own) in [
        (Tier::Frontend, "MIDDLEWARE_URL"),
        (Tier::Middleware, "MIDDLEWARE_WORK"),
        (Tier::Backend, "BACKEND_WORK"),
    ] {
        let output = command(tier).arg("--help").output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let help = String::from_utf8(output.stdout).unwrap();
        for part in [
            own,
            "LISTEN",
            "DEMO_FAULTS",
            "ERROR_RATE",
            "SLOW_RATE",
            "SLOW_BY",
            "MAX_BODY_BYTES",
            "default: ",
        ] {
            assert!(help.contains(part), "{part} is not in\n{help}");
        }
    }
}
