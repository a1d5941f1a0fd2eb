//! What the `tracestore` process costs, seen from outside as a Tempo would be measured: 1,000,000 spans of 125,000 traces
//! of the demo sent over the network, CPU time and memory of the process as the system counts them, and the time on the
//! clock that a trace by id takes a client on one kept connection.
//!
//! `cargo bench -p tdemo-tracestore --bench socket` (Linux: it reads `/proc`).

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a benchmark stops and prints"
)]

mod demo;

use std::collections::HashMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const TRACES: u64 = 125_000;
/// About 4,000 spans a request, as Tempo was sent them.
const TRACES_A_REQUEST: usize = 1_500;
/// The kernel counts CPU time in these (`USER_HZ`).
const TICK: Duration = Duration::from_millis(10);

struct Process {
    child: Child,
    addrs: HashMap<String, String>,
}

impl Process {
    fn start() -> Self {
        let any = "127.0.0.1:0";
        let mut child = Command::new(env!("CARGO_BIN_EXE_tracestore"))
            .args([
                "--otlp-grpc-addr",
                any,
                "--otlp-http-addr",
                any,
                "--tempo-addr",
                any,
            ])
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = String::new();
        BufReader::new(child.stderr.as_mut().unwrap())
            .read_line(&mut ready)
            .unwrap();
        let words = ready
            .split_whitespace()
            .filter_map(|word| word.split_once('='));
        let addrs = words
            .map(|(name, addr)| (name.to_owned(), addr.to_owned()))
            .collect();
        Process { child, addrs }
    }

    fn connect(&self, name: &str) -> TcpStream {
        let stream = TcpStream::connect(&self.addrs[name]).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn cpu_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let ticks: u32 = fields[11].parse::<u32>().unwrap() + fields[12].parse::<u32>().unwrap();
        TICK * ticks
    }

    fn resident_mb(&self) -> f64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS"))
            .unwrap();
        let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib * 1024.0 / 1e6
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request and reads its answer; returns the body's length.
fn exchange(stream: &mut TcpStream, head: &str, body: &[u8]) -> usize {
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body).unwrap();
    let mut answer = Vec::new();
    let mut piece = [0; 16 * 1024];
    let (headers, length) = loop {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the server keeps the connection");
        answer.extend_from_slice(&piece[..read]);
        if let Some(end) = answer.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = std::str::from_utf8(&answer[..end])
                .unwrap()
                .to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 200 "), "{head}");
            let length = head
                .lines()
                .find_map(|line| line.strip_prefix("content-length: "));
            break (end + 4, length.unwrap().parse::<usize>().unwrap());
        }
    };
    while answer.len() < headers + length {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "the answer is whole");
        answer.extend_from_slice(&piece[..read]);
    }
    length
}

fn main() {
    let requests = demo::requests(0..TRACES, TRACES_A_REQUEST);
    let spans = (TRACES * demo::SPANS) as f64;
    let process = Process::start();
    let resident_before = process.resident_mb();

    let mut stream = process.connect("otlp_http");
    let started = Instant::now();
    for request in &requests {
        let length = request.len();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nhost: x\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n"
        );
        exchange(&mut stream, &head, request);
    }
    let (elapsed, cpu) = (started.elapsed(), process.cpu_time());
    println!(
        "OTLP/HTTP in: {:.0} spans/s, {:.2} us of CPU a span",
        spans / elapsed.as_secs_f64(),
        cpu.as_secs_f64() * 1e6 / spans
    );
    println!(
        "resident: {:.0} MB, {:.0} MB before",
        process.resident_mb(),
        resident_before
    );

    let mut stream = process.connect("tempo");
    let mut times: Vec<Duration> = (0..5_000_u64)
        .map(|n| {
            let id = demo::trace_id(n * 7_919 % TRACES);
            let started = Instant::now();
            let head = format!("GET /api/v2/traces/{id:032x} HTTP/1.1\r\nhost: x\r\n\r\n");
            assert!(exchange(&mut stream, &head, b"") > 1_000, "a whole trace");
            started.elapsed()
        })
        .collect();
    times.sort();
    println!(
        "by id, JSON over HTTP: median {:?}, p99 {:?}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
}
