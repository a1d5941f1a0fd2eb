//! The query language itself: what parses and how, what is refused and where. No data involved.

use tdemo_tracestore::traceql::{ErrorKind, compile};

/// Parses and prints: the printer puts every operation in parentheses, so this shows the tree.
fn printed(text: &str) -> String {
    compile(text)
        .unwrap_or_else(|error| panic!("{text}: {error}"))
        .to_string()
}

/// Where and why a query is refused.
fn refused(text: &str) -> (ErrorKind, u32, u32, String) {
    match compile(text) {
        Ok(query) => panic!("{text} was taken as {query}"),
        Err(error) => (error.kind, error.pos.line, error.pos.col, error.message),
    }
}

#[test]
fn operators_bind_as_in_tempo() {
    for (text, tree) in [
        ("{}", "{ true }"),
        (
            "{ .a = 1 && .b = 2 || .c = 3 }",
            "{ ((.a = 1) && (.b = 2)) || (.c = 3) }",
        ),
        (
            "{ .a = 1 || .b = 2 && .c = 3 }",
            "{ ((.a = 1) || (.b = 2)) && (.c = 3) }",
        ),
        (
            "{ .a = 1 && (.b = 2 || .c = 3) }",
            "{ (.a = 1) && ((.b = 2) || (.c = 3)) }",
        ),
        ("{ 1 + 2 * 3 ^ 2 > .a }", "{ (1 + (2 * (3 ^ 2))) > .a }"),
        ("{ .a ^ .b ^ .c = 1 }", "{ (.a ^ (.b ^ .c)) = 1 }"),
        ("{ .a - .b - .c = 1 }", "{ ((.a - .b) - .c) = 1 }"),
        ("{ -.a * .b = 1 }", "{ (-(.a * .b)) = 1 }"),
        ("{ -.a + .b = 1 }", "{ ((-.a) + .b) = 1 }"),
        ("{ .a * -.b + .c = 1 }", "{ ((.a * (-.b)) + .c) = 1 }"),
        ("{ !.a && .b }", "{ (!.a) && .b }"),
        ("{ !(.a && .b) }", "{ !(.a && .b) }"),
        ("{ .a + 1 != nil }", "{ (.a + 1) != nil }"),
        ("{ nil = span.a }", "{ span.a = nil }"),
        ("{ span.a != nil && .b }", "{ (span.a != nil) && .b }"),
        ("{ nil = nil }", "{ false }"),
        ("{ .a } && { .b } || { .c }", "({ .a } && { .b }) || { .c }"),
        ("{ .a } || { .b } >> { .c }", "{ .a } || ({ .b } >> { .c })"),
        ("{ .a } > { .b } ~ { .c }", "({ .a } > { .b }) ~ { .c }"),
        (
            "{ .a } !>> { .b } &~ { .c }",
            "({ .a } !>> { .b }) &~ { .c }",
        ),
        (
            "{ .a } && ({ .b } || { .c })",
            "{ .a } && ({ .b } || { .c })",
        ),
    ] {
        assert_eq!(printed(text), tree, "{text}");
    }
}

#[test]
fn names_and_literals_are_read() {
    for (text, tree) in [
        (
            "{ span:duration > 1.5s && trace:duration < 1h15m }",
            "{ (duration > 1.5s) && (traceDuration < 1h15m0s) }",
        ),
        (
            "{ trace:rootService = `a` && trace:rootName = `b` }",
            "{ (rootServiceName = `a`) && (rootName = `b`) }",
        ),
        ("{ trace:id = \"00ab\" }", "{ trace:id = `00ab` }"),
        (
            "{ span:childCount > 2 && span:parentID != \"\" }",
            "{ (span:childCount > 2) && (span:parentID != ``) }",
        ),
        (
            "{ event:name = \"x\" && event:timeSinceStart > 1ms }",
            "{ (event:name = `x`) && (event:timeSinceStart > 1ms) }",
        ),
        (
            "{ link:traceID = \"a\" || link:spanID = \"b\" }",
            "{ (link:traceID = `a`) || (link:spanID = `b`) }",
        ),
        (
            "{ instrumentation:name =~ \"a.*\" }",
            "{ instrumentation:name =~ `a.*` }",
        ),
        ("{ .a+1 = 2 }", "{ .a+1 = 2 }"),
        ("{ span.\"a b\".c = 2 }", "{ span.\"a b.c\" = 2 }"),
        ("{ .\"1\" = 2 }", "{ .\"1\" = 2 }"),
        ("{ resource.a/b:c-d[0] = 2 }", "{ resource.a/b:c-d[0] = 2 }"),
        ("{ .a = \"x`\\n\\\"\" }", "{ .a = \"x`\\n\\\"\" }"),
        (
            "{ .a = .5 && .b = 1e3 && .c = 1000000.0 }",
            "{ ((.a = 0.5) && (.b = 1000.0)) && (.c = 1e+06) }",
        ),
        (
            "{ .a = minInt || .a = maxInt }",
            "{ (.a = minInt) || (.a = 9223372036854775807) }",
        ),
        (
            "{ kind = server && status != unset }",
            "{ (kind = server) && (status != unset) }",
        ),
        ("{ .a /* = 1 */ = 2 // = 3\n }", "{ .a = 2 }"),
        (
            "{ nestedSetParent < 0 } | select(nestedSetLeft, .a)",
            "{ nestedSetParent < 0 } | select(nestedSetLeft, .a)",
        ),
        ("{} | count() > 2 - 3 * (4 - 1)", "{ true } | count() > -7"),
        ("(max(duration)) >= -1.5s", "max(duration) >= -1.5s"),
        ("{} | avg(.a) = 1 / 2", "{ true } | avg(.a) = 0"),
        ("{} | avg(.a) = 1.0 / 2", "{ true } | avg(.a) = 0.5"),
        ("by(1 + .a) | coalesce()", "by(1 + .a) | coalesce()"),
        (
            "({} | count() > 1) && ({ .a })",
            "({ true } | count() > 1) && ({ .a })",
        ),
        (
            "{} with(most_recent=true, x=1s)",
            "{ true } with(most_recent=true, x=1s)",
        ),
    ] {
        assert_eq!(printed(text), tree, "{text}");
        assert_eq!(printed(tree), tree, "printed again");
    }
}

#[test]
fn refusals_say_where_and_what_was_expected() {
    for (text, line, col, words) in [
        ("{ duration > }", 1, 14, "expected an attribute"),
        (
            "{ .a = 1",
            1,
            9,
            "unexpected end of the query, expected an operator or `}`",
        ),
        ("{ .a == 1 }", 1, 7, "unexpected `=`"),
        (
            "{\n  foo = 1 }",
            2,
            3,
            "`foo`, expected an attribute with its scope",
        ),
        ("{ span. }", 1, 3, "name is missing"),
        ("{ span:nope = 1 }", 1, 8, "duration, name, kind, status"),
        ("{ trace:status = error }", 1, 9, "after `trace:`"),
        ("{ .a = 'x' }", 1, 8, "unexpected character `'`"),
        ("{ .a = \"x }", 1, 8, "string is not closed"),
        ("{ .a = 9223372036854775808 }", 1, 8, "64 bits"),
        ("{ .a = nil + 1 }", 1, 12, "joins"),
        ("{ nil }", 1, 7, "after `nil`"),
        ("", 1, 1, "expected a spanset"),
        ("true", 1, 1, "expected a spanset"),
        ("{} | count()", 1, 13, "expected a comparison"),
        ("{} | max() > 1", 1, 10, "unexpected `)`"),
        (
            "{} | max(duration) > ok",
            1,
            22,
            "expected a number or a duration",
        ),
        ("{} | max(duration) > 1s * 2", 1, 25, "duration"),
        ("{} | count() > 1 / 0", 1, 18, "division by zero"),
        ("2 < count()", 1, 1, "aggregate on the left"),
        ("{} | coalesce", 1, 14, "expected `(`"),
        ("coalesce() | {}", 1, 1, "expected a spanset"),
        ("{} | select()", 1, 13, "expected an attribute"),
        ("{} | select(1)", 1, 13, "expected an attribute"),
        ("{} + {}", 1, 4, "expected `|`"),
        ("{} > 10", 1, 6, "expected a spanset"),
        ("{} && ({} | count() > 1)", 1, 7, "both sides"),
        ("({} | count() > 1) && {}", 1, 23, "both sides"),
        (
            "({} | count() > 1) | {}",
            1,
            20,
            "after a pipeline in parentheses",
        ),
        ("{} | ({} | count() > 1)", 1, 24, "after `|`"),
        (
            "({ .a } | count()) && ({ .b })",
            1,
            18,
            "expected a comparison",
        ),
        ("{} with(a)", 1, 10, "expected `=`"),
        ("{} with(a=.b)", 1, 11, "expected a literal"),
        ("{} {}", 1, 4, "expected `|`"),
    ] {
        let (_, at_line, at_col, message) = refused(text);
        assert_eq!((at_line, at_col), (line, col), "{text}: {message}");
        assert!(message.contains(words), "{text}: {message}");
    }
    let error = compile("{ duration > }").unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("parse error at line 1, col 14: unexpected `}`, expected"),
        "{error}"
    );
}

#[test]
fn types_that_cannot_fit_are_refused() {
    for text in [
        "{ kind = \"server\" }",
        "{ status = 2 }",
        "{ status > ok }",
        "{ kind < consumer }",
        "{ name = 1 }",
        "{ \"foo\" = span:childCount }",
        "{ traceDuration > \"1s\" }",
        "{ 1 + \"a\" = 1 }",
        "{ 1 =~ 2 }",
        "{ .a =~ .b }",
        "{ name =~ 1s }",
        "{ .a =~ \"[\" }",
        "{ 1 && .a }",
        "{ duration }",
        "{ status }",
        "{ 1 + .a }",
        "{ -name = \"a\" }",
        "{ !1 = 1 }",
        "{ !duration }",
        "{ span:status = nil }",
        "{ nil = resource.service.name }",
        "{} | by(1)",
        "{} | sum(3) = 2",
        "{} | max(name) = 2",
        "{} | max(.a = 1) = 2",
        "count() + 1 > 2",
        "max(.a) > min(.a)",
        "{ parent.a = 1 }",
        "{ parent.span.a = 1 }",
        "{ parent }",
        "{} | select(parent.a)",
        "{ .a } && { name = 1 }",
        "({ name = 1 } | count() > 1)",
    ] {
        let (kind, _, _, message) = refused(text);
        assert_eq!(kind, ErrorKind::Invalid, "{text}: {message}");
    }
    let (_, line, col, message) = refused("{ .a = 1 &&\n kind = \"server\" }");
    assert_eq!((line, col), (2, 7));
    assert!(message.contains("a kind and a string"), "{message}");
}

#[test]
fn types_that_may_fit_are_taken() {
    for text in [
        "{ .a }",
        "{ !.a }",
        "{ .a = .b }",
        "{ .a > \"x\" }",
        "{ .a + duration > 1 }",
        "{ 1 < 1h }",
        "{ duration > 5 }",
        "{ duration > 5.5 }",
        "{ instrumentation:name = 1 }",
        "{ name != nil }",
        "{ \"a\" =~ \"a\" }",
        "{ statusMessage >= \"x\" }",
        "{} | max(1 + .a) = 1",
        "{} | by(name)",
    ] {
        printed(text);
    }
}

#[test]
fn metrics_functions_are_refused_by_name() {
    for (text, name) in [
        ("{} | rate()", "rate()"),
        (
            "{} | quantile_over_time(duration, .5) by (name)",
            "quantile_over_time()",
        ),
        (
            "({} | count_over_time()) / ({} | rate())",
            "count_over_time()",
        ),
        ("{} | topk(2)", "topk()"),
    ] {
        let (kind, _, _, message) = refused(text);
        assert_eq!(kind, ErrorKind::Metrics, "{text}");
        assert!(message.contains(name), "{message}");
    }
    assert_eq!(refused("rate()").0, ErrorKind::Syntax);
}

#[test]
fn size_and_depth_are_bounded() {
    let deep = |open: &str, close: &str, n: usize| {
        format!("{{ {}.a{} }}", open.repeat(n), close.repeat(n))
    };
    assert_eq!(refused(&deep("(", ")", 10_000)).0, ErrorKind::TooLarge);
    assert_eq!(refused(&deep("!", "", 10_000)).0, ErrorKind::TooLarge);
    assert_eq!(refused(&deep("-", "", 10_000)).0, ErrorKind::TooLarge);
    assert_eq!(
        refused(&format!("{{ .a = 1{} }}", " ^ 1".repeat(10_000))).0,
        ErrorKind::TooLarge
    );
    assert_eq!(
        refused(&format!("{{ .a{} }}", " || .a".repeat(10_000))).0,
        ErrorKind::TooLarge
    );
    assert_eq!(
        refused(&format!("{{}}{}", " >> {}".repeat(10_000))).0,
        ErrorKind::TooLarge
    );
    assert_eq!(
        refused(&format!("{}{{}}{}", "(".repeat(10_000), ")".repeat(10_000))).0,
        ErrorKind::TooLarge
    );
    assert_eq!(
        refused(&format!("{{ .a = \"{}\" }}", "x".repeat(200_000))).0,
        ErrorKind::TooLarge
    );
    // What is within the limits works on the stack of a worker thread.
    let chain = format!("{{ .a{} }}", " || .a".repeat(500));
    let nested = deep("(", ")", 90);
    std::thread::Builder::new()
        .stack_size(2 << 20)
        .spawn(move || {
            for text in [chain, nested] {
                let query = compile(&text).unwrap();
                assert!(!query.to_string().is_empty());
            }
        })
        .unwrap()
        .join()
        .unwrap();
}
