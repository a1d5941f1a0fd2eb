//! `tdemo config`, `tdemo completions` and `tdemo man` as a user runs them, and
//! what holds of the help of every command.
mod support;

use std::fs;

use clap::CommandFactory as _;
use serde_json::json;
use tdemo::args::Cli;

use support::{code, run, tdemo, text, valid_json};

#[test]
fn config_shows_which_won_and_no_secret() {
    let dir = tempfile::tempdir().unwrap();
    let headers = dir.path().join("headers");
    fs::write(&headers, "[tempo]\nAuthorization: Bearer s3cret\n").unwrap();
    fs::write(
        dir.path().join("tdemo.toml"),
        format!(
            "[profile.f3s]\ntempo-url = \"http://profile:3200\"\nloki-url = \"http://profile:3100\"\nheader-file = {headers:?}\n"
        ),
    )
    .unwrap();
    let config = |more: &[&str]| {
        let args = [
            "config",
            "--profile",
            "f3s",
            "--grafana-url",
            "http://flag:3000",
        ];
        tdemo([&args[..], more].concat())
            .current_dir(dir.path())
            .env("TDEMO_LOKI_URL", "http://variable:3100")
            .env("TDEMO_HEADERS", "x-team=s3cret")
            .output()
            .unwrap()
    };
    let shown = config(&[]);
    assert_eq!(code(&shown), 0, "{shown:?}");
    let stdout = text(&shown.stdout);
    for line in [
        "tempo-url               http://profile:3200  (tdemo.toml [profile.f3s])",
        "grafana-url             http://flag:3000  (flag)",
        "loki-url                http://variable:3100  (TDEMO_LOKI_URL)",
        "tenant                  -",
        "headers                 authorization (tempo), x-team  (values are not shown)",
        "profiles of tdemo.toml: f3s",
    ] {
        assert!(
            stdout.lines().any(|found| found == line),
            "{line}\n{stdout}"
        );
    }
    let json_form = config(&["--json"]);
    let settings = valid_json(&json_form, include_str!("../schema/config.schema.json"));
    assert_eq!(
        settings["settings"]["loki-url"],
        json!({"value": "http://variable:3100", "origin": {"kind": "variable", "name": "TDEMO_LOKI_URL"}})
    );
    for output in [&shown, &json_form] {
        assert!(!text(&output.stdout).contains("s3cret"));
    }
}

#[test]
fn a_setting_that_cannot_be_used_is_one_line_and_exit_2() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("tdemo.toml"),
        "[profile.a]\ntempo = \"x\"\n",
    )
    .unwrap();
    let output = tdemo(["trace", "abc"])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(code(&output), 2);
    let stderr = text(&output.stderr);
    assert!(
        stderr.starts_with("tdemo: tdemo.toml, line 2: \"tempo\" is no setting; "),
        "{stderr}"
    );
    assert_eq!(stderr.lines().count(), 1);
    let output = run(["config", "--profile", "nowhere"]);
    assert_eq!(code(&output), 2);
    assert!(text(&output.stderr).contains("there is no tdemo.toml"));
}

#[test]
fn every_command_has_help_with_examples_and_exit_codes() {
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        let output = run([name, "--help"]);
        assert_eq!(code(&output), 0, "{name}");
        let help = text(&output.stdout);
        assert!(
            help.contains(&format!("Examples:\n  tdemo {name}")),
            "{name}\n{help}"
        );
        assert!(help.contains(&format!("Usage: tdemo {name}")), "{name}");
    }
}

#[test]
fn completions_are_for_every_shell() {
    for (shell, sign) in [
        ("bash", "complete -F _tdemo"),
        ("zsh", "#compdef tdemo"),
        ("fish", "complete -c tdemo"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let output = run(["completions", shell]);
        assert_eq!(code(&output), 0, "{shell}");
        let script = text(&output.stdout);
        assert!(script.contains(sign), "{shell}");
        assert!(script.contains("trace-link"), "{shell}");
    }
    assert_eq!(code(&run(["completions", "cmd"])), 2);
}

#[test]
fn every_command_has_its_page_in_the_manual() {
    let dir = tempfile::tempdir().unwrap();
    let output = run(["man", "--dir", dir.path().to_str().unwrap()]);
    assert_eq!(code(&output), 0, "{output:?}");
    let page = |name: &str| fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
    assert!(page("tdemo").contains(".TH tdemo 1"));
    for command in Cli::command().get_subcommands() {
        let name = format!("tdemo-{}", command.get_name());
        assert!(page(&name).contains(&format!(".TH {name} 1")), "{name}");
    }
    let one = run(["man", "smoke"]);
    assert_eq!(text(&one.stdout), page("tdemo-smoke"));
    let unknown = run(["man", "nothing"]);
    assert_eq!(code(&unknown), 2);
    assert!(text(&unknown.stderr).contains("there are up, load, "));
}
