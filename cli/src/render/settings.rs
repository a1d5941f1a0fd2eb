//! The settings with their origins, as text and as JSON. Secrets are not among
//! them: of headers only the names are shown. Called by `cmd::config`.

use std::io::{self, Write};

use owo_colors::OwoColorize;
use serde_json::json;

use super::cells::harmless;
use crate::config::{Key, Origin, ProfileFile, Settings};

const SCHEMA_VERSION: u32 = 1;

/// A table: setting, value, origin.
pub fn text(
    settings: &Settings,
    file: Option<&ProfileFile>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let name_cells = Key::ALL
        .iter()
        .map(|key| key.name().len())
        .max()
        .unwrap_or(0);
    for key in Key::ALL {
        let name = format!("{:<name_cells$}", key.name());
        match settings.chosen(key) {
            Some(chosen) => writeln!(
                out,
                "{name}  {}  {}",
                harmless(&chosen.text),
                format!("({})", harmless(&chosen.origin.to_string())).dimmed()
            )?,
            None => writeln!(out, "{name}  {}", "-".dimmed())?,
        }
    }
    let headers = settings.headers.names();
    if !headers.is_empty() {
        writeln!(
            out,
            "{:<name_cells$}  {}  (values are not shown)",
            "headers",
            headers.join(", ")
        )?;
    }
    match file {
        None => writeln!(
            out,
            "\nno tdemo.toml, neither here nor in the user's configuration directory"
        ),
        Some(file) => {
            let names: Vec<&str> = file.profiles.keys().map(String::as_str).collect();
            writeln!(
                out,
                "\nprofiles of {}: {}",
                file.path.display(),
                harmless(&names.join(", "))
            )
        }
    }
}

/// One object: `settings` by name, each with `value` and `origin` or null.
pub fn json(
    settings: &Settings,
    file: Option<&ProfileFile>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let all: serde_json::Map<_, _> = Key::ALL
        .into_iter()
        .map(|key| {
            let value = settings.chosen(key).map(|chosen| {
                let origin = match &chosen.origin {
                    Origin::Flag => json!({"kind": "flag"}),
                    Origin::Variable(name) => json!({"kind": "variable", "name": name}),
                    Origin::Profile { file, profile } => {
                        json!({"kind": "profile", "file": file, "name": profile})
                    }
                };
                json!({"value": chosen.text, "origin": origin})
            });
            (key.name().to_owned(), value.into())
        })
        .collect();
    let object = json!({
        "schema_version": SCHEMA_VERSION,
        "settings": all,
        "otlp_protocol": settings.otlp.as_ref().map(|otlp| otlp.protocol.as_str()),
        "headers": settings.headers.names(),
        "file": file.map(|file| &file.path),
        "profiles": file.map(|file| file.profiles.keys().collect::<Vec<_>>()),
    });
    serde_json::to_writer_pretty(&mut *out, &object)?;
    writeln!(out)
}
