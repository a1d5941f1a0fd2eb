//! What the README shows first is what the program does: its main command, and the form of that command's output.

use std::process::Command;

const README: &str = include_str!("../../README.md");

/// The lines of the first code block in this language, comments left out.
fn first_block(language: &str) -> Vec<&'static str> {
    let start = format!("```{language}\n");
    let (_, rest) = README
        .split_once(&start)
        .expect("README.md has such a block");
    let (block, _) = rest.split_once("\n```").expect("the block ends");
    block
        .lines()
        .filter(|line| !line.starts_with('#'))
        .collect()
}

/// The form of a report's line, without what differs from run to run; `None` for a histogram's row.
fn form(line: &str) -> Option<String> {
    let is_bar = |word: &str| word.chars().all(|c| ('█'..='▏').contains(&c));
    let is_id =
        |word: &str| matches!(word.len(), 8 | 32) && word.chars().all(|c| c.is_ascii_hexdigit());
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let after_number = words.last().is_some_and(|last| last == "#");
        if is_id(word) {
            words.push("ID".to_owned());
        } else if is_bar(word) || (after_number && matches!(word, "ns" | "µs" | "ms" | "s")) {
            // A figure's unit depends on its size.
        } else {
            let mut shape = String::new();
            for c in word.chars() {
                let c = if c.is_ascii_digit() || c == '.' {
                    '#'
                } else {
                    c
                };
                if !(c == '#' && shape.ends_with('#')) {
                    shape.push(c);
                }
            }
            words.push(shape);
        }
    }
    let is_row = line.starts_with("   ") && words == ["#", "#"];
    (!is_row).then(|| words.join(" "))
}

#[test]
fn the_first_block_holds_the_two_commands() {
    assert_eq!(
        first_block("sh"),
        ["cargo run --release -- load --count 50", "cargo test"]
    );
}

#[test]
fn the_main_command_prints_what_the_readme_shows() {
    let command = first_block("sh")[0];
    let (_, arguments) = command
        .split_once(" -- ")
        .expect("cargo run passes arguments on");
    let home = tempfile::tempdir().expect("a directory");
    let output = Command::new(env!("CARGO_BIN_EXE_tdemo"))
        .args(arguments.split(' '))
        .env("XDG_STATE_HOME", home.path())
        .env("XDG_RUNTIME_DIR", home.path())
        .env_remove("MIDDLEWARE_WORK")
        .env_remove("BACKEND_WORK")
        .output()
        .expect("tdemo runs");
    let stdout = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(
        output.status.success(),
        "{stdout}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let shown: Vec<String> = first_block("text").into_iter().filter_map(form).collect();
    let printed: Vec<String> = stdout.lines().filter_map(form).collect();
    assert_eq!(
        shown, printed,
        "README.md shows another form than:\n{stdout}"
    );
}
