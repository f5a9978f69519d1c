//! Pages in the protobuf format, and classic histograms of text pages that become native ones, read into a real `Db`.

use std::sync::Arc;

use storage::{Columns, HistogramColumns, LabelsBuilder, Matcher, TimeRange, is_stale_nan};

use super::tests::{Site, drop_label, rules};
use super::*;
use crate::config::{NameValidation, ScrapeLimits};
use crate::exposition::Format;
use crate::exposition::protobuf::HistogramRules;
use crate::exposition::protobuf::messages::{
    self, COUNTER, GAUGE, HISTOGRAM, MetricFamily, at, both_parts, exemplar, family, histogram, labels, page,
};

const NATIVE: HistogramRules = HistogramRules { native: true, classic: false, custom_buckets: false };

fn native_rules() -> PageRules {
    PageRules { histograms: NATIVE, ..rules() }
}

impl Site {
    fn scrape_families(&mut self, t: i64, families: &[MetricFamily]) -> (PageCounts, Result<(), PageError>) {
        self.scrape_page(PageFormat::Protobuf, t, &page(families))
    }

    /// Each series without job and instance: `t=v` of its floats, `t=count/buckets` of its histograms, markers as `stale`
    /// and `STALE`, and `<start` where one is known.
    fn dump(&self) -> Vec<(String, String)> {
        let found = self.db.select(&[], TimeRange::ALL).unwrap();
        let of_one = |series: &storage::SelectedSeries| {
            let (mut floats, mut histograms) = (Columns::default(), HistogramColumns::default());
            series.read_into(&mut floats).unwrap();
            series.read_histograms_into(&mut histograms).unwrap();
            let (mut float_starts, mut starts) = (Vec::new(), Vec::new());
            series.read_starts(storage::SampleKind::Float, &floats.t, &mut float_starts);
            series.read_starts(storage::SampleKind::Histogram, &histograms.t, &mut starts);
            let since = |start: i64| if start == 0 { String::new() } else { format!("<{start}") };
            let mut words: Vec<(i64, String)> = Vec::new();
            for ((t, v), start) in floats.t.iter().zip(&floats.v).zip(float_starts) {
                let value = if is_stale_nan(*v) { "stale".to_owned() } else { v.to_string() + &since(start) };
                words.push((*t, format!("{t}={value}")));
            }
            for ((t, h), start) in histograms.t.iter().zip(&histograms.h).zip(starts) {
                let value =
                    if h.is_stale() { "STALE".to_owned() } else { format!("{}/{}", h.count(), h.bucket_count()) };
                words.push((*t, format!("{t}={value}{}", since(start))));
            }
            words.sort();
            let words: Vec<String> = words.into_iter().map(|(_, word)| word).collect();
            let mut labels = LabelsBuilder::from_labels(series.labels());
            labels.remove("job").remove("instance");
            (labels.build().to_string(), words.join(" "))
        };
        found.series.iter().map(of_one).collect()
    }

    #[track_caller]
    fn check_dump(&self, expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(s, v)| ((*s).to_owned(), (*v).to_owned())).collect();
        assert_eq!(self.dump(), expected);
    }
}

fn counts(scraped: u64, kept: u64, added: u64) -> PageCounts {
    PageCounts { scraped, kept, added }
}

fn gauge(value: f64) -> messages::Metric {
    messages::Metric { gauge: Some(messages::Gauge { value }), ..messages::Metric::default() }
}

/// `latency{path="/a"}` and a gauge.
fn usual(value: f64) -> Vec<MetricFamily> {
    vec![
        family("latency", HISTOGRAM, vec![histogram(&[("path", "/a")], both_parts())]),
        family("temp", GAUGE, vec![gauge(value)]),
    ]
}

#[test]
fn native_histograms_go_on_and_end_with_markers_of_their_kind() {
    let mut site = Site::new(native_rules());
    assert_eq!(site.scrape_families(1_000, &usual(1.0)), (counts(2, 2, 2), Ok(())));
    assert_eq!(site.scrape_families(2_000, &usual(2.0)), (counts(2, 2, 0), Ok(())));
    assert_eq!(site.scrape_families(3_000, &usual(3.0)[1..]), (counts(1, 1, 0), Ok(())));
    assert_eq!(site.scrape_families(4_000, &usual(4.0)[..1]), (counts(1, 1, 1), Ok(())));
    site.fail(5_000);
    site.check_dump(&[
        (r#"latency{path="/a"}"#, "1000=4/3 2000=4/3 3000=STALE 4000=4/3 5000=STALE"),
        ("temp", "1000=1 2000=2 3000=3 4000=stale"),
    ]);
}

#[test]
fn a_series_that_changes_its_kind_is_one_series() {
    let mut site = Site::new(native_rules());
    site.scrape_families(1_000, &[family("x", HISTOGRAM, vec![histogram(&[], both_parts())])]).1.unwrap();
    site.scrape_families(2_000, &[family("x", GAUGE, vec![gauge(7.0)])]).1.unwrap();
    site.fail(3_000);
    site.check_dump(&[("x", "1000=4/3 2000=7 3000=stale")]);
}

#[test]
fn classic_series_stay_where_native_ones_are_not_asked_for() {
    let mut site = Site::new(rules());
    assert_eq!(site.scrape_families(1_000, &usual(1.0)[..1]).0, counts(5, 5, 5));
    site.check_dump(&[
        (r#"latency_bucket{le="+Inf", path="/a"}"#, "1000=4"),
        (r#"latency_bucket{le="0.5", path="/a"}"#, "1000=1"),
        (r#"latency_bucket{le="1.0", path="/a"}"#, "1000=3"),
        (r#"latency_count{path="/a"}"#, "1000=4"),
        (r#"latency_sum{path="/a"}"#, "1000=3.5"),
    ]);
    let histograms = HistogramRules { classic: true, ..NATIVE };
    let mut site = Site::new(PageRules { histograms, ..rules() });
    assert_eq!(site.scrape_families(1_000, &usual(1.0)[..1]).0, counts(6, 6, 6));
}

#[test]
fn relabelling_times_and_limits_are_those_of_floats() {
    let drop_temp = crate::config::RelabelConfig {
        source_labels: vec!["__name__".to_owned()],
        action: crate::config::RelabelAction::Drop,
        ..drop_label("latency")
    };
    let mut site = Site::new(PageRules { metric_relabel: Arc::from([drop_temp]), ..native_rules() });
    assert_eq!(site.scrape_families(1_000, &usual(1.0)), (counts(2, 1, 1), Ok(())));
    site.check_dump(&[("temp", "1000=1")]);

    let relabelled = PageRules { metric_relabel: Arc::from([drop_label("path")]), ..native_rules() };
    let mut timed = usual(1.0);
    timed[0].metric[0].timestamp_ms = 900;
    let mut site = Site::new(relabelled.clone());
    site.scrape_families(1_000, &timed).1.unwrap();
    site.fail(2_000);
    site.check_dump(&[("latency", "900=4/3"), ("temp", "1000=1 2000=stale")]);
    let mut site = Site::new(PageRules { honor_timestamps: false, ..relabelled });
    site.scrape_families(1_000, &timed).1.unwrap();
    site.check_dump(&[("latency", "1000=4/3"), ("temp", "1000=1")]);

    let check = |limits: ScrapeLimits, part: &str| {
        let mut site = Site::new(PageRules { limits, ..native_rules() });
        let message = site.scrape_families(1_000, &usual(1.0)).1.unwrap_err().to_string();
        assert!(message.contains(part), "{message}");
        assert!(site.dump().is_empty());
    };
    check(ScrapeLimits { samples: 1, ..ScrapeLimits::default() }, "the page holds 2 samples, sample_limit is 1");
    check(ScrapeLimits { labels: 3, ..ScrapeLimits::default() }, "label_limit exceeded (metric: latency");
}

#[test]
fn buckets_are_merged_until_they_fit() {
    let four = || {
        let mut h = both_parts();
        (h.positive_delta, h.count) = (vec![1, 0, 1, -1], 5);
        [family("latency", HISTOGRAM, vec![histogram(&[], h)])]
    };
    let stored = |rules: PageRules| {
        let mut site = Site::new(rules);
        site.scrape_families(1_000, &four()).1.map(|()| {
            let found = site.db.select(&[Matcher::equal("__name__", "latency")], TimeRange::ALL).unwrap();
            let mut histograms = HistogramColumns::default();
            found.series[0].read_histograms_into(&mut histograms).unwrap();
            (histograms.h[0].schema, histograms.h[0].bucket_count(), histograms.h[0].count())
        })
    };
    let limited = |buckets| PageRules { limits: ScrapeLimits { buckets, ..ScrapeLimits::default() }, ..native_rules() };
    assert_eq!(stored(native_rules()), Ok((0, 4, 5.0)));
    assert_eq!(stored(limited(4)), Ok((0, 4, 5.0)));
    assert_eq!(stored(limited(3)), Ok((-1, 3, 5.0)));
    assert_eq!(stored(limited(2)), Ok((-2, 2, 5.0)));
    assert_eq!(stored(PageRules { schema_max: -1, ..native_rules() }), Ok((-1, 3, 5.0)));
    let message = stored(limited(1)).unwrap_err().to_string();
    let expected =
        "histogram bucket limit exceeded: latency has 2 buckets at the coarsest, native_histogram_bucket_limit is 1";
    assert_eq!(message, expected);
    // Custom buckets cannot be merged.
    let custom = HistogramRules { custom_buckets: true, ..HistogramRules::default() };
    assert!(matches!(
        stored(PageRules { histograms: custom, ..limited(2) }),
        Err(PageError::BucketLimit { found: 3, limit: 2, .. })
    ));
}

#[test]
fn names_of_prometheus_2_alone() {
    let rules = PageRules { names: NameValidation::Legacy, ..rules() };
    let check = |name: &str, pairs: &[(&str, &str)], bad: Option<&str>| {
        let metric = messages::Metric { label: labels(pairs), ..gauge(1.0) };
        let found = Site::new(rules.clone()).scrape_families(1_000, &[family(name, GAUGE, vec![metric])]).1;
        let found = found.err().map(|e| e.to_string());
        assert_eq!(found.is_some(), bad.is_some(), "{found:?}");
        let named = |bad| found.iter().any(|m| m.contains(&format!("the name {bad:?} is not valid under")));
        assert!(bad.is_none_or(named), "{found:?}");
    };
    check("a:b_1", &[("x_1", "ü")], None);
    check("a.b", &[], Some("a.b"));
    check("1a", &[], Some("1a"));
    check("a", &[("x:y", "")], None);
    check("a", &[("x:y", "z")], Some("x:y"));
}

#[test]
fn the_same_series_twice_is_an_error_with_its_byte() {
    let mut twice = usual(1.0);
    let again = twice[0].metric[0].clone();
    twice[0].metric.push(again);
    let message = Site::new(native_rules()).scrape_families(1_000, &twice).1.unwrap_err().to_string();
    assert!(
        message.contains(r#"latency{path="/a"} is on this page twice"#) && message.contains("at byte"),
        "{message}"
    );
}

#[test]
fn a_store_that_forgot_gets_histograms_again() {
    let mut site =
        Site::new(PageRules { starts: StartRules { stored: true, ..StartRules::default() }, ..native_rules() });
    let mut families = usual(1.0);
    families[0].metric[0].histogram.as_mut().unwrap().start = at(500);
    site.scrape_families(1_000, &families).1.unwrap();
    site.move_to_an_empty_store();
    site.scrape_families(2_000, &families).1.unwrap();
    site.scrape_families(3_000, &families).1.unwrap();
    site.check_dump(&[(r#"latency{path="/a"}"#, "2000=4/3<500 3000=4/3<500"), ("temp", "2000=1 3000=1")]);
}

#[test]
fn starts_are_stored_or_become_zeros() {
    let families = |start: i64| {
        let mut latency = both_parts();
        latency.start = at(start);
        let counter = messages::Counter { value: 3.0, exemplar: None, start: at(start) };
        let hits = messages::Metric { counter: Some(counter), ..messages::Metric::default() };
        [family("hits", COUNTER, vec![hits]), family("latency", HISTOGRAM, vec![histogram(&[], latency)])]
    };
    let run = |stored, zeros| {
        let mut site =
            Site::new(PageRules { starts: StartRules { stored, zeros, synthesized: false }, ..native_rules() });
        for (t, start) in [(10_000, 9_000), (11_000, 9_000), (12_000, 11_500), (13_000, 12_000), (14_000, 15_000)] {
            let (found, result) = site.scrape_families(t, &families(start));
            assert_eq!((found.kept, result), (2, Ok(())));
            assert_eq!(site.refusals, Refusals::default());
        }
        site
    };
    run(false, false).check_dump(&[
        ("hits", "10000=3 11000=3 12000=3 13000=3 14000=3"),
        ("latency", "10000=4/3 11000=4/3 12000=4/3 13000=4/3 14000=4/3"),
    ]);
    run(true, false).check_dump(&[
        ("hits", "10000=3<9000 11000=3<9000 12000=3<11500 13000=3<12000 14000=3<15000"),
        ("latency", "10000=4/3<9000 11000=4/3<9000 12000=4/3<11500 13000=4/3<12000 14000=4/3<15000"),
    ]);
    // A zero neither takes the place of a sample (12000) nor lies after its own (15000).
    run(false, true).check_dump(&[
        ("hits", "9000=0 10000=3 11000=3 11500=0 12000=3 13000=3 14000=3"),
        ("latency", "9000=0/0 10000=4/3 11000=4/3 11500=0/0 12000=4/3 13000=4/3 14000=4/3"),
    ]);
}

#[test]
fn starts_that_nobody_tells_are_made_up() {
    let starts = StartRules { stored: true, synthesized: true, ..StartRules::default() };
    let mut site = Site::new(PageRules { starts, ..native_rules() });
    let page = |n: u64| {
        format!(
            "# TYPE hits counter\nhits_total{{x=\"y\"}} {n}\n# TYPE s summary\ns{{quantile=\"0.5\"}} {n}\ns_count {n}\ns_sum {n}\n\
             # TYPE temp gauge\ntemp {n}\n# TYPE told counter\ntold_total {n}\ntold_created 9\n# EOF\n"
        )
    };
    let kept = |site: &mut Site, t, n| site.scrape_open_metrics(t, &page(n)).0.kept;
    assert_eq!((kept(&mut site, 10_000, 7), kept(&mut site, 11_000, 9), kept(&mut site, 12_000, 2)), (6, 6, 6));
    site.fail(13_000);
    assert_eq!(kept(&mut site, 14_000, 5), 6);
    assert_eq!(kept(&mut site, 15_000, 6), 6);
    site.check_dump(&[
        (r#"hits_total{x="y"}"#, "11000=2<10000 12000=2<11999 13000=stale 14000=5<11999 15000=6<11999"),
        (r#"s{quantile="0.5"}"#, "10000=7 11000=9 12000=2 13000=stale 14000=5 15000=6"),
        ("s_count", "11000=2<10000 12000=2<11999 13000=stale 14000=5<11999 15000=6<11999"),
        ("s_sum", "11000=2<10000 12000=2<11999 13000=stale 14000=5<11999 15000=6<11999"),
        ("temp", "10000=7 11000=9 12000=2 13000=stale 14000=5 15000=6"),
        ("told_total", "10000=7<9000 11000=9<9000 12000=2<9000 13000=stale 14000=5<9000 15000=6<9000"),
    ]);
}

#[test]
fn zeros_of_open_metrics_come_from_created_lines() {
    let mut site =
        Site::new(PageRules { starts: StartRules { stored: false, zeros: true, synthesized: false }, ..rules() });
    let page = "# TYPE hits counter\nhits_total 3\nhits_created 9\n# EOF\n";
    for t in [10_000, 11_000] {
        assert_eq!(site.scrape_open_metrics(t, page), (counts(1, 1, u64::from(t == 10_000)), Ok(())));
    }
    site.check_dump(&[("hits_total", "9000=0 10000=3 11000=3")]);
}

#[test]
fn exemplars_are_stored_with_their_series() {
    let mut families = usual(1.0);
    let both = families[0].metric[0].histogram.as_mut().unwrap();
    both.exemplars = vec![exemplar("b", 0.9, Some(900)), exemplar("a", 0.3, Some(800))];
    let mut site = Site::new(native_rules());
    for t in [1_000, 2_000] {
        site.scrape_families(t, &families).1.unwrap();
    }
    let found = site.db.exemplars(&[vec![Matcher::equal("__name__", "latency")]], TimeRange::ALL);
    let [(series, exemplars)] = &found[..] else { panic!("{found:?}") };
    assert_eq!(series.get("path"), Some("/a"));
    assert_eq!(exemplars.iter().map(|e| (e.t, e.v)).collect::<Vec<_>>(), [(800, 0.3), (900, 0.9)]);
}

#[test]
fn exemplars_of_open_metrics_are_stored() {
    let page = "# TYPE hits counter\nhits_total 3 # {trace_id=\"c\"} 1 0.5\n# TYPE a histogram\n\
                a_bucket{le=\"1\"} 1 # {trace_id=\"b\"} 0.7\na_bucket{le=\"+Inf\"} 2 # {} 3 0.9\na_count 2\n# EOF\n";
    let stored = |histograms: HistogramRules| {
        let mut site = Site::new(PageRules { histograms, ..rules() });
        site.scrape_open_metrics(1_000, page).1.unwrap();
        let found = site.db.exemplars(&[vec![Matcher::equal("job", "j")]], TimeRange::ALL);
        let of_one = |(series, exemplars): &(storage::Labels, Vec<Exemplar>)| {
            let told: Vec<String> = exemplars.iter().map(|e| format!("{}={}{}", e.t, e.v, e.labels)).collect();
            format!("{} {} {}", series.metric_name(), series.get("le").unwrap_or("-"), told.join(" "))
        };
        found.iter().map(of_one).collect::<Vec<_>>()
    };
    let hits = r#"hits_total - 500=1{trace_id="c"}"#;
    let classic = [r#"a_bucket +Inf 900=3{}"#, r#"a_bucket 1.0 1000=0.7{trace_id="b"}"#, hits];
    assert_eq!(stored(HistogramRules::default()), classic);
    let custom = HistogramRules { custom_buckets: true, ..HistogramRules::default() };
    assert_eq!(stored(custom), ["a - 900=3{}", hits]);
}

#[test]
fn metadata_is_told() {
    let mut families = usual(1.0);
    (families[0].help, families[0].unit) = ("How long.".to_owned(), "seconds".to_owned());
    let mut site = Site::new(native_rules());
    site.scrape_families(1_000, &families).1.unwrap();
    let (changed, _) = site.reader.metadata.take_changes().unwrap();
    let told: Vec<_> = changed.iter().map(|f| (&*f.family, f.kind.as_str(), &*f.help, &*f.unit)).collect();
    assert_eq!(told, [("latency", "histogram", "How long.", "seconds"), ("temp", "gauge", "", "")]);
}

#[test]
fn a_damaged_page_is_not_stored() {
    let mut site = Site::new(native_rules());
    site.scrape_families(1_000, &usual(1.0)).1.unwrap();
    let body = page(&usual(2.0));
    let (_, result) = site.scrape_page(PageFormat::Protobuf, 2_000, &body[..body.len() - 1]);
    assert!(matches!(result, Err(PageError::Protobuf(_))), "{result:?}");
    site.check_dump(&[(r#"latency{path="/a"}"#, "1000=4/3 2000=STALE"), ("temp", "1000=1 2000=stale")]);
}

const CLASSIC: &str = r#"# TYPE latency histogram
latency_bucket{path="/a",le="0.5"} 1
latency_bucket{path="/a",le="1"} 3
latency_bucket{path="/a",le="+Inf"} 4
latency_sum{path="/a"} 3.5
latency_count{path="/a"} 4
latency_bucket{le="+Inf",path="/b"} 2
latency_count{path="/b"} 2
# TYPE other gauge
other_count 5
"#;

#[test]
fn classic_histograms_of_text_become_native_ones() {
    let histograms = HistogramRules { custom_buckets: true, ..HistogramRules::default() };
    let mut site = Site::new(PageRules { histograms, ..rules() });
    let text = PageFormat::Text(Format::Text);
    assert_eq!(site.scrape_page(text, 1_000, CLASSIC.as_bytes()), (counts(3, 3, 3), Ok(())));
    assert_eq!(site.scrape_page(text, 2_000, CLASSIC.as_bytes()), (counts(3, 3, 0), Ok(())));
    site.fail(3_000);
    site.check_dump(&[
        (r#"latency{path="/a"}"#, "1000=4/3 2000=4/3 3000=STALE"),
        (r#"latency{path="/b"}"#, "1000=2/1 2000=2/1 3000=STALE"),
        ("other_count", "1000=5 2000=5 3000=stale"),
    ]);
    let found = site.db.select(&[Matcher::equal("path", "/a")], TimeRange::ALL).unwrap();
    let mut stored = HistogramColumns::default();
    found.series[0].read_histograms_into(&mut stored).unwrap();
    assert_eq!((stored.h[0].schema, &stored.h[0].custom_values[..], stored.h[0].sum), (-53, &[0.5, 1.0][..], 3.5));

    let histograms = HistogramRules { classic: true, ..histograms };
    let mut site = Site::new(PageRules { histograms, ..rules() });
    assert_eq!(site.scrape_page(text, 1_000, CLASSIC.as_bytes()).0, counts(10, 10, 10));
}

#[test]
fn bounds_are_spelled_in_one_way() {
    let page = "# TYPE a histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"1000000\"} 1\na_bucket{le=\"+Inf\"} 1\n\
                # TYPE b summary\nb{quantile=\"0\",le=\"1\"} 2\n# TYPE c gauge\nc{le=\"1\"} 3\n# TYPE d histogram\nd{le=\"x\"} 4\n";
    let mut site = Site::new(rules());
    for t in [1_000, 2_000] {
        site.scrape_page(PageFormat::Text(Format::Text), t, page.as_bytes()).1.unwrap();
    }
    site.check_dump(&[
        (r#"a_bucket{le="+Inf"}"#, "1000=1 2000=1"),
        (r#"a_bucket{le="1.0"}"#, "1000=1 2000=1"),
        (r#"a_bucket{le="1e+06"}"#, "1000=1 2000=1"),
        (r#"b{le="1", quantile="0.0"}"#, "1000=2 2000=2"),
        (r#"c{le="1"}"#, "1000=3 2000=3"),
        (r#"d{le="x"}"#, "1000=4 2000=4"),
    ]);
}

#[test]
fn classic_histograms_that_contradict_themselves_are_left_out() {
    let histograms = HistogramRules { custom_buckets: true, ..HistogramRules::default() };
    let mut site = Site::new(PageRules { histograms, ..rules() });
    let page =
        "# TYPE a histogram\na_bucket{le=\"1\"} 5\na_count 4\n# TYPE b histogram\nb_bucket{le=\"x\"} 5\nb_count 4\n";
    site.scrape_page(PageFormat::Text(Format::Text), 1_000, page.as_bytes()).1.unwrap();
    site.check_dump(&[("b", "1000=4/1"), (r#"b_bucket{le="x"}"#, "1000=5")]);
}

#[test]
fn joined_histograms_have_the_starts_of_their_lines() {
    let histograms = HistogramRules { custom_buckets: true, ..HistogramRules::default() };
    let starts = StartRules { stored: true, zeros: true, synthesized: false };
    let mut site = Site::new(PageRules { histograms, starts, ..rules() });
    let page = "# TYPE a histogram\na_bucket{le=\"+Inf\"} 5\na_count 5\na_sum 1\na_created 0.5\n# EOF\n";
    site.scrape_open_metrics(1_000, page).1.unwrap();
    site.move_to_an_empty_store();
    site.scrape_open_metrics(2_000, page).1.unwrap();
    site.check_dump(&[("a", "2000=5/1<500")]);
}
