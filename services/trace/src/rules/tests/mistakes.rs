//! One mistake at a time in a good trace, and exactly the rules that notice.

use super::*;

type Change = fn(&mut Trace);

/// Each change to the good trace, and exactly the rules that must notice.
#[test]
fn each_mistake_is_caught_by_its_rule_and_by_no_other() {
    let changes: &[(&str, Change, &[&str])] = &[
        (
            "last span lost",
            |t| t.spans.retain(|s| s.name != "backend-get-data"),
            &["spans.set"],
        ),
        (
            "a span in the middle lost",
            |t| t.spans.retain(|s| s.name != "GET"),
            &["spans.set", "trace.orphans"],
        ),
        (
            "the root lost",
            |t| t.spans.retain(|s| s.name != "GET /api/process"),
            &["spans.set", "trace.orphans"],
        ),
        (
            "no propagator: the rest is in another trace",
            |t| t.spans.retain(|s| s.service() == "frontend"),
            &["spans.set"],
        ),
        (
            "parent lost",
            |t| server(t, "middleware").parent = None,
            &["trace.root"],
        ),
        (
            "parent absent",
            |t| server(t, "middleware").parent = Some(id(1)),
            &["trace.orphans"],
        ),
        (
            "wrong parent",
            |t| server(t, "middleware").parent = Some(id(0xa0)),
            &["trace.parents"],
        ),
        (
            "loop",
            |t| server(t, "frontend").parent = Some(id(0xa7)),
            &["trace.loops"],
        ),
        (
            "a span twice",
            |t| t.spans.push(t.spans[0].clone()),
            &["spans.unique"],
        ),
        (
            "a span too many",
            |t| {
                let mut more = t.spans[1].clone();
                more.id = id(1);
                more.name = "cache".to_owned();
                t.spans.push(more);
            },
            &["spans.set"],
        ),
        (
            "the same work twice",
            |t| {
                let mut more = t.spans[1].clone();
                more.id = id(1);
                t.spans.push(more);
            },
            &["spans.set"],
        ),
        (
            "wrong kind",
            |t| internal(t, "backend").kind = SpanKind::Producer,
            &["spans.kind"],
        ),
        (
            "wrong name",
            |t| internal(t, "backend").name = "query".to_owned(),
            &["spans.name"],
        ),
        (
            "raw path as name",
            |t| server(t, "backend").name = "GET /api/data/7".to_owned(),
            &["http.span-name"],
        ),
        (
            "a route of its own",
            |t| {
                let span = server(t, "backend");
                span.name = "GET /data".to_owned();
                span.attributes.set("http.route", "/data");
            },
            &["spans.name"],
        ),
        (
            "one provider for two services",
            |t| resource_of(t, "backend", |a| a.set("service.name", "middleware")),
            &["spans.service"],
        ),
        (
            "no service.name",
            |t| resource_of(t, "backend", |a| a.set("service.name", "unknown_service:x")),
            &["spans.service", "resource.service-name"],
        ),
        (
            "flag lost",
            |t| server(t, "backend").flags = 0x300,
            &["trace.flags"],
        ),
        (
            "namespace lost",
            |t| resource_of(t, "backend", |a| drop(a.remove("service.namespace"))),
            &["resource.demo"],
        ),
        (
            "version of another type",
            |t| resource_of(t, "backend", |a| a.set("service.version", 1)),
            &["resource.demo"],
        ),
        (
            "instance id lost",
            |t| resource_of(t, "backend", |a| drop(a.remove("service.instance.id"))),
            &["resource.demo"],
        ),
        (
            "instance id shared",
            |t| {
                resource_of(t, "backend", |a| {
                    a.set("service.instance.id", "frontend-5f1c");
                });
            },
            &["resource.distinct"],
        ),
        (
            "old resource key",
            |t| {
                resource_of(t, "backend", |a| {
                    a.remove("deployment.environment.name");
                    a.set("deployment.environment", "production");
                });
            },
            &["resource.old-keys"],
        ),
        (
            "old key instead",
            |t| {
                rename(
                    client(t, "middleware"),
                    "http.response.status_code",
                    "http.status_code",
                );
            },
            &["http.old-keys"],
        ),
        (
            "old key too",
            |t| server(t, "backend").attributes.set("net.transport", "tcp"),
            &["http.old-keys"],
        ),
        (
            "CLIENT attribute lost",
            |t| {
                drop(
                    client(t, "middleware")
                        .attributes
                        .remove("http.response.status_code"),
                );
            },
            &["http.client.attributes"],
        ),
        (
            "CLIENT attribute of another type",
            |t| {
                client(t, "middleware")
                    .attributes
                    .set("server.port", "5002");
            },
            &["http.client.attributes"],
        ),
        (
            "SERVER attribute lost",
            |t| drop(server(t, "frontend").attributes.remove("client.address")),
            &["http.server.attributes"],
        ),
        (
            "optional attribute of another type",
            |t| server(t, "frontend").attributes.set("url.query", 1),
            &["http.server.attributes"],
        ),
        (
            "unknown method",
            |t| {
                let span = server(t, "backend");
                span.attributes.set("http.request.method", "BREW");
                span.name = "BREW /api/data".to_owned();
            },
            &["spans.name", "http.method", "http.both-sides"],
        ),
        (
            "_OTHER alone",
            |t| {
                client(t, "middleware")
                    .attributes
                    .set("http.request.method", "_OTHER");
            },
            &["http.method", "http.span-name", "http.both-sides"],
        ),
        (
            "credentials told",
            |t| {
                client(t, "middleware")
                    .attributes
                    .set("url.full", "http://u:p@127.0.0.1:5002/api/data");
            },
            &["http.redaction"],
        ),
        (
            "signature told",
            |t| {
                server(t, "frontend")
                    .attributes
                    .set("url.query", "a=1&sig=abc");
            },
            &["http.redaction"],
        ),
        (
            "another path",
            |t| server(t, "frontend").attributes.set("url.path", "/x"),
            &["http.entry"],
        ),
        (
            "another status than was answered",
            |t| {
                server(t, "frontend")
                    .attributes
                    .set("http.response.status_code", 201);
            },
            &["http.entry"],
        ),
        (
            "the two sides disagree",
            |t| {
                client(t, "middleware")
                    .attributes
                    .set("url.full", "http://127.0.0.1:5002/api/other");
            },
            &["http.both-sides"],
        ),
        (
            "work attribute lost",
            |t| {
                drop(
                    internal(t, "backend")
                        .attributes
                        .remove("backend.query.type"),
                );
            },
            &["demo.attributes"],
        ),
        (
            "keys as one string",
            |t| {
                internal(t, "middleware")
                    .attributes
                    .set("middleware.input.keys", "['source']");
            },
            &["demo.attributes"],
        ),
        (
            "duration as an integer",
            |t| {
                internal(t, "backend")
                    .attributes
                    .set("backend.query.duration_ms", 100);
            },
            &["demo.attributes"],
        ),
        (
            "method of another request",
            |t| {
                internal(t, "frontend")
                    .attributes
                    .set("frontend.request.method", "POST");
            },
            &["demo.attributes"],
        ),
        (
            "status of another answer",
            |t| {
                internal(t, "frontend")
                    .attributes
                    .set("frontend.middleware.status", 201);
            },
            &["demo.attributes"],
        ),
        (
            "success declared",
            |t| server(t, "backend").status.code = StatusCode::Ok,
            &["status.unset"],
        ),
        (
            "error for nothing",
            |t| internal(t, "backend").status.code = StatusCode::Error,
            &["status.unset", "error.type"],
        ),
        (
            "error.type for nothing",
            |t| internal(t, "backend").attributes.set("error.type", "x"),
            &["error.type"],
        ),
        (
            "ends before it starts",
            |t| internal(t, "backend").end_unix_nanos = 5,
            &["time.order"],
        ),
        (
            "outlives its parent",
            |t| internal(t, "backend").end_unix_nanos += 10 * MS,
            &["time.parent"],
        ),
        (
            "SERVER outlives CLIENT",
            |t| {
                server(t, "backend").end_unix_nanos += 10 * MS;
            },
            &["time.call"],
        ),
        (
            "clocks differ",
            |t| {
                for span in t.spans.iter_mut().filter(|s| s.service() == "backend") {
                    span.start_unix_nanos -= 3_000 * MS;
                    span.end_unix_nanos -= 3_000 * MS;
                }
            },
            &["time.clock-skew"],
        ),
        (
            "clocks differ within the tolerance",
            |t| server(t, "backend").end_unix_nanos += 4 * MS,
            &[],
        ),
    ];
    for (what, change, rules) in changes {
        let mut trace = demo();
        change(&mut trace);
        assert_eq!(
            broken(&trace, &asked(OK)),
            *rules,
            "{what}: {:#?}",
            texts(&trace, &asked(OK))
        );
    }
}

#[test]
fn each_mistake_in_a_failed_trace_is_caught_by_its_rule() {
    let changes: &[(&str, Change, &[&str])] = &[
        (
            "SERVER 5xx not Error",
            |t| server(t, "middleware").status.code = StatusCode::Unset,
            &["status.error"],
        ),
        (
            "CLIENT 5xx not Error",
            |t| client(t, "frontend").status.code = StatusCode::Unset,
            &["status.error"],
        ),
        (
            "work not Error",
            |t| {
                let span = internal(t, "frontend");
                span.status.code = StatusCode::Unset;
                span.attributes.remove("error.type");
            },
            &["status.work"],
        ),
        (
            "no error.type on a refused connection",
            |t| drop(client(t, "middleware").attributes.remove("error.type")),
            &["error.type"],
        ),
        (
            "no error.type on an INTERNAL span",
            |t| drop(internal(t, "middleware").attributes.remove("error.type")),
            &["error.type"],
        ),
        (
            "error.type is not the status code",
            |t| server(t, "middleware").attributes.set("error.type", "500"),
            &["error.type"],
        ),
        (
            "no words",
            |t| {
                drop(
                    internal(t, "middleware")
                        .attributes
                        .remove("middleware.error"),
                );
            },
            &["status.work"],
        ),
        (
            "no exception",
            |t| t.spans.iter_mut().for_each(|span| span.events.clear()),
            &["exception.event"],
        ),
        (
            "an exception that says nothing",
            |t| {
                for event in t.spans.iter_mut().flat_map(|span| &mut span.events) {
                    *event = Event {
                        name: "exception".to_owned(),
                        ..Event::default()
                    };
                }
            },
            &["exception.event"],
        ),
        (
            "another status than was answered",
            |t| {
                let span = server(t, "frontend");
                span.attributes.set("http.response.status_code", 500);
                span.attributes.set("error.type", "500");
            },
            &["http.entry"],
        ),
        (
            "no status on the span that answered",
            |t| {
                drop(
                    server(t, "frontend")
                        .attributes
                        .remove("http.response.status_code"),
                );
            },
            &["http.entry"],
        ),
        (
            "the span that answered lost",
            |t| t.spans.retain(|s| s.name != "GET /api/process"),
            &["spans.set", "trace.orphans"],
        ),
        (
            "status of the next tier wrong",
            |t| {
                internal(t, "frontend")
                    .attributes
                    .set("frontend.middleware.status", 500);
            },
            &["demo.attributes"],
        ),
    ];
    for (what, change, rules) in changes {
        let mut trace = failed();
        change(&mut trace);
        assert_eq!(
            broken(&trace, &asked(FAILED)),
            *rules,
            "{what}: {:#?}",
            texts(&trace, &asked(FAILED))
        );
    }
}
