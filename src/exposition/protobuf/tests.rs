//! Hand-made pages, prost's view of arbitrary ones, and arbitrary bytes.

use std::fmt::Write as _;

use proptest::prelude::*;
use storage::HistogramCounts;

use super::messages::{
    self, COUNTER, GAUGE, GAUGE_HISTOGRAM, HISTOGRAM, MetricFamily, SUMMARY, UNTYPED, at, both_parts, exemplar, family,
    histogram, labels, page,
};
use super::*;

const NATIVE: HistogramRules = HistogramRules { native: true, classic: false, custom_buckets: false };

/// Everything a page says, one line each.
fn dump(body: &[u8], rules: HistogramRules) -> Result<String, ProtobufError> {
    let mut out = String::new();
    read_page(body, rules, |entry| {
        match entry {
            Entry::Type { family, kind } => writeln!(out, "type {family} {}", kind.as_str()).unwrap(),
            Entry::Help { family, help } => writeln!(out, "help {family} {help:?}").unwrap(),
            Entry::Unit { family, unit } => writeln!(out, "unit {family} {unit}").unwrap(),
            Entry::Sample(sample) => {
                write!(out, "{} = ", sample.series.labels()?).unwrap();
                match sample.value {
                    Value::Float(v) => write!(out, "{v}").unwrap(),
                    Value::Histogram(h) => write!(out, "{}", shown(h)).unwrap(),
                }
                sample.timestamp_ms.into_iter().for_each(|t| write!(out, " @ {t}").unwrap());
                if sample.start_ms != 0 {
                    write!(out, " since {}", sample.start_ms).unwrap();
                }
                for e in sample.exemplars {
                    write!(out, " # {} {}", e.labels, e.value).unwrap();
                    e.timestamp_ms.into_iter().for_each(|t| write!(out, " {t}").unwrap());
                }
                out.push('\n');
            }
        }
        Ok::<(), ProtobufError>(())
    })?;
    Ok(out)
}

fn shown(h: &Histogram) -> String {
    let kind = if h.is_float() { "float" } else { "int" };
    let mut out = format!("{kind} schema={} count={} sum={} zero={}", h.schema, h.count(), h.sum, h.zero_count());
    let positive: Vec<(i32, f64)> = h.positive_buckets().collect();
    let negative: Vec<(i32, f64)> = h.negative_buckets().collect();
    write!(out, " {positive:?} {negative:?} {:?}", h.counter_reset_hint).unwrap();
    if !h.custom_values.is_empty() {
        write!(out, " {:?}", h.custom_values).unwrap();
    }
    out
}

#[track_caller]
fn check(families: &[MetricFamily], rules: HistogramRules, expected: &str) {
    let expected: String = expected.trim_start().lines().map(|line| format!("{}\n", line.trim())).collect();
    assert_eq!(dump(&page(families), rules).map_err(|e| e.to_string()), Ok(expected));
}

fn metric(pairs: &[(&str, &str)]) -> messages::Metric {
    messages::Metric { label: labels(pairs), ..messages::Metric::default() }
}

#[test]
fn plain_metrics() {
    let gauge = |value| Some(messages::Gauge { value });
    let counter = messages::Counter { value: 7.0, exemplar: Some(exemplar("a", 2.0, None)), start: at(1_500) };
    let mut hits = family(
        "hits",
        COUNTER,
        vec![messages::Metric { counter: Some(counter), ..metric(&[("path", "/"), ("b", "")]) }],
    );
    (hits.help, hits.unit) = ("Hits.\n".to_owned(), "requests".to_owned());
    check(
        &[
            hits,
            family("empty", GAUGE, vec![]),
            family(
                "temp",
                GAUGE,
                vec![
                    messages::Metric { gauge: gauge(-1.5), timestamp_ms: 99, ..metric(&[]) },
                    messages::Metric { gauge: gauge(f64::NAN), ..metric(&[("a", "ü\"")]) },
                ],
            ),
            family("what.ever", UNTYPED, vec![messages::Metric { untyped: gauge(3.0), ..metric(&[]) }]),
            family("unset", COUNTER, vec![metric(&[])]),
        ],
        NATIVE,
        r#"
        help hits "Hits.\n"
        unit hits requests
        type hits counter
        hits{path="/"} = 7 since 1500 # {trace_id="a"} 2
        help temp ""
        type temp gauge
        temp = -1.5 @ 99
        temp{a="ü\""} = NaN
        help what.ever ""
        type what.ever unknown
        {"what.ever"} = 3
        help unset ""
        type unset counter
        unset = 0
        "#
        .trim_end(),
    );
}

#[test]
fn summaries() {
    let quantile = |quantile, value| messages::Quantile { quantile, value };
    let summary = messages::Summary {
        count: 9,
        sum: 4.5,
        quantile: vec![quantile(0.5, 1.0), quantile(1.0, 2.0)],
        start: at(-1_001),
    };
    let bare = messages::Summary { count: 2, ..messages::Summary::default() };
    check(
        &[family(
            "s",
            SUMMARY,
            vec![
                messages::Metric { summary: Some(summary), timestamp_ms: 5, ..metric(&[("a", "b")]) },
                messages::Metric { summary: Some(bare), ..metric(&[]) },
            ],
        )],
        NATIVE,
        r#"
        help s ""
        type s summary
        s_count{a="b"} = 9 @ 5 since -1001
        s_sum{a="b"} = 4.5 @ 5 since -1001
        s{a="b", quantile="0.5"} = 1 @ 5 since -1001
        s{a="b", quantile="1.0"} = 2 @ 5 since -1001
        s_count = 2
        s_sum = 0
        "#
        .trim_end(),
    );
}

#[test]
fn native_histograms_and_the_classic_ones_beside_them() {
    let mut both = both_parts();
    both.start = at(2_000);
    both.bucket[1].exemplar = Some(exemplar("b", 0.75, Some(7_000)));
    let families = [family("h", HISTOGRAM, vec![histogram(&[("a", "b")], both)])];
    let native = r#"h{a="b"} = int schema=0 count=4 sum=3.5 zero=0 [(-1, 1.0), (0, 2.0), (1, 1.0)] [] Unknown since 2000 # {trace_id="b"} 0.75 7000"#;
    let classic = r#"h_count{a="b"} = 4 since 2000
        h_sum{a="b"} = 3.5 since 2000
        h_bucket{a="b", le="0.5"} = 1 since 2000
        h_bucket{a="b", le="1.0"} = 3 since 2000 # {trace_id="b"} 0.75 7000
        h_bucket{a="b", le="+Inf"} = 4 since 2000"#;
    let custom = r#"h{a="b"} = int schema=-53 count=4 sum=3.5 zero=0 [(0, 1.0), (1, 2.0), (2, 1.0)] [] Unknown [0.5, 1.0] since 2000 # {trace_id="b"} 0.75 7000"#;
    let check = |native: bool, classic: bool, custom_buckets: bool, expected: &[&str]| {
        let expected = format!("help h \"\"\ntype h histogram\n{}", expected.join("\n"));
        check(&families, HistogramRules { native, classic, custom_buckets }, &expected);
    };
    check(true, false, false, &[native]);
    check(true, true, false, &[native, classic]);
    check(true, true, true, &[native, classic]);
    check(false, false, false, &[classic]);
    check(false, false, true, &[custom]);
    check(false, true, true, &[classic, custom]);
}

#[test]
fn fractional_and_gauge_histograms() {
    let float = messages::Histogram {
        count_float: 2.5,
        zero_count_float: 0.5,
        sum: -3.0,
        schema: 3,
        zero_threshold: 0.001,
        negative_span: vec![messages::BucketSpan { offset: 4, length: 1 }],
        negative_count: vec![1.5],
        positive_span: vec![messages::BucketSpan { offset: 1, length: 2 }],
        positive_count: vec![0.0, 0.5],
        ..messages::Histogram::default()
    };
    let bucket = messages::Bucket { count_float: 0.5, bound: f64::INFINITY, ..messages::Bucket::default() };
    let classic = messages::Histogram { count_float: 0.5, bucket: vec![bucket], ..messages::Histogram::default() };
    let empty = messages::Histogram {
        positive_span: vec![messages::BucketSpan { offset: 0, length: 0 }],
        ..messages::Histogram::default()
    };
    let none = messages::Histogram::default();
    let metrics = vec![histogram(&[], float), histogram(&[("c", "d")], classic), histogram(&[("e", "f")], empty)];
    check(
        &[family("g", GAUGE_HISTOGRAM, metrics), family("n", HISTOGRAM, vec![histogram(&[], none)])],
        NATIVE,
        r#"
        help g ""
        type g gaugehistogram
        g = float schema=3 count=2.5 sum=-3 zero=0.5 [(2, 0.5)] [(4, 1.5)] Gauge
        g_count{c="d"} = 0.5
        g_sum{c="d"} = 0
        g_bucket{c="d", le="+Inf"} = 0.5
        g{e="f"} = int schema=0 count=0 sum=0 zero=0 [] [] Gauge
        help n ""
        type n histogram
        n_count = 0
        n_sum = 0
        n_bucket{le="+Inf"} = 0
        "#
        .trim_end(),
    );
}

#[test]
fn exemplars_of_native_histograms_need_a_time() {
    let mut both = both_parts();
    both.bucket[0].exemplar = Some(exemplar("classic", 0.25, Some(1_000)));
    both.exemplars = vec![exemplar("b", 2.0, Some(9_000)), exemplar("no", 1.0, None), exemplar("a", 1.0, Some(8_000))];
    let expected = r#"help h ""
        type h histogram
        h = int schema=0 count=4 sum=3.5 zero=0 [(-1, 1.0), (0, 2.0), (1, 1.0)] [] Unknown # {trace_id="a"} 1 8000 # {trace_id="b"} 2 9000"#;
    check(&[family("h", HISTOGRAM, vec![histogram(&[], both)])], NATIVE, expected);
}

#[test]
fn finer_schemas_are_made_coarser() {
    let mut fine = both_parts();
    fine.schema = 20;
    let dumped = dump(&page(&[family("h", HISTOGRAM, vec![histogram(&[], fine)])]), NATIVE).unwrap();
    assert!(dumped.contains("int schema=8 count=4"), "{dumped}");
}

#[track_caller]
fn refused(body: &[u8], offset: usize, part: &str) {
    let error = dump(body, NATIVE).unwrap_err();
    assert_eq!(error.offset, offset, "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn broken_pages_are_refused_with_the_byte() {
    let one = page(&[family("abc", COUNTER, vec![metric(&[("x", "y")])])]);
    assert_eq!(one, b"\x0f\x0a\x03abc\x22\x08\x0a\x06\x0a\x01x\x12\x01y");
    refused(&one[..one.len() - 1], 0, "in the page: expected a length within the message");
    let with = |at: usize, byte: u8| {
        let mut body = one.clone();
        body[at] = byte;
        body
    };
    refused(&with(3, 0xff), 3, "the name of a metric family is not UTF-8");
    refused(&with(12, 0xc3), 12, "the name of a label is not UTF-8");
    refused(&with(15, 0xc3), 15, "the value of a label is not UTF-8");
    refused(&with(1, 0x0f), 1, "in a metric family: expected a field's tag with a known wire type");
    refused(&with(1, 0x08), 2, "a string");
    refused(&with(8, 0x08), 9, "a message");
    refused(b"\x04\x22\x02\x0a\x00", 1, "a metric family without a name");
    refused(b"\x02\x18\x09", 2, "expected a metric type from 0 to 5, found 9");
    refused(b"# HELP x y\nx 1\n", 0, "a length within the message");
    let twice = page(&[family("abc", COUNTER, vec![metric(&[("x", "y"), ("x", "z")])])]);
    refused(&twice, 8, "a series of \"abc\" whose label name \"x\" is not unique");
    let own_le = histogram(&[("le", "1")], messages::Histogram::default());
    refused(&page(&[family("abc", HISTOGRAM, vec![own_le])]), 10, "\"le\" is not unique");
    let nameless = page(&[family("abc", COUNTER, vec![metric(&[("", "y")])])]);
    refused(&nameless, 9, "a label without a name");
}

#[test]
fn native_histograms_that_break_rules_are_refused() {
    let mut long = both_parts();
    long.positive_span[0].length = 5;
    let body = page(&[family("abc", HISTOGRAM, vec![histogram(&[], long)])]);
    refused(&body, 10, "histogram \"abc\": positive side: spans need 5 buckets, have 4 buckets");
    let mut wrong = both_parts();
    wrong.count = 9;
    let body = page(&[family("abc", HISTOGRAM, vec![histogram(&[], wrong)])]);
    refused(&body, 10, "4 observations found in buckets, but the Count field is 9");
    let mut custom = both_parts();
    custom.schema = -53;
    let body = page(&[family("abc", HISTOGRAM, vec![histogram(&[], custom)])]);
    refused(&body, 10, "custom buckets");
    let mut falling = both_parts();
    falling.bucket[0].count = 9;
    let rules = HistogramRules { custom_buckets: true, ..HistogramRules::default() };
    let error = dump(&page(&[family("abc", HISTOGRAM, vec![histogram(&[], falling)])]), rules).unwrap_err();
    assert!(error.to_string().contains("le=1 has a count of 3, less than the 9 below it"), "{error}");
}

#[test]
fn a_metric_has_a_bounded_number_of_parts() {
    let many = |count: usize| {
        let bucket = (0..count).map(|n| messages::Bucket { bound: n as f64, ..messages::Bucket::default() }).collect();
        let all = messages::Histogram { bucket, ..messages::Histogram::default() };
        dump(&page(&[family("abc", HISTOGRAM, vec![histogram(&[], all)])]), NATIVE).map(|text| text.lines().count())
    };
    assert_eq!(many(60_000), Ok(60_005));
    assert!(many(70_000).unwrap_err().to_string().contains("a metric with more than 65536 buckets"));
    let exemplars = vec![exemplar("a", 1.0, Some(1)); 1_000];
    let all = messages::Histogram { exemplars, ..both_parts() };
    let text = dump(&page(&[family("abc", HISTOGRAM, vec![histogram(&[], all)])]), NATIVE).unwrap();
    assert_eq!(text.matches("trace_id").count(), 256);
}

#[test]
fn markers_that_targets_send_are_ordinary_nans() {
    let gauge = Some(messages::Gauge { value: storage::stale_nan() });
    let native = messages::Histogram { sum: storage::stale_nan(), ..both_parts() };
    let families = [
        family("g", GAUGE, vec![messages::Metric { gauge, ..metric(&[]) }]),
        family("h", HISTOGRAM, vec![histogram(&[], native)]),
    ];
    let rules = HistogramRules { classic: true, ..NATIVE };
    read_page(&page(&families), rules, |entry| {
        if let Entry::Sample(sample) = entry {
            let is_stale = match sample.value {
                Value::Float(v) => storage::is_stale_nan(v),
                Value::Histogram(h) => h.is_stale(),
            };
            assert!(!is_stale, "{:?}", sample.series.labels());
        }
        Ok::<(), ProtobufError>(())
    })
    .unwrap();
}

#[test]
fn keys_tell_series_apart() {
    let families = [
        family("h", HISTOGRAM, vec![histogram(&[("a", "b")], both_parts()), histogram(&[], both_parts())]),
        family("h_count", GAUGE, vec![metric(&[]), metric(&[("a", "c")]), metric(&[("ac", "")])]),
    ];
    let mut keys = std::collections::BTreeSet::new();
    let mut count = 0;
    let rules = HistogramRules { classic: true, ..NATIVE };
    for round in 0..2 {
        count = 0;
        read_page(&page(&families), rules, |entry| {
            if let Entry::Sample(sample) = entry {
                let mut key = Vec::new();
                sample.series.write_key(&mut key);
                assert_eq!(keys.insert(key), round == 0);
                count += 1;
            }
            Ok::<(), ProtobufError>(())
        })
        .unwrap();
    }
    assert_eq!((keys.len(), count), (15, 15));
}

fn counts() -> impl Strategy<Value = messages::Histogram> {
    let span = (0i32..5, 0u32..3).prop_map(|(offset, length)| messages::BucketSpan { offset, length });
    let spans = || proptest::collection::vec(span.clone(), 1..4);
    (spans(), spans(), any::<bool>(), -4i32..9, proptest::collection::vec(0u64..1000, 12)).prop_map(
        |(positive, negative, is_float, schema, values)| {
            let length = |spans: &[messages::BucketSpan]| spans.iter().map(|s| s.length as usize).sum::<usize>();
            let (above, below) = (&values[..length(&positive)], &values[values.len() - length(&negative)..]);
            let count = above.iter().chain(below).sum::<u64>() + 3;
            let deltas = |counts: &[u64]| {
                let before = [0].into_iter().chain(counts.iter().copied());
                counts.iter().zip(before).map(|(now, before)| *now as i64 - before as i64).collect::<Vec<i64>>()
            };
            let mut h = messages::Histogram {
                schema,
                sum: 1.0,
                positive_span: positive.clone(),
                negative_span: negative.clone(),
                ..messages::Histogram::default()
            };
            if is_float {
                (h.count_float, h.zero_count_float) = (count as f64, 3.0);
                h.positive_count = above.iter().map(|c| *c as f64).collect();
                h.negative_count = below.iter().map(|c| *c as f64).collect();
            } else {
                (h.count, h.zero_count) = (count, 3);
                (h.positive_delta, h.negative_delta) = (deltas(above), deltas(below));
            }
            h
        },
    )
}

proptest! {
    /// All that prost wrote is there, at its index, but for empty buckets.
    #[test]
    fn any_native_histogram_is_read_as_prost_wrote_it(wrote in counts()) {
        let mut read = None;
        let body = page(&[family("h", HISTOGRAM, vec![histogram(&[], wrote.clone())])]);
        read_page(&body, NATIVE, |entry| {
            if let Entry::Sample(Sample { value: Value::Histogram(h), .. }) = entry {
                read = Some(h.clone());
            }
            Ok::<(), ProtobufError>(())
        }).unwrap();
        let read = read.unwrap();
        let span = |s: &messages::BucketSpan| storage::Span { offset: s.offset, length: s.length };
        let counts = match wrote.count_float > 0.0 {
            true => HistogramCounts::Float {
                count: wrote.count_float,
                zero_count: wrote.zero_count_float,
                positive: wrote.positive_count,
                negative: wrote.negative_count,
            },
            false => HistogramCounts::Int {
                count: wrote.count,
                zero_count: wrote.zero_count,
                positive: wrote.positive_delta,
                negative: wrote.negative_delta,
            },
        };
        let expected = Histogram {
            schema: wrote.schema,
            sum: wrote.sum,
            positive_spans: wrote.positive_span.iter().map(span).collect(),
            negative_spans: wrote.negative_span.iter().map(span).collect(),
            counts,
            ..Histogram::default()
        };
        let full = |buckets: Vec<(i32, f64)>| buckets.into_iter().filter(|b| b.1 != 0.0).collect::<Vec<_>>();
        prop_assert_eq!(full(expected.positive_buckets().collect()), read.positive_buckets().collect::<Vec<_>>());
        prop_assert_eq!(full(expected.negative_buckets().collect()), read.negative_buckets().collect::<Vec<_>>());
        prop_assert_eq!((expected.count(), expected.zero_count()), (read.count(), read.zero_count()));
        prop_assert_eq!(read.validate(), Ok(()));
    }

    #[test]
    fn any_bytes_are_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = dump(&body, HistogramRules { native: true, classic: true, custom_buckets: true });
    }

    #[test]
    fn damage_is_read_or_refused(wrote in counts(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let wrote = messages::Histogram { bucket: both_parts().bucket, ..wrote };
        let mut body = page(&[family("h", HISTOGRAM, vec![histogram(&[("a", "b")], wrote)])]);
        let at = at.index(body.len());
        body[at] = byte;
        let _ = dump(&body, HistogramRules { native: true, classic: true, custom_buckets: true });
    }
}
