//! The middleware of the tracing demo, as a program: `middleware --help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    tdemo_services::program::main_for(tdemo_services::Tier::Middleware)
}
