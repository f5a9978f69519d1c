//! Tables for the parser: what is refused and in which words, what is accepted and how it prints again.

use super::{ParseOptions, QUERY_BYTES_MAX, parse, parse_selector, parse_with};

#[track_caller]
fn refused(query: &str, expected: &str) {
    match parse(query) {
        Ok(expr) => panic!("{query:?} is accepted as {expr}"),
        Err(e) => assert_eq!(e.to_string(), expected, "{query:?}"),
    }
}

#[track_caller]
fn refused_with_all(query: &str, expected: &str) {
    match parse_with(query, ParseOptions::all()) {
        Ok(expr) => panic!("{query:?} is accepted as {expr}"),
        Err(e) => assert_eq!(e.to_string(), expected, "{query:?}"),
    }
}

#[track_caller]
fn prints_with_all(query: &str, expected: &str) {
    let printed = |query: &str| parse_with(query, ParseOptions::all()).map(|e| e.to_string());
    assert_eq!(printed(query).as_deref(), Ok(expected), "{query:?}");
    assert_eq!(printed(expected).as_deref(), Ok(expected), "printed form of {query:?}");
}

#[track_caller]
fn prints(query: &str, expected: &str) {
    match parse(query) {
        Ok(expr) => {
            assert_eq!(expr.to_string(), expected, "{query:?}");
            assert_eq!(parse(expected).map(|e| e.to_string()).as_deref(), Ok(expected), "printed form of {query:?}");
        }
        Err(e) => panic!("{query:?}: {e}"),
    }
}

#[test]
fn refuses_in_prometheus_words() {
    refused("", "unknown position: parse error: no expression found in input");
    refused("# note\n", "1:1: parse error: no expression found in input");
    refused("1 +", "1:4: parse error: unexpected end of input");
    refused("2.5.", "1:1: parse error: bad number or duration syntax: \"2.5.\"");
    refused("0deadbeef", "1:1: parse error: bad number or duration syntax: \"0de\"");
    refused("*1", "1:1: parse error: unexpected <op:*>");
    refused("(1))", "1:5: parse error: unexpected right parenthesis ')'");
    refused("((1)", "1:5: parse error: unclosed left parenthesis");
    refused("up }", "1:4: parse error: unexpected character: '}'");
    refused("a\n and\n 1", "1:1: parse error: set operator \"and\" not allowed in binary scalar expression");
    refused("1\n+\nsum(", "3:5: parse error: unclosed left parenthesis");
    refused("1 == 1", "1:3: parse error: comparisons between scalars must use BOOL modifier");
    refused("1 + bool 1", "1:3: parse error: bool modifier can only be used on comparison operators");
    refused("1 !~ 1", "1:3: parse error: unexpected character after '!': '~'");
    refused("1 =~ 1", "1:3: parse error: unexpected character after '=': '~'");
    refused(
        "-\"x\"",
        "1:1: parse error: unary expression only allowed on expressions of type scalar or instant vector, \
         got \"string\"",
    );
    refused("foo or on(a) group_left(b) bar", "1:1: parse error: no grouping allowed for \"or\" operation");
    refused("foo == on(bar) 10", "1:1: parse error: vector matching only allowed between instant vectors");
    refused(
        "foo + on(a) group_left(a) bar",
        "1:5: parse error: label \"a\" must not occur in ON and GROUP clause at once",
    );
    refused("a - on(b) ignoring(c) d", "1:11: parse error: unexpected <ignoring>");
    refused("foo + bar[5m]", "1:7: parse error: binary expression must contain only scalar and instant vector types");
}

#[test]
fn refuses_wrong_selectors_and_ranges() {
    refused("{", "1:2: parse error: unexpected end of input inside braces");
    refused("{}", "1:1: parse error: vector selector must contain at least one non-empty matcher");
    refused("{x=\"\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher");
    refused("{x=~\".*\"}", "1:1: parse error: vector selector must contain at least one non-empty matcher");
    refused("foo{a}", "1:6: parse error: unexpected \"}\" in label matching, expected label matching operator");
    refused("foo{a=b}", "1:7: parse error: unexpected identifier \"b\" in label matching, expected string");
    refused(
        "{a=\"b\" or c=\"d\"}",
        "1:8: parse error: unexpected identifier \"or\" in label matching, expected \",\" or \"}\"",
    );
    refused("foo{1}", "1:5: parse error: unexpected character inside braces: '1'");
    refused("foo{__name__=\"bar\"}", "1:1: parse error: metric name must not be set twice: \"foo\" or \"bar\"");
    refused("foo[0]", "1:5: parse error: duration must be greater than 0");
    refused("foo[-5m]", "1:5: parse error: duration must be greater than 0");
    refused(
        "foo[]",
        "1:5: parse error: unexpected \"]\" in subquery or range selector, \
         expected number, duration, step(), or range()",
    );
    refused("foo[5m", "1:7: parse error: unclosed left bracket");
    refused("foo[5mm]", "1:5: parse error: bad number or duration syntax: \"5mm\"");
    refused("foo[5m:1s", "1:10: parse error: unclosed left bracket");
    refused("(foo)[5m]", "1:6: parse error: ranges only allowed for vector selectors");
    refused("foo offset 1m[5m]", "1:14: parse error: no offset modifiers allowed before range");
    refused("foo @ 10 [5m]", "1:10: parse error: no @ modifiers allowed before range");
    refused("foo offset 1m offset 2m", "1:1: parse error: offset may not be set multiple times");
    refused("foo @ 1 @ 2", "1:1: parse error: @ <timestamp> may not be set multiple times");
    refused(
        "1 offset 1d",
        "1:1: parse error: offset modifier must be preceded by an instant vector selector \
         or range vector selector or a subquery",
    );
    refused(
        "foo offset",
        "1:11: parse error: unexpected end of input in offset, expected number, duration, step(), or range()",
    );
    refused("foo @ bar", "1:7: parse error: unexpected identifier \"bar\" in @, expected timestamp");
    refused("foo @ Inf", "1:1: parse error: timestamp out of bounds for @ modifier: +Inf");
    refused("1[5m:]", "1:1: parse error: subquery is only allowed on instant vector, got scalar instead");
    refused("foo[5m][5m:]", "1:1: parse error: subquery is only allowed on instant vector, got matrix instead");
    refused("foo smoothed", "1:1: parse error: smoothed modifier is experimental and not enabled");
}

#[test]
fn refuses_wrong_calls_and_aggregations() {
    refused("foo(1)", "1:1: parse error: unknown function with name \"foo\"");
    refused(
        "abs(up[5m])",
        "1:5: parse error: expected type instant vector in call to function \"abs\", got range vector",
    );
    refused(
        "rate(up)",
        "1:6: parse error: expected type range vector in call to function \"rate\", got instant vector",
    );
    refused("time(1)", "1:1: parse error: expected 0 argument(s) in call to \"time\", got 1");
    refused("clamp(up, 1)", "1:1: parse error: expected 3 argument(s) in call to \"clamp\", got 2");
    refused("round()", "1:1: parse error: expected at least 1 argument(s) in call to \"round\", got 0");
    refused("hour(up, up)", "1:1: parse error: expected at most 1 argument(s) in call to \"hour\", got 2");
    refused("abs(up,)", "1:7: parse error: trailing commas not allowed in function call args");
    refused("mad_over_time(up[5m])", "1:1: parse error: function \"mad_over_time\" is not enabled");
    refused("info(up)", "1:1: parse error: function \"info\" is not enabled");
    refused("sum()", "1:1: parse error: no arguments for aggregate expression provided");
    refused(
        "topk(up)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    );
    refused("topk(up, up)", "1:6: parse error: expected type scalar in aggregation parameter, got instant vector");
    refused("sum(1)", "1:5: parse error: expected type instant vector in aggregation expression, got scalar");
    refused("sum foo by (a)", "1:5: parse error: unexpected identifier \"foo\"");
    refused("sum by a (foo)", "1:8: parse error: unexpected identifier \"a\" in grouping opts, expected \"(\"");
    refused(
        "sum by (a b) (foo)",
        "1:11: parse error: unexpected identifier \"b\" in grouping opts, expected \",\" or \")\"",
    );
    refused("sum(foo bar)", "1:9: parse error: unexpected identifier \"bar\" in aggregation");
    refused(
        "limitk(1, up)",
        "1:1: parse error: limitk() is experimental and must be enabled \
         with --enable-feature=promql-experimental-functions",
    );
}

#[test]
fn prints_as_prometheus_does() {
    prints("1+2*3", "1 + 2 * 3");
    prints("-1^2", "-1 ^ 2");
    prints("2 ^ 3 ^ 4 - 1", "2 ^ 3 ^ 4 - 1");
    prints("0x1F + 017 + 1_000", "31 + 15 + 1000");
    prints("5m + -1h30m", "5m + -1h30m");
    prints("NaN / -inf", "NaN / -Inf");
    prints("up{b='2',a=\"1\"}", "up{a=\"1\",b=\"2\"}");
    prints("{\"my.metric\", a=\"b\"}", "{__name__=\"my.metric\",a=\"b\"}");
    prints("{\"my.metric\", \"a.b\"!~`\\d+`}", "{\"a.b\"!~\"\\\\d+\",__name__=\"my.metric\"}");
    prints("SUM(rate(x[300s])) BY (job)", "sum by (job) (rate(x[5m]))");
    prints("sum without() (x)", "sum without () (x)");
    prints("topk(3, x)", "topk(3, x)");
    prints("a*on(x,y)group_left(z)b", "a * on (x, y) group_left (z) b");
    prints("a == bool ignoring() b", "a == bool b");
    prints("a and b or c unless d", "a and b or c unless d");
    prints("a offset 5m @ 10", "a @ 10.000 offset 5m");
    prints("rate(a[1h:] @ end() offset -1w)", "rate(a[1h:] @ end() offset -1w)");
    prints("max_over_time((a - b)[1d:30s])", "max_over_time((a - b)[1d:30s])");
    prints("sum + offset{by=\"x\"} + start", "sum + offset{by=\"x\"} + start");
    prints("sum by (on, without_x, bool) (by)", "sum by (on, without_x, bool) (by)");
    prints("{or=\"x\"}", "{or=\"x\"}");
    prints("a # note\n + # more\n rate(b[5m # x ]\n] @ 3)", "a + rate(b[5m] @ 3.000)");
}

#[test]
fn anchored_and_smoothed_stand_among_the_modifiers() {
    prints_with_all("rate(a[5m] offset 1m anchored @ 3)", "rate(a[5m] anchored @ 3.000 offset 1m)");
    prints_with_all("a smoothed offset 1m @ end()", "a @ end() smoothed offset 1m");
    prints_with_all("a smoothed[5m]", "a[5m] smoothed");
    prints_with_all("a anchored anchored", "a anchored");
    prints_with_all("anchored + smoothed", "anchored + smoothed");
    let together = "1:1: parse error: anchored and smoothed modifiers cannot be used together";
    refused_with_all("a anchored smoothed", together);
    refused_with_all("a[5m] smoothed anchored", together);
    refused_with_all("a[5m:] anchored", "1:1: parse error: anchored modifier is not supported for subqueries");
    refused_with_all("sum(a) smoothed", "1:1: parse error: smoothed modifier not implemented");
    refused("rate(a[5m] anchored)", "1:6: parse error: anchored modifier is experimental and not enabled");
}

#[test]
fn missing_series_are_filled_with_numbers() {
    prints_with_all("a+fill(0)b", "a + fill (0) b");
    prints_with_all("a == bool fill(-Inf) b", "a == bool fill (-Inf) b");
    prints_with_all("a + on(x) group_left fill_left(1m) b", "a + on (x) group_left () fill_left (60) b");
    prints_with_all("a - FILL_RIGHT(+2) fill_left(1.5) b", "a - fill_left (1.5) fill_right (2) b");
    prints_with_all("fill + on(fill) fill_left", "fill + on (fill) fill_left");
    refused_with_all(
        "1 + fill(0) a",
        "1:1: parse error: filling in missing series only allowed between instant vectors",
    );
    refused_with_all("a or fill(0) b", "1:1: parse error: filling in missing series not allowed for set operators");
    refused_with_all("a + fill(b) c", "1:10: parse error: unexpected identifier \"b\"");
    refused_with_all("a + fill_left(1) fill_left(2) b", "1:27: parse error: unexpected \"(\"");
    refused("a + fill(0) b", "1:1: parse error: binop fill modifiers are experimental and not enabled");
}

#[test]
fn experimental_functions_and_aggregators_parse_where_they_are_on() {
    prints_with_all("LIMITK(2, a) by (b)", "limitk by (b) (2, a)");
    prints_with_all("limit_ratio without (b) (-0.5, a)", "limit_ratio without (b) (-0.5, a)");
    prints_with_all("info(a, {b=~\".*\"})", "info(a, {b=~\".*\"})");
    prints_with_all("info(a, {})", "info(a, {})");
    prints_with_all("histogram_quantiles(a, \"q\", 0.5, 0.9)", "histogram_quantiles(a, \"q\", 0.5, 0.9)");
    prints_with_all("start() + end() + step() + range()", "start() + end() + step() + range()");
    prints_with_all("max_of(1, min_of(2, 3))", "max_of(1, min_of(2, 3))");
    prints("a </ 1 >/ b", "a </ 1 >/ b");
    refused_with_all(
        "limitk(1)",
        "1:1: parse error: wrong number of arguments for aggregate expression provided, expected 2, got 1",
    );
    refused_with_all("info(a, b)", "1:9: parse error: expected label selectors only, got vector selector instead");
    refused_with_all("info(a, sum(b))", "1:9: parse error: expected label selectors only");
    refused_with_all(
        "info(a, 1)",
        "1:1: parse error: expected type instant vector in call to function \"info\", got scalar",
    );
    prints_with_all("start_timestamp(a)", "start_timestamp(a)");
    refused("start_timestamp(a)", "1:1: parse error: function \"start_timestamp\" is not enabled");
    refused("start()", "1:1: parse error: function \"start\" is not enabled");
}

#[test]
fn keeps_the_place_of_every_node() {
    let expr = parse("sum(rate(x{a=\"b\"}[5m] offset 1m)) + -y").unwrap();
    let query = "sum(rate(x{a=\"b\"}[5m] offset 1m)) + -y";
    let mut texts = Vec::new();
    let mut queue = vec![&expr];
    while let Some(node) = queue.pop() {
        texts.push(&query[node.span.start..node.span.end]);
        queue.extend(node.children());
    }
    texts.sort_by_key(|t| t.len());
    let expected = [
        "y",
        "-y",
        "x{a=\"b\"}[5m] offset 1m",
        "rate(x{a=\"b\"}[5m] offset 1m)",
        "sum(rate(x{a=\"b\"}[5m] offset 1m))",
        query,
    ];
    assert_eq!(texts, expected);
}

#[test]
fn a_megabyte_of_nesting_is_refused_quickly() {
    for (part, count) in [("(", 1 << 20), ("-", 1 << 20), ("1^", 1 << 19), ("sum(", 1 << 18), ("a[1m:", 200_000)] {
        let error = parse(&part.repeat(count)).unwrap_err();
        assert!(
            error.message.contains("nested too deeply")
                || error.message.contains("unexpected")
                || error.message.contains("bracket"),
            "{part}: {error}"
        );
    }
    let chain = format!("1{}", "+1".repeat(1 << 19));
    assert!(parse(&chain).unwrap_err().message.contains("nested too deeply"));
    let subqueries = format!("a{}", "[1m:]".repeat(200_000));
    assert!(parse(&subqueries).is_err());
    let nested = format!("{}1{}", "(".repeat(90), ")".repeat(90));
    assert_eq!(parse(&nested).map(|e| e.to_string()), Ok(nested));
    assert!(parse(&"1".repeat(QUERY_BYTES_MAX + 1)).is_err());
}

#[test]
fn reads_match_parameters() {
    let check = |text: &str, expected: &[&str]| {
        let found = parse_selector(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(found.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{text}");
    };
    check("up", &["__name__=\"up\""]);
    check("up{job=\"x\"}", &["job=\"x\"", "__name__=\"up\""]);
    check("{__name__=~\".+\"}", &["__name__=~\".+\""]);
    assert!(parse_selector("up offset 5m").is_err());
    assert!(parse_selector("sum(up)").is_err());
    assert!(parse_selector("").is_err());
}

/// Words and signs of the language, and some that are not.
const VOCABULARY: [&str; 64] = [
    "up",
    "sum",
    "by",
    "without",
    "(",
    ")",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "=",
    "=~",
    "!=",
    "!~",
    "==",
    "<",
    ">=",
    "+",
    "-",
    "*",
    "/",
    "%",
    "^",
    "@",
    "offset",
    "bool",
    "on",
    "ignoring",
    "group_left",
    "and",
    "or",
    "unless",
    "atan2",
    "rate",
    "5m",
    "1h30m",
    "1",
    "0x1f",
    "1e",
    ".5",
    "NaN",
    "\"a\"",
    "'b",
    "`c`",
    "\\",
    "#",
    "\n",
    "start()",
    "step()",
    "range()",
    "min_of(",
    "anchored",
    "smoothed",
    "fill(",
    "fill_left(",
    "fill_right",
    "limitk",
    "info(",
    "</",
    ">/",
    "é",
    " ",
];

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = parse(&text);
        let _ = parse_selector(&text);
    }

    #[test]
    fn what_parses_prints_and_parses_to_the_same(words in proptest::collection::vec(0..VOCABULARY.len(), 0..16)) {
        let text: Vec<&str> = words.iter().map(|&i| VOCABULARY[i]).collect();
        for text in [text.join(""), text.join(" ")] {
            if let Ok(expr) = parse_with(&text, ParseOptions::all()) {
                let printed = expr.to_string();
                let again = parse_with(&printed, ParseOptions::all()).map(|e| e.to_string());
                proptest::prop_assert_eq!(again, Ok(printed), "{}", text);
            }
        }
    }
}
