//! A report as one JSON object.

use std::io::{self, Write};

use serde::Serialize;

/// Writes `value` indented, with a final line break.
pub fn write(out: &mut dyn Write, value: &impl Serialize) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}
