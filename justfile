# tdemo's recipes. A bare `just` lists them.

_default:
    @just --list --unsorted

# run the whole demo in the foreground: services, OTLP receiver, trace store
up *args:
    cargo run --release -- up {{ args }}

# send requests through the demo and show that every trace arrived whole
load *args:
    cargo run --release -- load {{ args }}

# prove the whole pipeline: requests, traces, searches, one verdict
smoke *args:
    cargo run --release -- smoke {{ args }}

# all tests that need nothing but Rust
test:
    cargo test

# everything that must pass before a change lands
ci:
    .ci/run

# the benchmarks: cost of a traced request, export, ingest, bytes a span, load engine
bench *args:
    cargo bench --workspace {{ args }}
