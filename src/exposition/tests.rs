use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use storage::Labels;

use super::*;

/// Everything a body says, one line each; the first error ends it.
fn dump(body: &[u8], format: Format) -> Result<String, ParseError> {
    let mut out = String::new();
    for entry in Parser::new(body, format) {
        match entry? {
            Entry::Type { family, kind } => writeln!(out, "type {family:?} {}", kind.as_str()).unwrap(),
            Entry::Help { family, help } => writeln!(out, "help {family:?} {help:?}").unwrap(),
            Entry::Unit { family, unit } => writeln!(out, "unit {family:?} {unit:?}").unwrap(),
            Entry::Sample(s) => {
                write!(out, "sample {} = {:?}", s.series.labels()?, s.value).unwrap();
                if let Some(t) = s.timestamp_ms {
                    write!(out, " @ {t}").unwrap();
                }
                out.push('\n');
            }
        }
    }
    Ok(out)
}

#[track_caller]
fn good(format: Format, body: &str, expected: &str) {
    assert_eq!(dump(body.as_bytes(), format).map_err(|e| e.to_string()), Ok(format!("{expected}\n")), "{body:?}");
}

/// `part` must be in the message; line and column count from 1.
#[track_caller]
fn bad(format: Format, body: impl AsRef<[u8]>, line: usize, column: usize, part: &str) {
    let body = body.as_ref();
    let text = String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    let e = dump(body, format).expect_err(&text);
    assert_eq!((e.line, e.column), (line, column), "{text:?}: {e}");
    assert!(e.message.contains(part), "{text:?}: {e}");
    let line_start = body.split_inclusive(|&b| b == b'\n').take(line - 1).map(<[u8]>::len).sum::<usize>();
    assert_eq!(e.offset, line_start + column - 1, "{text:?}: {e}");
}

#[test]
fn text_accepts() {
    let good = |body, expected| good(Format::Text, body, expected);
    good("m 1", "sample m = 1.0");
    good("m 1\n", "sample m = 1.0");
    good("\n \t\n m\t1 \n", "sample m = 1.0");
    good("m{} 1", "sample m = 1.0");
    good("m {a=\"b\"} 1", "sample m{a=\"b\"} = 1.0");
    good("m{a=\"}#{\"} 1", "sample m{a=\"}#{\"} = 1.0");
    good("m{a=\"b\"}1", "sample m{a=\"b\"} = 1.0");
    good("m{ a = \"b\" , c=\"d\", } 1 -5", "sample m{a=\"b\", c=\"d\"} = 1.0 @ -5");
    good(r#"m{a="\\\"\n}"} 1"#, r#"sample m{a="\\\"\n}"} = 1.0"#);
    good(r#"{"my.metric",a="b"} 1"#, r#"sample {"my.metric", a="b"} = 1.0"#);
    good(r#"{a="b","up"} 1"#, r#"sample up{a="b"} = 1.0"#);
    good(r#"m{"a b"="é"} 1"#, r#"sample m{"a b"="é"} = 1.0"#);
    good("m{a=\"\"} 1", "sample m = 1.0");
    good(":a_9 NaN", "sample :a_9 = NaN");
    good("# a comment\n#HELP m x\n# EOF\n# HELPER\n# TYPE\nm 1", "sample m = 1.0");
    good("# HELP m a\\nb \\\\ \\d\nm 1", "help \"m\" \"a\\nb \\\\ \\\\d\"\nsample m = 1.0");
    good("# HELP m\n#\tTYPE\tm\tuntyped \nm 1", "help \"m\" \"\"\ntype \"m\" unknown\nsample m = 1.0");
    good("# TYPE \"my.metric\" gauge\nm 1", "type \"my.metric\" gauge\nsample m = 1.0");
}

#[test]
fn open_metrics_accepts() {
    let good = |body, expected| good(Format::OpenMetrics, body, expected);
    good("m 1\n# EOF", "sample m = 1.0");
    good("m 1 1520879607.789\n# EOF\n", "sample m = 1.0 @ 1520879607789");
    good("m_bucket{le=\"1\"} 4 # {trace_id=\"a\"} 0.5 1.25\n# EOF\n", "sample m_bucket{le=\"1\"} = 4.0");
    good("m{a=\"#}\"} 4 # {b=\"}\"} 0.5\n# EOF\n", "sample m{a=\"#}\"} = 4.0");
    good("m_total 4 2 # {} 0.5\n# EOF\n", "sample m_total = 4.0 @ 2000");
    good("# UNIT m_seconds seconds\n# UNIT m \n# EOF", "unit \"m_seconds\" \"seconds\"\nunit \"m\" \"\"");
    good("# TYPE m stateset\n# EOF", "type \"m\" stateset");
    good("# HELP m say \\\"x\\\"\n# EOF", "help \"m\" \"say \\\"x\\\"\"");
}

#[test]
fn created_samples_keep_their_names() {
    let body = "# TYPE ticket_created counter\nticket_created_total 3\nticket_created_created 1.5e9\n# EOF\n";
    let expected = "type \"ticket_created\" counter\nsample ticket_created_total = 3.0\n\
        sample ticket_created_created = 1500000000.0";
    good(Format::OpenMetrics, body, expected);
}

#[test]
fn garbage_in_text_is_named_by_line_and_byte() {
    let bad = |body: &str, line, column, part| bad(Format::Text, body, line, column, part);
    bad("ok 1\nm{a=\"\\x\"} 1", 2, 7, "after a backslash, found 'x'");
    bad("m{a=\"b} 1", 1, 10, "closing '\"' for the one at byte 5");
    bad("m{a=\"b\nc\"} 1", 1, 7, "closing '\"'");
    bad("m{a=\"b\" 1", 1, 9, "',' or '}' after a label, found '1'");
    bad("m{a=\"b\"", 1, 8, "found the end of the line");
    bad("m{a=\"b\"c=\"d\"} 1", 1, 8, "',' or '}'");
    bad("m{,} 1", 1, 3, "a label name or '}', found ','");
    bad("m{a=b} 1", 1, 5, "'\"' before the label value");
    bad("m{a} 1", 1, 4, "'=' after the label name");
    bad("m{a=\"1\",a=\"2\"} 1", 1, 9, "label name \"a\" is not unique");
    bad("m{1a=\"b\"} 1", 1, 3, "a label name");
    bad("m{a:b=\"c\"} 1", 1, 4, "'='");
    bad("m{\"\"=\"c\"} 1", 1, 3, "an empty name");
    bad("m{\"n\"} 1", 1, 3, "a second metric name, \"n\"");
    bad("m{__name__=\"n\"} 1", 1, 3, "not unique");
    bad("{a=\"b\"} 1", 1, 1, "no metric name");
    bad("{} 1", 1, 1, "no metric name");
    bad("9m 1", 1, 1, "a metric name, found '9'");
    bad("my-metric 1", 1, 3, "after the metric name, found '-'");
    bad("my.metric{a=\"b\"} 1", 1, 3, "found '.'");
    bad("<html>\n", 1, 1, "found '<'");
    bad("\u{feff}m 1", 1, 1, "found '\\u{feff}'");
    bad("m", 1, 2, "a value, found the end of the line");
    bad("m ", 1, 3, "a value");
    bad("m one", 1, 3, "found \"one\" (not a number)");
    bad("m 1,5", 1, 3, "\"1,5\"");
    bad("m 0x1p3", 1, 3, "not a number");
    bad("m +NaN", 1, 3, "NaN takes no sign");
    bad("m nano", 1, 3, "not a number");
    bad("m 1e999", 1, 3, "out of the range");
    bad("m 1 1.5", 1, 5, "whole number of milliseconds");
    bad("m 1 now", 1, 5, "a timestamp");
    bad("m 1 2 3", 1, 7, "the end of the line, found '3'");
    bad("m 1 # {a=\"b\"} 1", 1, 5, "found '#'");
    bad("m{a=\"b\"} 1 # {a=\"b\"} 1", 1, 12, "found '#'");
    bad("m{a=\"b\"} 1 }", 1, 12, "found \"}\"");
    bad("m{a=\"b\"}} 1", 1, 9, "found \"}\"");
    bad("m{a=\"b\"}{c=\"d\"} 1", 1, 9, "a value");
    bad("m 1 }", 1, 5, "a timestamp, found \"}\"");
    bad("m{", 1, 3, "a label name or '}', found the end");
    bad("m {", 1, 4, "a label name or '}'");
    bad("m{a=\"b\\\"} 1", 1, 12, "closing");
    bad("m 1\r\n", 1, 3, "not a number");
    bad("m 1 \r\n", 1, 5, "\\r");
    bad("# TYPE m wrong\n", 1, 10, "a metric type, found \"wrong\"");
    bad("# TYPE m gaugehistogram\n", 1, 10, "a metric type");
    bad("# TYPE m \n", 1, 10, "a metric type, found \"\"");
    bad("# TYPE 9 gauge\n", 1, 8, "a metric name");
    bad("# HELP m-n x\n", 1, 9, "a blank after the metric name");
    bad("a 1\nb 2\n\n\nc x\n", 5, 3, "a value");
    bad("m\0 1", 1, 2, "found '\\0'");
}

#[test]
fn garbage_in_bytes_is_named_by_line_and_byte() {
    bad(Format::Text, b"a 1\nm{a=\"\xff\"} 1\n", 2, 6, "expected UTF-8, found the byte 0xff");
    bad(Format::Text, b"# HELP m \xe4\n", 1, 10, "UTF-8");
    bad(Format::Text, b"m{a=\"\xe2\x82", 1, 6, "UTF-8");
    bad(Format::OpenMetrics, b"# \xff\n# EOF\n", 1, 3, "UTF-8");
    // A comment is nobody's data.
    assert_eq!(dump(b"# caf\xe9\n#\xff\xff\nm 1\n# \xff", Format::Text), Ok("sample m = 1.0\n".to_owned()));
    bad(Format::Text, b"# \xff\n# \xff\nm x\n", 3, 3, "a value");
    bad(Format::Text, b"\x1f\x8b\x08\x00\x00", 1, 2, "UTF-8");
}

#[test]
fn garbage_in_open_metrics_is_named_by_line_and_byte() {
    let bad = |body: &str, line, column, part| bad(Format::OpenMetrics, body, line, column, part);
    bad("m 1\n", 2, 1, "expected \"# EOF\", found the end of the body");
    bad("", 1, 1, "# EOF");
    bad("m 1", 1, 4, "# EOF");
    bad("m 1\n# HELP m", 2, 9, "# EOF");
    bad("# EOF\nm 1\n", 2, 1, "nothing after \"# EOF\"");
    bad("# EOF\n\n", 2, 1, "nothing after");
    bad("m 1\n\n# EOF\n", 2, 1, "no empty lines");
    bad("# comment\n# EOF\n", 1, 1, "# HELP, # TYPE, # UNIT or # EOF");
    bad(" m 1\n# EOF\n", 1, 1, "a metric name");
    bad("# TYPE m untyped\n# EOF\n", 1, 10, "a metric type");
    bad("# UNIT m_seconds bytes\n# EOF\n", 1, 18, "not the last part");
    bad("# UNIT mseconds seconds\n# EOF\n", 1, 17, "not the last part");
    bad("m 1 NaN\n# EOF\n", 1, 5, "not a time in seconds");
    bad("m 1 # a\n# EOF\n", 1, 7, "'{'");
    bad("m 1 # {a=\"b\"}\n# EOF\n", 1, 14, "an exemplar's value");
    bad("m 1 # {a=\"b\"} 1 x\n# EOF\n", 1, 17, "a timestamp");
    bad("m 1 # {a=\"b\"} 1 2 3\n# EOF\n", 1, 19, "end of the line");
    bad("m 1 # {a=\"b\",a=\"b\"} 1\n# EOF\n", 1, 14, "not unique");
}

#[test]
fn huge_lines_are_refused_quickly() {
    let long_value = format!("a 1\nm{{a=\"{}\"}} 1\n", "x".repeat(LINE_BYTES_MAX));
    bad(Format::Text, long_value, 2, LINE_BYTES_MAX + 1, "1048576 are allowed");
    let labels: String = (0..80_000).map(|i| format!("a{i}=\"\",")).collect();
    let many_labels = format!("m{{{labels}a7=\"\"}} 1\n");
    bad(Format::Text, &many_labels, 1, 3 + labels.len(), "\"a7\" is not unique");
}

#[test]
fn golden_files_are_read_as_written() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/exposition");
    let mut checked = 0;
    for entry in std::fs::read_dir(&dir).unwrap() {
        let path = entry.unwrap().path();
        let format = match path.extension().and_then(|e| e.to_str()) {
            Some("prom") => Format::Text,
            Some("om") => Format::OpenMetrics,
            _ => continue,
        };
        let found = dump(&std::fs::read(&path).unwrap(), format).unwrap();
        let golden = PathBuf::from(format!("{}.golden", path.display()));
        if std::env::var_os("CAIRN_UPDATE_GOLDEN").is_some() {
            std::fs::write(&golden, &found).unwrap();
        }
        assert_eq!(found, std::fs::read_to_string(&golden).unwrap(), "{}", path.display());
        checked += 1;
    }
    assert!(checked >= 2, "{}: golden files are missing", dir.display());
}

/// First scrape page of a capture, without its `#TS` line; `None` where the captures are absent.
fn first_page(name: &str) -> Option<String> {
    let path = format!("{}/../shared/data/captures/{name}.txt.zst", env!("CARGO_MANIFEST_DIR"));
    let Ok(file) = std::fs::File::open(&path) else {
        println!("skipped: {path} is absent");
        return None;
    };
    let mut decoder = zstd::Decoder::new(file).unwrap();
    decoder.window_log_max(24).unwrap();
    let mut page = String::new();
    for line in BufReader::new(decoder.take(64 << 20)).lines() {
        let line = line.unwrap();
        if line.starts_with("#TS ") {
            if page.is_empty() { continue } else { break }
        }
        page.push_str(&line);
        page.push('\n');
    }
    Some(page)
}

#[test]
fn captured_pages_are_read_like_a_naive_reader_does() {
    for name in ["node", "pg", "redis", "prom", "vm"] {
        let Some(page) = first_page(name) else { return };
        let naive: Vec<(&str, f64)> = page
            .lines()
            .filter(|l| !l.starts_with('#') && !l.is_empty())
            .map(|l| l.rsplit_once(' ').unwrap())
            .map(|(series, value)| (series, value.parse().unwrap()))
            .collect();
        let mut ours = Vec::new();
        let mut labels = std::collections::BTreeSet::new();
        for entry in Parser::new(page.as_bytes(), Format::Text) {
            if let Entry::Sample(s) = entry.unwrap() {
                ours.push((s.series.text(), s.value));
                labels.insert(s.series.labels().unwrap());
            }
        }
        assert!(naive.len() > 100, "{name}: {} samples", naive.len());
        assert_eq!(ours.len(), naive.len(), "{name}");
        assert_eq!(labels.len(), naive.len(), "{name}");
        for (o, n) in ours.iter().zip(&naive) {
            assert!(o.0 == n.0 && (o.1 == n.1 || o.1.is_nan() && n.1.is_nan()), "{name}: {o:?} {n:?}");
        }
    }
}

/// Lines that are nearly right: far more of them reach the depths than of arbitrary bytes.
fn nearly_lines() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("m"),
        Just("{"),
        Just("}"),
        Just("\""),
        Just("\\"),
        Just("="),
        Just(","),
        Just(" "),
        Just("\n"),
        Just("# "),
        Just("#"),
        Just("HELP "),
        Just("TYPE "),
        Just("UNIT "),
        Just("EOF"),
        Just("1"),
        Just("NaN"),
        Just("é"),
        Just("a=\"b\""),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in proptest::collection::vec(any::<u8>(), 0..300), open_metrics: bool) {
        check_place(&body, open_metrics)?;
    }

    #[test]
    fn nearly_right_lines_never_panic(body in nearly_lines(), open_metrics: bool) {
        check_place(body.as_bytes(), open_metrics)?;
    }

    #[test]
    fn what_is_written_is_read_back(
        values in proptest::collection::vec(("[a-z]{1,5}", "\\PC{0,8}", any::<f64>()), 0..8),
    ) {
        let escape = |v: &str| v.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let body: String = values.iter().map(|(n, v, x)| format!("{n}{{a=\"{}\"}} {x}\n", escape(v))).collect();
        let mut read = Vec::new();
        for entry in Parser::new(body.as_bytes(), Format::Text) {
            if let Entry::Sample(s) = entry.unwrap() {
                read.push((s.series.labels().unwrap(), s.value));
            }
        }
        prop_assert_eq!(read.len(), values.len());
        for ((labels, value), (n, v, x)) in read.iter().zip(&values) {
            let expected = Labels::from_pairs([("__name__", n.as_str()), ("a", v.as_str())]).unwrap();
            prop_assert_eq!(labels, &expected);
            prop_assert!(value == x || value.is_nan() && x.is_nan());
        }
    }
}

fn check_place(body: &[u8], open_metrics: bool) -> Result<(), TestCaseError> {
    let format = if open_metrics { Format::OpenMetrics } else { Format::Text };
    if let Err(e) = dump(body, format) {
        prop_assert!(e.offset <= body.len() && e.line >= 1 && e.column >= 1, "{e}");
        let line_start = e.offset + 1 - e.column;
        prop_assert_eq!(body[..line_start].iter().filter(|&&b| b == b'\n').count(), e.line - 1, "{}", e);
    }
    Ok(())
}
