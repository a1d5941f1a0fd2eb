//! Docs that are generated stay true: the table of assertions, the examples.
#![expect(
    clippy::unwrap_used,
    reason = "a test stops where something is not as it must be"
)]

use clap::CommandFactory as _;
use tdemo::args::Cli;
use tdemo::config::Key;
use tdemo::verify::checks;
use tdemo_trace::expect::Expectation;

const SMOKE: &str = include_str!("../docs/smoke.md");

fn between<'t>(text: &'t str, start: &str, end: &str) -> &'t str {
    let (_, rest) = text.split_once(start).unwrap();
    rest.split_once(end).unwrap().0
}

#[test]
fn the_table_of_assertions_is_that_of_the_program() {
    let written = between(
        SMOKE,
        "<!-- assertions: generated, a test compares them -->\n",
        "<!-- end of assertions -->",
    );
    let generated = checks::table();
    assert!(
        written == generated,
        "cli/docs/smoke.md should have this table:\n{generated}"
    );
}

#[test]
fn the_action_uses_flags_and_variables_that_there_are() {
    let action = include_str!("../../.github/actions/tdemo-smoke/action.yml");
    let mut command = Cli::command();
    let smoke = command.find_subcommand_mut("smoke").unwrap();
    let script = action.split_once("args=(smoke").unwrap().1;
    let flags: Vec<&str> = script
        .split(|c: char| c.is_whitespace() || c == '(' || c == ')')
        .filter_map(|word| word.strip_prefix("--"))
        .collect();
    assert!(flags.len() > 5, "{flags:?}");
    for flag in flags {
        let known = smoke
            .get_arguments()
            .any(|arg| arg.get_long() == Some(flag));
        assert!(known, "--{flag}");
    }
    let variables: Vec<&str> = action
        .lines()
        .filter_map(|line| {
            line.trim()
                .split_once(": ${{ inputs.")
                .map(|(name, _)| name)
        })
        .filter(|name| name.starts_with("TDEMO_") && *name != "TDEMO_HEADERS")
        .collect();
    assert_eq!(variables.len(), 7, "{variables:?}");
    for variable in variables {
        assert!(
            Key::ALL.iter().any(|key| key.variable() == variable),
            "{variable}"
        );
    }
}

#[test]
fn every_assertion_has_an_id_of_its_own() {
    let table = checks::table();
    let mut ids: Vec<&str> = table
        .lines()
        .skip(2)
        .map(|row| row.split('`').nth(1).unwrap())
        .collect();
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
    assert!(all > 60, "{all}");
}

#[test]
fn the_expectation_in_the_docs_is_one() {
    let example = between(SMOKE, "```json\n", "```");
    Expectation::from_json(example.as_bytes()).unwrap();
}
