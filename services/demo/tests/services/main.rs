//! The services seen from outside: real sockets, a real OTLP receiver, in this process and as programs.

mod common;
mod failures;
mod routes;
mod spans;
