//! `tdemo trace` and `tdemo trace-link` as a user runs them.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use support::{Site, Up, code, tdemo, text, valid_json};

const SEARCH_SCHEMA: &str = include_str!("../schema/trace-search.schema.json");

/// The program with a state directory of its own.
fn with_state<'a>(state: &Path, args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = tdemo(args);
    command.env("XDG_STATE_HOME", state);
    command
}

fn run_with_state<'a>(state: &Path, args: impl IntoIterator<Item = &'a str>) -> Output {
    with_state(state, args).output().unwrap()
}

/// The program where this `tdemo up` is found.
fn beside<'a>(up: &Up, args: impl IntoIterator<Item = &'a str>) -> Output {
    tdemo(args)
        .env("XDG_RUNTIME_DIR", up.home.path())
        .output()
        .unwrap()
}

/// The value of `id` in what `trace-link` prints.
fn id_of(output: &Output) -> String {
    assert_eq!(code(output), 0, "{output:?}");
    field(output, "id")
}

fn field(output: &Output, name: &str) -> String {
    let stdout = text(&output.stdout);
    let line = stdout
        .lines()
        .find_map(|line| line.strip_prefix(&format!("{name:<8} ")))
        .unwrap_or_else(|| panic!("{stdout}"));
    line.to_owned()
}

#[test]
fn a_run_that_is_over_is_found_by_the_beginning_of_an_id() {
    let state = tempfile::tempdir().unwrap();
    let linked = run_with_state(state.path(), ["trace-link"]);
    let id = id_of(&linked);
    assert!(
        !text(&linked.stdout).contains("http://"),
        "no link to a port that is closed"
    );
    assert_eq!(field(&linked, "look"), format!("tdemo trace {id}"));
    assert_eq!(
        field(&linked, "TraceQL"),
        format!("{{ trace:id = \"{id}\" }}")
    );

    for name in [&id[..8], id.as_str()] {
        let shown = run_with_state(state.path(), ["trace", name]);
        assert_eq!(code(&shown), 0, "{shown:?}");
        let stdout = text(&shown.stdout);
        assert!(stdout.starts_with(&id), "{stdout}");
        assert!(stdout.contains("8 spans, 3 services   ok"), "{stdout}");
        assert!(stdout.contains("└ backend-get-data"), "{stdout}");
        assert!(!stdout.contains('\u{1b}'), "no colours into a pipe");
        let bars = ['█', '▉', '▊', '▋', '▌', '▍', '▎', '▏', '▐'];
        let drawn = stdout.lines().filter(|line| line.contains(bars)).count();
        assert_eq!(drawn, 8, "{stdout}");
    }
    let all = run_with_state(state.path(), ["trace", &id[..8], "--attributes"]);
    assert!(text(&all.stdout).contains("backend.query.type = simulated_database_query (string)"));

    let json = run_with_state(state.path(), ["trace", &id[..8], "--json"]);
    let groups: Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!(
        groups["resourceSpans"].as_array().unwrap().len(),
        3,
        "one a service"
    );
}

#[test]
fn saved_runs_are_searched_with_traceql() {
    let state = tempfile::tempdir().unwrap();
    let id = id_of(&run_with_state(state.path(), ["trace-link"]));
    let found = run_with_state(
        state.path(),
        ["trace", "--query", "{ name = \"backend-get-data\" }"],
    );
    assert_eq!(code(&found), 0, "{found:?}");
    let stdout = text(&found.stdout);
    assert!(stdout.starts_with(&id), "{stdout}");
    assert!(stdout.contains("frontend GET /api/process"), "{stdout}");
    assert!(
        stdout.contains(&format!("look at the first:  tdemo trace {id}")),
        "{stdout}"
    );

    let none = run_with_state(state.path(), ["trace", "--query", "{ status = error }"]);
    assert_eq!((code(&none), text(&none.stdout)), (1, "no trace matches\n"));

    let bad = run_with_state(state.path(), ["trace", "--query", "{ name = }"]);
    assert_eq!(code(&bad), 2, "{bad:?}");
    assert_eq!(text(&bad.stdout), "");

    let json = run_with_state(state.path(), ["trace", "--query", "{}", "--json"]);
    let listed = valid_json(&json, SEARCH_SCHEMA);
    assert_eq!(listed["traces"][0]["trace_id"], id.as_str());
}

#[test]
fn a_file_of_the_collector_is_read_and_served() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("traces.json");
    let file = file.to_str().unwrap();
    let smoke = run_with_state(dir.path(), ["smoke", "--save", file]);
    assert_eq!(code(&smoke), 0, "{}", text(&smoke.stdout));
    let searched = run_with_state(
        dir.path(),
        [
            "trace",
            "--from",
            file,
            "--query",
            "{ status = error }",
            "--json",
        ],
    );
    let listed = valid_json(&searched, SEARCH_SCHEMA);
    let failed = listed["traces"].as_array().unwrap();
    assert_eq!(
        failed.len(),
        3,
        "two that failed, one that was refused: {listed:#}"
    );
    let id = failed[0]["trace_id"].as_str().unwrap();
    let shown = run_with_state(dir.path(), ["trace", id, "--from", file]);
    assert!(
        text(&shown.stdout).contains("✗ error backend"),
        "{}",
        text(&shown.stdout)
    );

    let up = Up::start_with(&["--import", file]);
    let served = beside(&up, ["trace", id]);
    assert_eq!(code(&served), 0, "{served:?}");
    assert!(text(&served.stdout).starts_with(id));
}

#[test]
fn what_is_nowhere_is_one_line_and_exit_1() {
    let state = tempfile::tempdir().unwrap();
    let output = run_with_state(state.path(), ["trace", "abc"]);
    assert_eq!((code(&output), text(&output.stdout)), (1, ""));
    assert_eq!(
        text(&output.stderr),
        "tdemo: trace 00000000000000000000000000000abc is not in the saved runs (there are none)\n"
    );
    let nothing = run_with_state(state.path(), ["trace", "--query", "{}"]);
    assert_eq!(code(&nothing), 3);
    assert!(text(&nothing.stderr).starts_with("tdemo: there is nothing to search: "));
}

#[test]
fn wrong_usage_is_one_line_and_exit_2() {
    for args in [
        &["trace"][..],
        &["trace", "xyz"],
        &["trace", "abc", "--query", "{}"],
        &["trace", "--query", "{}", "--limit", "0"],
        &["trace", "abc", "--tempo-url", "tempo:3200"],
        &["trace-link", "--span", "1"],
    ] {
        let output = support::run(args.iter().copied());
        assert_eq!((code(&output), text(&output.stdout)), (2, ""), "{args:?}");
        assert_eq!(
            text(&output.stderr).lines().count(),
            1,
            "{args:?} {output:?}"
        );
    }
}

#[test]
fn a_running_stack_is_asked_and_linked_to() {
    let up = Up::start();
    let linked = beside(&up, ["trace-link"]);
    let id = id_of(&linked);
    let shown = beside(&up, ["trace", &id]);
    assert_eq!(code(&shown), 0, "{shown:?}");
    assert!(text(&shown.stdout).contains("8 spans"));
    let found = beside(
        &up,
        [
            "trace",
            "--query",
            "{ resource.service.name = \"frontend\" }",
        ],
    );
    assert!(text(&found.stdout).starts_with(&id), "{found:?}");
}

#[test]
fn a_stack_that_was_stopped_leaves_its_traces() {
    let state = tempfile::tempdir().unwrap();
    let up = Up::start_in(state.path());
    let id = id_of(&beside(&up, ["trace-link"]));
    up.process.signal("-TERM");
    assert!(up.process.wait().success());
    let shown = run_with_state(state.path(), ["trace", &id[..12]]);
    assert_eq!(code(&shown), 0, "{shown:?}");
}

#[test]
fn a_link_to_grafana_finds_its_data_source_by_type() {
    let up = Up::start();
    let id = id_of(&beside(&up, ["trace-link"]));
    let grafana = Site::start(concat!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 86\r\n\r\n",
        r#"[{"uid":"p","type":"prometheus"},{"uid":"t-1","type":"tempo","isDefault":true,"x":{}}]"#
    ));
    let base = format!("http://{}", grafana.address);
    let args = [
        "trace-link",
        &id,
        "--grafana-url",
        &base,
        "--tempo-url",
        &up.tempo,
    ];
    let linked = beside(&up, args);
    assert_eq!(code(&linked), 0, "{linked:?}");
    let link: url::Url = text(&linked.stdout)
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(
        link.as_str()
            .starts_with(&format!("{base}/explore?schemaVersion=1&orgId=1&panes="))
    );
    let panes: Value = serde_json::from_str(&link.query_pairs().nth(2).unwrap().1).unwrap();
    assert_eq!(panes["a"]["datasource"], "t-1");
    assert_eq!(panes["a"]["queries"][0]["query"], id.as_str());
    let ms = |end: &str| {
        panes["a"]["range"][end]
            .as_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
    };
    assert!(
        (120_000..130_000).contains(&(ms("to") - ms("from"))),
        "its own times with a margin"
    );

    let absent = "00000000000000000000000000000abc";
    let args = [
        "trace-link",
        absent,
        "--grafana-url",
        &base,
        "--tempo-url",
        &up.tempo,
    ];
    let dead = beside(&up, args);
    assert_eq!((code(&dead), text(&dead.stdout)), (1, ""), "no dead link");
    assert!(text(&dead.stderr).contains("--no-verify"));
    let trusted = beside(&up, [&args[..], &["--no-verify"]].concat());
    assert_eq!(code(&trusted), 0);
    assert!(text(&trusted.stdout).starts_with(&base));

    let args = [
        "trace-link",
        "--query",
        "{ status = error }",
        "--grafana-url",
        &base,
    ];
    let search = beside(&up, args);
    let link: url::Url = text(&search.stdout)
        .lines()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    let panes: Value = serde_json::from_str(&link.query_pairs().nth(2).unwrap().1).unwrap();
    assert_eq!(panes["a"]["queries"][0]["query"], "{ status = error }");
}

#[test]
fn a_target_that_is_down_is_exit_3() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let output = support::run(["trace-link", "--target", &url]);
    assert_eq!((code(&output), text(&output.stdout)), (3, ""));
    assert!(text(&output.stderr).contains(&url), "{output:?}");
    let output = support::run(["trace", "abc", "--tempo-url", &url]);
    assert_eq!(code(&output), 3);
    assert_eq!(text(&output.stderr).lines().count(), 1);
}
