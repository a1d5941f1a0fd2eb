//! The `tracestore` binary: it says where it listens, takes a trace, gives it back, and stops cleanly when asked.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_tracestore");

fn start(args: &[&str]) -> Child {
    let mut command = Command::new(BINARY);
    command
        .args(args)
        .env_remove("RUST_LOG")
        .stdin(Stdio::null())
        .stderr(Stdio::piped());
    command.spawn().expect("the binary starts")
}

fn http(addr: &str, request: &str) -> String {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn runs_until_it_is_told_to_stop() {
    let mut child = start(&[
        "--otlp-grpc-addr=127.0.0.1:0",
        "--otlp-http-addr=127.0.0.1:0",
        "--tempo-addr=127.0.0.1:0",
    ]);
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut ready = String::new();
    stderr.read_line(&mut ready).unwrap();
    let addrs: HashMap<&str, &str> = ready
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .collect();

    let span = r#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"traceId":"00000000000000000000000000000abc","spanId":"00000000000000aa"}]}]}]}"#;
    let answer = http(
        addrs["otlp_http"],
        &format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{span}",
            span.len()
        ),
    );
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let answer = http(
        addrs["tempo"],
        "GET /api/traces/abc HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
    );
    assert!(answer.contains("AAAAAAAAAKo="), "{answer}");

    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(killed.success());
    let mut rest = String::new();
    stderr.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest}");
    assert!(rest.contains("traces=1"), "{rest}");
}

#[test]
fn an_address_in_use_names_address_and_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = taken.local_addr().unwrap().to_string();
    let child = start(&[
        "--otlp-grpc-addr=127.0.0.1:0",
        "--otlp-http-addr",
        &addr,
        "--tempo-addr=127.0.0.1:0",
    ]);
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{stderr}");
    assert!(
        stderr.contains(&addr) && stderr.contains("--otlp-http-addr"),
        "{stderr}"
    );
}

#[test]
fn a_bad_value_names_the_setting() {
    for (flag, value) in [
        ("--max-traces", "0"),
        ("--max-bytes", "1000"),
        ("--tempo-addr", "here"),
        ("--max-trace-bytes", "-1"),
    ] {
        let output = start(&[&format!("{flag}={value}")])
            .wait_with_output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(flag) && stderr.contains(value), "{stderr}");
    }
}
