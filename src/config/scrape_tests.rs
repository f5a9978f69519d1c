//! Tests of the keys about formats, histograms and names.

use super::tests::{good, refused, refused_job};
use super::*;

#[test]
fn protocols_are_checked_and_have_defaults() {
    refused_job("scrape_protocols: []", "3:21: scrape_protocols: scrape_protocols cannot be empty");
    refused_job(
        "scrape_protocols: [PrometheusProto, PrometheusText0.0.4, PrometheusProto]",
        r#"3:21: scrape_protocols: duplicated protocol "PrometheusProto" in scrape_protocols"#,
    );
    refused_job(
        "fallback_scrape_protocol: prometheusproto",
        "3:29: fallback_scrape_protocol: unknown scrape protocol \"prometheusproto\", supported: OpenMetricsText0.0.1, \
         OpenMetricsText1.0.0, PrometheusProto, PrometheusText0.0.4, PrometheusText1.0.0",
    );
    use ScrapeProtocol::{OpenMetrics0, OpenMetrics1, Proto, Text0, Text1};
    let config = good(
        "scrape_configs: [{job_name: a}, {job_name: b, scrape_native_histograms: true}, \
         {job_name: c, scrape_native_histograms: true, scrape_protocols: [PrometheusText1.0.0]}, \
         {job_name: d, scrape_protocols: , fallback_scrape_protocol: PrometheusProto}]",
    );
    let [a, b, c, d] = &config.scrape_configs[..] else { panic!("four jobs") };
    let text = [OpenMetrics1, OpenMetrics0, Text1, Text0];
    let proto_first = [Proto, OpenMetrics1, OpenMetrics0, Text1, Text0];
    assert_eq!((a.protocols(false), a.protocols(true)), (&text[..], &proto_first[..]));
    assert_eq!((b.protocols(false), c.protocols(true)), (&proto_first[..], &[Text1][..]));
    assert_eq!((d.protocols(false), d.fallback_scrape_protocol), (&text[..], Some(Proto)));
}

#[test]
fn histograms_have_keys_of_their_own() {
    let config = good(
        "global: {scrape_native_histograms: true, always_scrape_classic_histograms: true}\nscrape_configs:\n\
         - {job_name: a}\n\
         - {job_name: b, scrape_native_histograms: false, always_scrape_classic_histograms: false, \
         convert_classic_histograms_to_nhcb: true, native_histogram_bucket_limit: 160, native_histogram_min_bucket_factor: 1.1}\n\
         - {job_name: c, scrape_classic_histograms: false}\n",
    );
    let [a, b, c] = &config.scrape_configs[..] else { panic!("three jobs") };
    let global = ScrapeHistograms { native: true, always_classic: true, ..ScrapeHistograms::default() };
    assert_eq!((a.histograms, a.limits.buckets), (global, 0));
    let own = ScrapeHistograms { to_custom_buckets: true, min_bucket_factor: 1.1, ..ScrapeHistograms::default() };
    assert_eq!((b.histograms, b.limits.buckets), (own, 160));
    assert_eq!(c.histograms, ScrapeHistograms { native: true, ..ScrapeHistograms::default() });
    assert_eq!(good("scrape_configs: [{job_name: x}]").scrape_configs[0].histograms, ScrapeHistograms::default());
    refused_job(
        "scrape_native_histograms: maybe",
        r#"3:29: scrape_native_histograms: expected true or false, found "maybe""#,
    );
    refused_job(
        "native_histogram_bucket_limit: -1",
        r#"3:34: native_histogram_bucket_limit: expected a whole number of at least 0, found "-1""#,
    );
    refused(
        "global:\n  native_histogram_bucket_limit: 160\n",
        r#"2:3: unknown key "native_histogram_bucket_limit" in global"#,
    );
}

#[test]
fn names_are_validated_and_escaped_as_the_nearest_key_says() {
    use NameEscaping::{AllowUtf8, Dots, Underscores};
    use NameValidation::{Legacy, Utf8};
    let of = |global: &str, job: &str| {
        let config = good(&format!("global: {{{global}}}\nscrape_configs: [{{job_name: x{job}}}]"));
        (config.scrape_configs[0].name_validation, config.scrape_configs[0].name_escaping)
    };
    assert_eq!(of("", ""), (Utf8, AllowUtf8));
    assert_eq!(of("metric_name_validation_scheme: legacy", ""), (Legacy, Underscores));
    assert_eq!(of("metric_name_validation_scheme: legacy", ", metric_name_validation_scheme: utf8"), (Utf8, AllowUtf8));
    assert_eq!(of("metric_name_escaping_scheme: dots", ""), (Utf8, Dots));
    assert_eq!(
        of("metric_name_escaping_scheme: dots", ", metric_name_validation_scheme: legacy"),
        (Legacy, Underscores)
    );
    assert_eq!(of("metric_name_validation_scheme: legacy", ", metric_name_escaping_scheme: dots"), (Legacy, Dots));
    refused_job(
        "metric_name_validation_scheme: strict",
        r#"3:34: metric_name_validation_scheme: unknown value "strict", expected utf8 or legacy"#,
    );
    refused_job(
        "metric_name_escaping_scheme: dot",
        "3:32: metric_name_escaping_scheme: unknown value \"dot\", expected allow-utf-8 or underscores or dots or values; \
         did you mean \"dots\"?",
    );
    refused(
        "global: {metric_name_validation_scheme: legacy}\nscrape_configs:\n- job_name: x\n  metric_name_escaping_scheme: allow-utf-8\n",
        "3:13: utf8 metric names requested but validation scheme is not set to UTF8",
    );
}
