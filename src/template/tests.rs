//! Tables: template text and what Go or Prometheus prints for it.

use std::sync::Arc;

use super::*;

const VARIABLES: [&str; 3] = ["$labels", "$value", "$externalURL"];

fn found(query: &str) -> Result<Vec<QuerySample>, String> {
    let sample = |instance: &str, value: f64| {
        let labels = [("__name__", "metric"), ("instance", instance)].map(|(n, v)| (n.to_owned(), v.to_owned()));
        QuerySample { labels: Arc::new(labels.into_iter().collect()), value }
    };
    match query {
        "metric" => Ok(vec![sample("b", 21.0), sample("a", 11.0)]),
        "none" => Ok(Vec::new()),
        other => Err(format!("no such query {other}")),
    }
}

fn render(text: &str) -> Result<String, TemplateError> {
    render_value(text, 1_234_567.0)
}

fn render_value(text: &str, value: f64) -> Result<String, TemplateError> {
    let labels = Value::labels([("job", "api"), ("instance", "web-1.example.org:9100")]);
    let data = Value::Struct(Arc::new(vec![("Labels", labels.clone()), ("Value", Value::Float(value))]));
    let env = Env { now_ms: 1_500, external_url: "http://cairn.example:9090/sub", query: &found };
    let values = [labels, Value::Float(value), Value::str("http://cairn.example:9090/sub")];
    Template::parse("test", text, &VARIABLES)?.render(&data, &values, &env)
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(render(text).as_deref(), Ok(expected), "{text}");
}

#[track_caller]
fn refused(text: &str, line: usize, column: usize, message: &str) {
    let e = render(text).unwrap_err();
    assert_eq!((e.line, e.column), (line, column), "{e}");
    assert!(e.message.contains(message), "{e}");
}

#[test]
fn text_trimming_and_comments() {
    check("plain text", "plain text");
    check("a {{- 1 -}} b", "a1b");
    check("a {{-1}} b", "a -1 b");
    check("a{{/* gone */}}b", "ab");
    check("a {{- /* gone */ -}} b", "ab");
    check("{{ \"}}\" }}", "}}");
    check("{{\n1\n}}", "1");
}

#[test]
fn literals() {
    check(r#"{{ "a\tb\u00e9\x41" }}{{ `raw\n` }}"#, "a\tbéAraw\\n");
    check("{{ 'a' }} {{ 0x1F }} {{ 1_000 }} {{ 1.5e3 }} {{ -2 }} {{ true }}", "97 31 1000 1500 -2 true");
}

#[test]
fn labels_and_value_as_go_prints_them() {
    check(
        "{{ $labels.job }} {{ $value }} {{ .Labels.instance }} {{ .Value }}",
        "api 1.234567e+06 web-1.example.org:9100 1.234567e+06",
    );
    check("{{ $labels }}", "map[instance:web-1.example.org:9100 job:api]");
    check("[{{ $labels.missing }}] [{{ index $labels \"job\" }}]", "[] [api]");
    check("{{ $.Labels.job }} {{ (.Labels).job }}", "api api");
    for (value, expected) in [
        (0.0, "0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (123_456.0, "123456"),
        (1e6, "1e+06"),
        (1.5e21, "1.5e+21"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-2.5, "-2.5"),
        (1.0 / 3.0, "0.3333333333333333"),
        (f64::INFINITY, "+Inf"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(render_value("{{ $value }}", value).unwrap(), expected);
    }
}

#[test]
fn control_flow_and_scopes() {
    check("{{ if gt $value 5.0 }}big{{ else }}small{{ end }}", "big");
    check("{{ if false }}a{{ else if eq $labels.job \"x\" \"api\" }}b{{ else }}c{{ end }}", "b");
    check("{{ with $labels.job }}<{{ . }}>{{ end }}{{ with $labels.none }}x{{ else }}no{{ end }}", "<api>no");
    check("{{ range $k, $v := $labels }}{{ $k }}={{ $v }};{{ end }}", "instance=web-1.example.org:9100;job=api;");
    check("{{ range query \"none\" }}x{{ else }}empty{{ end }}", "empty");
    check("{{ range 3 }}{{ if eq . 1 }}{{ continue }}{{ end }}{{ . }}{{ end }}", "02");
    check("{{ range $i := 5 }}{{ if eq $i 2 }}{{ break }}{{ end }}{{ $i }}{{ end }}", "01");
    check("{{ $x := 1 }}{{ if true }}{{ $x = 2 }}{{ $y := 3 }}{{ $y }}{{ end }}{{ $x }}", "32");
    check("{{ define \"t\" }}[{{ . }}]{{ end }}{{ template \"t\" $labels.job }}", "[api]");
    check("{{ block \"t\" 7 }}<{{ . }}>{{ end }}", "<7>");
    check("{{ and true 0 }} {{ or 0 \"x\" }} {{ not 1 }} {{ and 1 2 }}", "0 x false 2");
    check("{{ or true (query \"broken\") }}", "true");
}

#[test]
fn pipelines_and_printf() {
    check("{{ $value | printf \"%.2f\" }}", "1234567.00");
    check(
        "{{ printf \"%s is %5.1f%% |%-6s|%06d|%x|%q|%t\" \"x\" 99.95 \"ab\" 42 255 \"a\\\"b\" true }}",
        "x is 100.0% |ab    |000042|ff|\"a\\\"b\"|true",
    );
    check("{{ printf \"%d\" $value }}", "%!d(float64=1.234567e+06)");
    check("{{ printf \"%d %s\" 1 }}", "1 %!s(MISSING)");
    check("{{ printf \"%d\" 1 2 }}", "1%!(EXTRA int=2)");
    check(
        "{{ printf \"%e %E %g %+v % d %08.3f\" 12345.678 0.5 1e7 3.0 5 -3.14159 }}",
        "1.234568e+04 5.000000E-01 1e+07 +3  5 -003.142",
    );
    check(
        "{{ printf \"%v %T %.4g\" $labels $value 100000.0 }}",
        "map[instance:web-1.example.org:9100 job:api] float64 1e+05",
    );
    check("{{ print 1 2 \"a\" 3 }} {{ println \"x\" 1 }}", "1 2a3 x 1\n");
    check("{{ len $labels }} {{ len \"abc\" }} {{ slice \"abcdef\" 1 3 }}", "2 3 bc");
    check("{{ html \"<a&'b'>\" }} {{ urlquery \"a b&c\" }}", "&lt;a&amp;&#39;b&#39;&gt; a+b%26c");
    check("{{ (query \"metric\" | first).Value }}", "21");
}

#[test]
fn humanizing() {
    let table = [
        ("humanize", 0.0, "0"),
        ("humanize", 1_234_567.0, "1.235M"),
        ("humanize", 999.95, "1000"),
        ("humanize", 1e3, "1k"),
        ("humanize", 0.000_123_4, "123.4u"),
        ("humanize", -0.5, "-500m"),
        ("humanize", f64::INFINITY, "+Inf"),
        ("humanize1024", 0.5, "0.5"),
        ("humanize1024", 1_048_576.0, "1Mi"),
        ("humanize1024", 1023.0, "1023"),
        ("humanizeDuration", 0.0, "0s"),
        ("humanizeDuration", 1.0, "1s"),
        ("humanizeDuration", 59.99, "59.99s"),
        ("humanizeDuration", 60.0, "1m 0s"),
        ("humanizeDuration", 3600.0, "1h 0m 0s"),
        ("humanizeDuration", 86_400.0, "1d 0h 0m 0s"),
        ("humanizeDuration", 90_061.5, "1d 1h 1m 1s"),
        ("humanizeDuration", -1.0, "-1s"),
        ("humanizeDuration", 0.0123, "12.3ms"),
        ("humanizeDuration", f64::NAN, "NaN"),
        ("humanizePercentage", 0.123_456, "12.35%"),
        ("humanizePercentage", 1.0, "100%"),
        ("humanizePercentage", -0.22, "-22%"),
        ("humanizeTimestamp", 1_435_065_584.128, "2015-06-23 13:19:44.128 +0000 UTC"),
        ("humanizeTimestamp", 0.0, "1970-01-01 00:00:00 +0000 UTC"),
        ("humanizeTimestamp", f64::NAN, "NaN"),
    ];
    for (function, value, expected) in table {
        assert_eq!(
            render_value(&format!("{{{{ {function} $value }}}}"), value).as_deref(),
            Ok(expected),
            "{function} {value}"
        );
    }
    check("{{ humanize \"1234\" }} {{ humanizeDuration 90 }}", "1.234k 1m 30s");
    check(
        "{{ (toTime 1435065584.128).Format \"2006-01-02T15:04:05Z07:00 Mon Jan _2\" }}",
        "2015-06-23T13:19:44Z Tue Jun 23",
    );
    check("{{ (1435065584.128 | toTime).Year }} {{ toDuration 3723.5 }}", "2015 1h2m3.5s");
    check("{{ parseDuration \"1h2m10ms\" }} {{ now }}", "3720.01 1.5");
    refused("{{ parseDuration \"1m1h\" }}", 1, 4, "not a valid duration string: \"1m1h\"");
    refused("{{ humanize true }}", 1, 4, "can't convert bool to float");
}

#[test]
fn strings_links_and_queries() {
    check("{{ title \"aa bB don't x_y 1st\" }} {{ toUpper \"é\" }} {{ toLower \"AB\" }}", "Aa BB Don't X_y 1St É ab");
    check("{{ reReplaceAll \"(a)b\" \"${1}x\" \"abab\" }} {{ match \"a+\" \"baa\" }}", "axax true");
    check("{{ stripPort \"h.x:80\" }} {{ stripPort \"h\" }} {{ stripPort \"[::1]:80\" }}", "h.x h ::1");
    check(
        "{{ stripDomain \"h.x.y:80\" }} {{ stripDomain \"h.x\" }} {{ stripDomain \"10.0.0.1:80\" }}",
        "h:80 h 10.0.0.1:80",
    );
    check(
        "{{ graphLink \"up == 0\" }} {{ tableLink \"up\" }}",
        "/graph?g0.expr=up+%3D%3D+0&g0.tab=0 /graph?g0.expr=up&g0.tab=1",
    );
    check(
        "{{ pathPrefix }} {{ externalURL }} {{ $externalURL }}",
        "/sub http://cairn.example:9090/sub http://cairn.example:9090/sub",
    );
    check(
        "{{ range query \"metric\" | sortByLabel \"instance\" }}{{ .Labels.instance }}:{{ .Value }} {{ end }}",
        "a:11 b:21 ",
    );
    check("{{ query \"metric\" | first | value }} {{ query \"metric\" | first | label \"instance\" }}", "21 b");
    check("{{ with args 1 \"b\" }}{{ .arg0 }}{{ .arg1 }}{{ .arg2 }}{{ end }}", "1b<no value>");
    refused("{{ query \"none\" | first }}", 1, 19, "first() called on vector with no elements");
    refused("{{ query \"boom\" }}", 1, 4, "error calling query: no such query boom");
}

#[test]
fn mistakes_are_placed() {
    refused("a\n  {{ $nope }}", 2, 6, "undefined variable \"$nope\"");
    refused("{{ nope }}", 1, 4, "function \"nope\" not defined");
    refused("{{ if true }}", 1, 1, "{{if}} has no {{end}}");
    refused("{{ end }}", 1, 1, "unexpected {{end}}");
    refused("{{ $value", 1, 1, "unclosed action");
    refused("{{ }}", 1, 1, "missing value for command");
    refused("{{ \"a }}", 1, 4, "unterminated quoted string");
    refused("{{ (1 }}", 1, 4, "unclosed left paren");
    refused("{{ 1 | 2 }}", 1, 8, "non executable command in pipeline");
    refused("{{ .Nope }}", 1, 4, "can't evaluate field Nope");
    refused("{{ gt $value 5 }}", 1, 4, "incompatible types for comparison");
    refused("{{ label \"a\" }}", 1, 4, "wrong number of args for label: want 2 got 1");
    refused("{{ template \"x\" }}", 1, 1, "template \"x\" not defined");
    refused("{{ break }}", 1, 1, "outside {{range}}");
    refused("{{ /* x }}", 1, 4, "unclosed comment");
}

#[test]
fn runaways_are_stopped() {
    refused(
        "{{ define \"t\" }}{{ template \"t\" }}{{ end }}{{ template \"t\" }}",
        1,
        17,
        "nested deeper than 100 levels",
    );
    refused(
        "{{ range 1000 }}{{ range 1000 }}{{ range 1000 }}{{ end }}{{ end }}{{ end }}",
        1,
        33,
        "stopped after 1000000 steps",
    );
    let long = format!("{{{{ range 100000 }}}}{}{{{{ end }}}}", "x".repeat(100));
    assert!(render(&long).unwrap_err().message.contains("longer than 1048576 bytes"));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(render(&deep).unwrap_err().message.contains("nested deeper"));
}
