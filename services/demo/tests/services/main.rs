//! The services seen from outside: real sockets, a real OTLP receiver, in this process and as programs.

mod common;
mod failures;
mod observed;
mod program;
mod propagation;
mod routes;
mod spans;
mod wire;
