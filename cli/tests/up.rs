//! `tdemo up` as a user runs it.

mod support;

use std::io::Read;
use std::net::TcpListener;

use serde_json::Value;
use support::{Up, code, free_ports, report, run, tdemo, text};

#[test]
fn serves_until_a_signal_and_says_what_it_did() {
    for signal in ["-TERM", "-INT"] {
        let mut up = Up::start();
        let output = run([
            "load",
            "--target",
            &up.frontend,
            "--tempo-url",
            &up.tempo,
            "--count",
            "30",
            "--json",
        ]);
        assert_eq!(
            (code(&output), &report(&output)["traces"]["complete"]),
            (0, &30.into())
        );
        up.process.signal(signal);
        let mut said = String::new();
        up.stdout.read_to_string(&mut said).unwrap();
        assert_eq!(
            said,
            "stopped   30 requests, 30 traces, 240 spans, 0 dropped\n"
        );
        let output = up.process.output();
        assert_eq!(
            (code(&output), text(&output.stderr)),
            (0, "tdemo: stopping; a second Ctrl-C leaves at once\n")
        );
    }
}

#[test]
fn leaves_its_addresses_for_as_long_as_it_runs() {
    let up = Up::start();
    let file = up
        .home
        .path()
        .join("tdemo")
        .join(format!("up-{}.json", up.process.id()));
    let left: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert_eq!(left["frontend_url"], up.frontend);
    assert_eq!(left["tempo_url"], up.tempo);
    assert_eq!(left["pid"], up.process.id());
    up.process.signal("-INT");
    assert_eq!(code(&up.process.output()), 0);
    assert!(!file.exists());
}

#[test]
fn a_port_in_use_is_one_line_that_names_port_and_flag() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for (flag, part) in [
        ("--frontend-addr", "frontend"),
        ("--middleware-addr", "middleware"),
        ("--backend-addr", "backend"),
        ("--otlp-grpc-addr", "OTLP/gRPC receiver"),
        ("--otlp-http-addr", "OTLP/HTTP receiver"),
        ("--tempo-addr", "trace store"),
    ] {
        let mut args = free_ports();
        let at = args.iter().position(|arg| *arg == flag).unwrap();
        args[at + 1] = &address;
        let output = run(["up"].into_iter().chain(args));
        assert_eq!((code(&output), text(&output.stdout)), (3, ""));
        assert_eq!(
            text(&output.stderr),
            format!(
                "tdemo: the {part} cannot listen on {address}: Address already in use (os error \
                 98); choose another with {flag} IP:PORT, or stop what listens there\n"
            )
        );
    }
}

#[test]
fn a_port_that_another_stack_holds_names_it() {
    let up = Up::start();
    let address = up.frontend.trim_start_matches("http://");
    let mut args = free_ports();
    args[1] = address;
    let mut command = tdemo(["up"].into_iter().chain(args));
    let output = command
        .env("XDG_RUNTIME_DIR", up.home.path())
        .output()
        .unwrap();
    let holder = format!(" (a `tdemo up` runs there, process {});", up.process.id());
    assert_eq!(code(&output), 3);
    assert!(text(&output.stderr).contains(&holder), "{output:?}");
}

#[test]
fn a_bad_address_is_one_line_and_2() {
    let output = run(["up", "--tempo-addr", "3200"]);
    assert_eq!((code(&output), text(&output.stdout)), (2, ""));
    assert_eq!(
        text(&output.stderr),
        "tdemo: invalid value '3200' for '--tempo-addr <IP:PORT>': invalid socket address syntax; \
         see --help\n"
    );
    let help = run(["up", "--help"]);
    assert!(text(&help.stdout).contains("Examples:\n  tdemo up\n"));
}
