//! Loki's routes over the network: forms of the answers, parameters, refusals. That they say
//! what a real Loki says is tested in `recorded.rs`.

use serde_json::{Value, json};
use tdemo_tracestore::logs::LogLimits;

use crate::running::{Running, answered};
use crate::support::{record, request, traced};

const JSON: &str = "application/json; charset=UTF-8";
const TEXT: &str = "text/plain; charset=utf-8";
/// Start and end that hold all records of these tests, and more than a chunk's worth of time.
const ALL: [(&str, &str); 2] = [("start", "0"), ("end", "2000000000")];
const ID: u128 = 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c;

type Given<'a> = &'a [(&'a str, &'a str)];

/// Three records of two services.
async fn running() -> Running {
    let running = Running::start(LogLimits::default()).await;
    running.export(&request(
        "frontend",
        vec![traced(1_000, "first", ID), record(3_000, "third <&> \"q\"")],
    ));
    running.export(&request("backend", vec![record(2_000, "second")]));
    running
}

fn with<'a>(more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    [&ALL, more].concat()
}

fn parsed(body: &str) -> Value {
    serde_json::from_str(body).unwrap_or_else(|error| panic!("{body}: {error}"))
}

async fn series(running: &Running, more: Given<'_>) -> Value {
    let (status, content_type, body) = running.get("series", &with(more)).await;
    assert_eq!((status, content_type.as_str()), (200, JSON), "{body}");
    parsed(&body)
}

#[tokio::test]
async fn a_range_query_answers_streams() {
    let running = running().await;
    let query = [
        ("query", "{service_name=\"frontend\"}"),
        ("direction", "forward"),
    ];
    let (status, content_type, body) = running.get("query_range", &with(&query)).await;
    assert_eq!((status, content_type.as_str()), (200, JSON));
    let mut answer = parsed(&body);
    let summary = answer["data"]["stats"]["summary"].take();
    assert_eq!(summary["totalLinesProcessed"], 2);
    assert_eq!(summary["totalEntriesReturned"], 2);
    assert!(summary["execTime"].as_f64().unwrap() > 0.0);
    assert_eq!(
        answer,
        json!({ "status": "success", "data": {
            "resultType": "streams",
            "result": [
                { "stream": { "detected_level": "unknown", "scope_name": "demo", "service_name": "frontend" },
                  "values": [["3000", "third <&> \"q\""]] },
                { "stream": { "detected_level": "unknown", "scope_name": "demo", "service_name": "frontend",
                              "span_id": "0707070707070707", "trace_id": format!("{ID:032x}") },
                  "values": [["1000", "first"]] },
            ],
            "stats": { "summary": null },
        }})
    );

    let categorized = running
        .client
        .get(running.url("query_range", &with(&query)))
        .header("X-Loki-Response-Encoding-Flags", "other, categorize-labels");
    let mut answer = parsed(&answered(categorized).await.2);
    answer["data"].as_object_mut().unwrap().remove("stats");
    assert_eq!(
        answer["data"],
        json!({ "resultType": "streams", "encodingFlags": ["categorize-labels"], "result": [
            { "stream": { "service_name": "frontend" }, "values": [
                ["1000", "first", { "structuredMetadata": { "detected_level": "unknown", "scope_name": "demo",
                    "span_id": "0707070707070707", "trace_id": format!("{ID:032x}") } }],
                ["3000", "third <&> \"q\"", { "structuredMetadata": { "detected_level": "unknown", "scope_name": "demo" } }],
            ]},
        ]})
    );
    running.stop().await;
}

#[tokio::test]
async fn parameters_choose_and_a_form_does_as_well() {
    let running = running().await;
    let all = "{service_name=~\".+\"}";
    let lines = |body: String| -> Vec<(String, String)> {
        let answer = parsed(&body);
        let streams = answer["data"]["result"].as_array().unwrap().clone();
        let mut lines: Vec<_> = streams
            .iter()
            .flat_map(|stream| stream["values"].as_array().unwrap().clone())
            .map(|value| {
                (
                    value[0].as_str().unwrap().to_owned(),
                    value[1].as_str().unwrap().to_owned(),
                )
            })
            .collect();
        lines.sort();
        lines
    };
    let cases: [(Given<'_>, &[&str]); 5] = [
        (&[("limit", "1")], &["3000"]),
        (&[("limit", "1"), ("direction", "FORWARD")], &["1000"]),
        (
            &[("start", "1970-01-01T00:00:00.000002Z")],
            &["2000", "3000"],
        ),
        (&[("end", "0.0")], &[]),
        (
            &[("query", "{service_name=~\".+\"} |= \"second\"")],
            &["2000"],
        ),
    ];
    for (more, expected) in cases {
        // The first value of a name counts.
        let params = [more, &[("query", all)], &ALL].concat();
        let (status, _, body) = running.get("query_range", &params).await;
        assert_eq!(status, 200, "{more:?}: {body}");
        let times: Vec<String> = lines(body).into_iter().map(|(time, _)| time).collect();
        assert_eq!(times, expected, "{more:?}");
    }
    let form = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(with(&[("query", all), ("limit", "2")]))
        .finish();
    let post = running
        .client
        .post(running.url("query_range", &[("limit", "1")]))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form);
    let (status, _, body) = answered(post).await;
    assert_eq!((status, lines(body).len()), (200, 2));
    running.stop().await;
}

#[tokio::test]
async fn labels_values_and_series_are_those_of_the_time() {
    let running = running().await;
    let data = |answered: (u16, String, String)| {
        assert_eq!(
            (answered.0, answered.1.as_str()),
            (200, JSON),
            "{}",
            answered.2
        );
        parsed(&answered.2)
    };
    for path in ["labels", "label"] {
        assert_eq!(
            data(running.get(path, &ALL).await),
            json!({ "status": "success", "data": ["service_name"] })
        );
    }
    let values = "label/service_name/values";
    assert_eq!(
        data(running.get(values, &ALL).await)["data"],
        json!(["backend", "frontend"])
    );
    let early = [("start", "0"), ("end", "1970-01-01T00:00:00.0000015Z")];
    assert_eq!(
        data(running.get(values, &early).await)["data"],
        json!(["frontend"])
    );
    let selected = with(&[("query", "{service_name=\"backend\"}")]);
    assert_eq!(
        data(running.get(values, &selected).await)["data"],
        json!(["backend"])
    );
    assert_eq!(
        data(running.get("label/none/values", &ALL).await),
        json!({ "status": "success" })
    );

    let both = json!([{ "service_name": "backend" }, { "service_name": "frontend" }]);
    assert_eq!(series(&running, &[]).await["data"], both);
    assert_eq!(series(&running, &[("match", "{ }")]).await["data"], both);
    let two = [
        ("match[]", "{service_name=\"backend\"}"),
        ("match[]", "{service_name=\"none\"}"),
    ];
    assert_eq!(
        series(&running, &two).await["data"],
        json!([{ "service_name": "backend" }])
    );
    let none = [("match", "{service_name=\"none\"}")];
    assert_eq!(
        series(&running, &none).await,
        json!({ "status": "success", "data": [] })
    );
    running.stop().await;
}

#[tokio::test]
async fn grafanas_health_check_of_a_data_source_passes() {
    let running = running().await;
    let (status, _, body) = running
        .get("query", &[("query", "vector(1)+vector(1)"), ("time", "4")])
        .await;
    assert_eq!(status, 200);
    assert_eq!(
        parsed(&body)["data"]["result"],
        json!([{ "metric": {}, "value": [4, "2"] }])
    );
    let (status, content_type, body) = running.get("status/buildinfo", &[]).await;
    assert_eq!((status, content_type.as_str()), (200, "application/json"));
    assert_eq!(parsed(&body)["version"], env!("CARGO_PKG_VERSION"));
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_answered_is_refused_in_plain_text() {
    let running = running().await;
    let query = ("query", "{service_name=\"frontend\"}");
    let cases: &[(&str, Given<'_>, &str)] = &[
        ("query_range", &[], "parse error at line 1, col 1:"),
        (
            "query_range",
            &[("query", "{service_name=}")],
            "parse error at line 1, col 15:",
        ),
        (
            "query_range",
            &[("query", "sum(rate({a=\"b\"}[5m]))")],
            "the metric query `sum` is not supported",
        ),
        (
            "query_range",
            &[query, ("limit", "0")],
            "limit must be a positive value",
        ),
        (
            "query_range",
            &[query, ("limit", "5001")],
            "max entries limit per query exceeded",
        ),
        (
            "query_range",
            &[query, ("limit", "x")],
            "could not parse 'limit'",
        ),
        (
            "query_range",
            &[query, ("start", "x")],
            "could not parse 'start'",
        ),
        (
            "query_range",
            &[query, ("start", "2"), ("end", "1")],
            "end timestamp must not be before",
        ),
        (
            "query_range",
            &[query, ("direction", "up")],
            "invalid direction 'up'",
        ),
        (
            "query_range",
            &[query, ("since", "1x")],
            "could not parse 'since'",
        ),
        (
            "query_range",
            &[query, ("interval", "5s")],
            "'interval' parameter is not supported",
        ),
        (
            "query",
            &[query],
            "log queries are not supported as instant queries",
        ),
        ("query", &[("query", "1")], "is not supported"),
        ("labels", &[("query", "{")], "parse error"),
        (
            "series",
            &[("match", "{a=\"b\"} |= \"c\"")],
            "only a stream selector is allowed here",
        ),
        ("tail", &[query], "a tail needs a WebSocket"),
        ("tail", &[("query", "{")], "parse error"),
        (
            "tail",
            &[query, ("delay_for", "6")],
            "delay_for can't be greater than 5",
        ),
    ];
    for (path, params, expected) in cases {
        let (status, content_type, body) = running.get(path, params).await;
        assert_eq!(
            (status, content_type.as_str()),
            (400, TEXT),
            "{path} {params:?}: {body}"
        );
        assert!(body.contains(expected), "{path} {params:?}: {body}");
    }

    assert_eq!(running.get("nope", &[]).await.0, 404);
    assert_eq!(running.get("label/a/b/values", &[]).await.0, 404);
    let delete = running
        .client
        .delete(running.url("query_range", &[]))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            delete.status().as_u16(),
            delete.headers()["allow"].to_str().unwrap()
        ),
        (405, "GET, HEAD, POST")
    );
    let post = running
        .client
        .post(running.url("tail", &[]))
        .send()
        .await
        .unwrap();
    assert_eq!(
        (
            post.status().as_u16(),
            post.headers()["allow"].to_str().unwrap()
        ),
        (405, "GET")
    );
    let large = running
        .client
        .post(running.url("query_range", &[]))
        .body(vec![b'x'; 300_000]);
    assert_eq!(answered(large).await.0, 413);
    running.stop().await;
}
