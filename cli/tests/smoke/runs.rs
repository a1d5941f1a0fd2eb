//! Runs, formats, files and exit codes.

use std::process::Output;

use serde_json::{Value, json};

use crate::site::{Site, checks, retain, smoke, verdict};
use crate::support::{self, Process, code, tdemo, text};

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_stack_passes_with_no_arguments() {
    let output = smoke(&["smoke", "--json"]).await;
    let verdict = verdict(&output);
    assert_eq!(verdict["verdict"], "pass", "{verdict:#}");
    assert_eq!(verdict["embedded"], true);
    assert_eq!(verdict["counts"]["failed"], 0);
    assert_eq!(
        verdict["counts"]["skipped"], 0,
        "everything was looked at: {verdict:#}"
    );
    assert!(verdict["visible"]["by_id_ms"].is_number());
    assert!(verdict["visible"]["by_search_ms"].is_number());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_says_the_verdict_last_and_what_to_type_next() {
    let output = smoke(&["smoke", "--skip", "logs"]).await;
    assert_eq!(code(&output), 0, "{}", text(&output.stdout));
    let stdout = text(&output.stdout);
    assert!(stdout.starts_with("smoke → embedded stack (frontend http://127.0.0.1:"));
    for group in [
        "services",
        "bad-input",
        "propagation",
        "conventions",
        "errors",
        "times",
        "search",
        "counters",
    ] {
        assert!(
            stdout.contains(&format!("\n✓ {group}")),
            "{group}\n{stdout}"
        );
    }
    assert!(!stdout.contains("logs"), "it was left out");
    let verdict = stdout.find("\nPASS   ").unwrap();
    assert!(stdout[verdict..].contains(" passed in "), "{stdout}");
    assert!(stdout[verdict..].contains("tdemo trace "), "{stdout}");
    assert!(
        stdout.lines().all(|line| line.chars().count() <= 80),
        "{stdout}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unreachable_target_is_one_line_and_exit_3() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    for args in [
        vec!["smoke", "--target", &url],
        vec!["smoke", "--target", &url, "--tempo-url", &url],
    ] {
        let output = smoke(&args).await;
        assert_eq!(code(&output), 3);
        assert_eq!(text(&output.stdout), "");
        let stderr = text(&output.stderr);
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        assert!(
            stderr.contains(&url) || stderr.contains("--tempo-url"),
            "{stderr}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_tested_is_skipped_and_fatal_with_strict() {
    let site = Site::start(|_| {}, &[]).await;
    let target = site.services().frontend.clone();
    let lenient = smoke(&["smoke", "--target", &target, "--json"]).await;
    let strict = smoke(&["smoke", "--target", &target, "--json", "--strict"]).await;
    site.stop().await;
    let seen = verdict(&lenient);
    assert_eq!(seen["verdict"], "pass", "{seen:#}");
    let skipped: Vec<&str> = checks(&seen, "skipped").into_iter().collect();
    assert_eq!(
        skipped,
        [
            "logs.lines",
            "search.namespace",
            "services.backend",
            "services.middleware",
            "trace.arrived"
        ]
    );
    let why = |id: &str| {
        let check = seen["checks"]
            .as_array()
            .unwrap()
            .iter()
            .find(|check| check["id"] == id);
        check.unwrap()["why"].clone()
    };
    assert_eq!(why("services.middleware"), "no --middleware-url");
    assert_eq!(why("trace.arrived"), "no --tempo-url");
    assert_eq!(why("logs.lines"), "no --loki-url");
    let seen = verdict(&strict);
    assert_eq!(
        (&seen["verdict"], &seen["counts"]["failed"]),
        (&json!("fail"), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_target_that_makes_no_faults_is_no_failure() {
    let site = Site::start(|_| {}, &[("DEMO_FAULTS", "off")]).await;
    let output = site.smoke(&["--json"]).await;
    site.stop().await;
    let verdict = verdict(&output);
    assert_eq!(verdict["verdict"], "pass", "{verdict:#}");
    let skipped: Vec<&str> = checks(&verdict, "skipped").into_iter().collect();
    assert_eq!(skipped, ["errors.answer", "trace.baggage"]);
}

/// A run that fails, with its evidence.
async fn failing(more: &[&str]) -> Output {
    let site = Site::start(
        |groups| retain(groups, "backend", |span| span.name != "backend-get-data"),
        &[],
    )
    .await;
    let output = site.smoke(&[&["--deadline", "1s"], more].concat()).await;
    site.stop().await;
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_tells_what_was_expected_and_its_evidence_judges_the_same_offline() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("evidence.json");
    let file = file.to_str().unwrap();
    let output = failing(&["--evidence", file]).await;
    assert_eq!(code(&output), 1);
    let stdout = text(&output.stdout);
    assert!(
        stdout.contains("trace.arrived   middleware POST /api/transform"),
        "{stdout}"
    );
    assert!(
        stdout.contains("found      without backend INTERNAL backend-get-data"),
        "{stdout}"
    );
    assert!(
        stdout.contains(&format!("tdemo smoke --replay {file}")),
        "{stdout}"
    );

    let replayed = smoke(&["smoke", "--replay", file, "--json"]).await;
    let seen = verdict(&replayed);
    let failed: Vec<&str> = checks(&seen, "failed").into_iter().collect();
    assert_eq!(failed, ["spans.set", "trace.arrived"]);
    let evidence: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!(
        evidence["verdict"]["checks"], seen["checks"],
        "the run and its replay agree"
    );
    let reads = evidence["reads"].as_array().unwrap();
    assert!(
        reads
            .iter()
            .any(|read| read["trace"]["resourceSpans"].is_array())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_name_the_evidence_is_written_here() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = tdemo(["smoke", "--strict"]);
    command.current_dir(dir.path()).env("DEMO_FAULTS", "off");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert_eq!(
        code(&output),
        1,
        "faults are skipped: {}",
        text(&output.stdout)
    );
    let names: Vec<String> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        names[0]
            .strip_prefix("smoke-")
            .is_some_and(|rest| rest.strip_suffix(".json").is_some_and(|id| id.len() == 8)),
        "{names:?}"
    );
    assert!(text(&output.stdout).contains(&format!("--replay {}", names[0])));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_evidence_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("other.json");
    for (content, told) in [("{}", "no evidence"), ("nothing", "no evidence")] {
        std::fs::write(&file, content).unwrap();
        let output = smoke(&["smoke", "--replay", file.to_str().unwrap()]).await;
        assert_eq!(code(&output), 2);
        let stderr = text(&output.stderr);
        assert!(
            stderr.contains(told) && stderr.lines().count() == 1,
            "{stderr}"
        );
    }
    let output = smoke(&["smoke", "--replay", "/no/such/file"]).await;
    assert_eq!(code(&output), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn junit_goes_to_the_file_and_text_to_stdout() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("smoke.xml");
    let output = failing(&["--format", "junit", "-o", file.to_str().unwrap()]).await;
    assert_eq!(code(&output), 1);
    assert!(text(&output.stdout).contains("\nFAIL   "));
    let document =
        quick_junit::Report::deserialize_from_str(&std::fs::read_to_string(&file).unwrap());
    let document = document.unwrap();
    assert_eq!(document.failures, 2);
    let suite = document
        .test_suites
        .iter()
        .find(|suite| suite.name.as_str() == "propagation")
        .unwrap();
    assert_eq!(suite.failures, 2);
    assert!(document.tests > 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn github_gets_an_annotation_a_finding() {
    let output = failing(&["--format", "github"]).await;
    let stdout = text(&output.stdout);
    assert!(
        stdout.lines().all(|line| line.starts_with("::")),
        "{stdout}"
    );
    assert!(
        stdout.contains("::error title=smoke trace.arrived::frontend GET /api/process: expected"),
        "{stdout}"
    );
    assert!(
        stdout
            .lines()
            .last()
            .unwrap()
            .starts_with("::error title=smoke smoke::FAIL: ")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_output_that_cannot_be_written_is_known_before_the_run() {
    let output = smoke(&["smoke", "-o", "/no/such/dir/smoke.json"]).await;
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("-o /no/such/dir/smoke.json: "));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_expectation_is_held_against_any_service() {
    let dir = tempfile::tempdir().unwrap();
    let site = Site::start(|_| {}, &[]).await;
    let target = format!("{}/api/process", site.services().frontend);
    let (tempo, otlp) = (site.store().tempo.clone(), site.store().otlp_grpc.clone());
    let expect = |name: &str, route: &str| {
        let file = dir.path().join(name);
        let expected = json!({
            "schema_version": 1,
            "services": ["frontend", "middleware", "backend"],
            "edges": [{
                "from": {"service": "frontend", "kind": "CLIENT"},
                "to": {"service": "middleware", "kind": "SERVER"},
            }],
            "spans": [{
                "select": {"service": "backend", "kind": "SERVER"},
                "count": 1,
                "status": "unset",
                "attributes": {"http.route": route},
            }],
        });
        std::fs::write(&file, expected.to_string()).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let (right, wrong) = (
        expect("right.json", "/api/data"),
        expect("wrong.json", "/api/other"),
    );
    let run = async |file: &str| {
        let args = [
            "smoke",
            "--target",
            &target,
            "--tempo-url",
            &tempo,
            "--otlp-endpoint",
            &otlp,
        ];
        smoke(&[&args[..], &["--expect", file, "--deadline", "2s", "--json"]].concat()).await
    };
    let (good, bad) = (run(&right).await, run(&wrong).await);
    site.stop().await;
    let seen = verdict(&good);
    assert_eq!(seen["verdict"], "pass", "{seen:#}");
    assert!(
        checks(&seen, "passed").is_superset(
            &[
                "expect.edges",
                "expect.attributes",
                "http.old-keys",
                "services.answer",
                "trace.parent"
            ]
            .into()
        )
    );
    assert_eq!(seen["requests"].as_array().unwrap().len(), 1);
    let seen = verdict(&bad);
    assert_eq!(
        checks(&seen, "failed").into_iter().collect::<Vec<_>>(),
        ["expect.attributes"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_expectation_is_refused_before_anything_is_sent() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("bad.json");
    std::fs::write(&file, r#"{"schema_version": 1, "service": []}"#).unwrap();
    let output = smoke(&["smoke", "--expect", file.to_str().unwrap()]).await;
    assert_eq!(code(&output), 2);
    let stderr = text(&output.stderr);
    assert!(stderr.contains("bad.json: not an expectation"), "{stderr}");
    assert_eq!(stderr.lines().count(), 1);
}

#[test]
fn an_interrupted_run_says_what_it_saw() {
    let silent = support::Site::start("");
    let url = format!("http://{}", silent.address);
    let process = Process::start(&mut tdemo(["smoke", "--target", &url]));
    silent.await_requests(1);
    process.signal("-INT");
    let output = process.output();
    assert_eq!(code(&output), 130, "{output:?}");
    assert!(text(&output.stdout).contains("interrupted: this is what was seen by then"));
}
