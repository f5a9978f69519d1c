//! `type-and-unit-labels`: series with labels that say what their page says of their metric.

use super::tests::{Site, drop_label, rules};
use super::*;
use crate::exposition::Format;
use crate::exposition::protobuf::HistogramRules;
use crate::exposition::protobuf::messages::{
    self, GAUGE, HISTOGRAM, MetricFamily, both_parts, family, histogram, page,
};

fn site(rules: PageRules) -> Site {
    Site::new(PageRules { type_and_unit_labels: true, ..rules })
}

#[track_caller]
fn check(mut site: Site, pages: &[(PageFormat, &[u8])], expected: &[&str]) {
    for ((format, body), t) in pages.iter().zip((1_000..).step_by(1_000)) {
        site.scrape_page(*format, t, body).1.unwrap();
    }
    let mut found: Vec<String> = site.starts().into_iter().map(|(series, _)| series).collect();
    found.sort();
    assert_eq!(found, expected);
}

const TEXT: PageFormat = PageFormat::Text(Format::Text);
const OPEN_METRICS: PageFormat = PageFormat::Text(Format::OpenMetrics);

#[test]
fn text_pages_tell_types_and_open_metrics_units() {
    let body = b"# TYPE hits_total counter\nhits_total{__type__=\"mine\"} 1\n# TYPE temp gauge\ntemp 2\nother 3\n\
        # TYPE raw untyped\nraw{__type__=\"mine\",__unit__=\"own\"} 4\n";
    let expected = [
        r#"hits_total{__type__="counter"}"#,
        "other",
        r#"raw{__type__="mine", __unit__="own"}"#,
        r#"temp{__type__="gauge"}"#,
    ];
    check(site(rules()), &[(TEXT, body)], &expected);
    let body = b"# UNIT wait_seconds seconds\n# TYPE wait_seconds summary\nwait_seconds{quantile=\"0.5\"} 1\n\
        wait_seconds_count{__unit__=\"mine\"} 2\n# TYPE \"a.b\" info\n{\"a.b_info\",x=\"y\"} 1\n# TYPE hits counter\nhits_total 1\n# EOF\n";
    let expected = [
        r#"hits_total{__type__="counter"}"#,
        r#"wait_seconds_count{__type__="summary", __unit__="seconds"}"#,
        r#"wait_seconds{__type__="summary", __unit__="seconds", quantile="0.5"}"#,
        r#"{"a.b_info", __type__="info", x="y"}"#,
    ];
    check(site(rules()), &[(OPEN_METRICS, body)], &expected);
}

#[test]
fn the_protobuf_format_tells_both() {
    let gauge = messages::Metric { gauge: Some(messages::Gauge { value: 1.0 }), ..messages::Metric::default() };
    let families = [
        MetricFamily { unit: "bytes".to_owned(), ..family("size_bytes", GAUGE, vec![gauge.clone()]) },
        family("latency", HISTOGRAM, vec![histogram(&[("path", "/a")], both_parts())]),
        family("temp", GAUGE, vec![gauge]),
    ];
    let native = HistogramRules { native: true, classic: false, custom_buckets: false };
    let expected = [
        r#"latency{__type__="histogram", path="/a"}"#,
        r#"size_bytes{__type__="gauge", __unit__="bytes"}"#,
        r#"temp{__type__="gauge"}"#,
    ];
    let site = site(PageRules { histograms: native, ..rules() });
    check(site, &[(PageFormat::Protobuf, &page(&families))], &expected);
}

#[test]
fn classic_histograms_that_become_native_ones_have_a_type() {
    let body = b"# TYPE lat histogram\nlat_bucket{le=\"1\"} 1\nlat_bucket{le=\"+Inf\"} 2\nlat_sum 3\nlat_count 2\n";
    let histograms = HistogramRules { native: false, classic: false, custom_buckets: true };
    check(site(PageRules { histograms, ..rules() }), &[(TEXT, body)], &[r#"lat{__type__="histogram"}"#]);
}

#[test]
fn a_series_whose_type_changes_is_another_one() {
    let (counter, gauge): (&[u8], &[u8]) = (b"# TYPE x counter\nx 1\n", b"# TYPE x gauge\nx 1\n");
    let expected = [r#"x{__type__="counter"}"#, r#"x{__type__="gauge"}"#];
    let mut site = site(rules());
    for (body, t) in [(counter, 1_000), (gauge, 2_000), (gauge, 3_000)] {
        site.scrape_page(TEXT, t, body).1.unwrap();
    }
    let found: Vec<(String, usize)> =
        site.starts().into_iter().map(|(series, samples)| (series, samples.split(' ').count())).collect();
    // The first has its sample and a marker.
    assert_eq!(found, expected.map(|series| (series.to_owned(), 2)));
}

#[test]
fn relabelling_sees_them_and_without_the_feature_there_are_none() {
    let body: &[u8] = b"# TYPE x counter\nx 1\n";
    let metric_relabel = vec![drop_label("__type__")].into();
    check(site(PageRules { metric_relabel, ..rules() }), &[(TEXT, body)], &["x"]);
    check(Site::new(rules()), &[(TEXT, body)], &["x"]);
}
