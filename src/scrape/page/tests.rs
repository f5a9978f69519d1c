//! Pages read into a real `Db`: staleness, labels, times, limits, and a naive model of all that.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use storage::{
    Columns, Db, Durability, Labels, LabelsBuilder, Matcher, Options, TimeRange, full_match_regex, is_stale_nan,
};

use super::*;
use crate::config::{RelabelAction, RelabelConfig, ScrapeLimits};
use crate::exposition::Format;

/// A reader with a store behind it, as the loop drives them.
pub(super) struct Site {
    pub(super) reader: PageReader,
    pub(super) db: Db,
    pub(super) refusals: Refusals,
    _dir: tempfile::TempDir,
}

pub(super) fn rules() -> PageRules {
    PageRules {
        target_labels: Labels::from_pairs([("job", "j"), ("instance", "h:1")]).unwrap(),
        ..PageRules::default()
    }
}

pub(super) fn drop_label(name: &str) -> RelabelConfig {
    RelabelConfig {
        source_labels: Vec::new(),
        separator: ";".to_owned(),
        target_label: String::new(),
        regex: full_match_regex(name).unwrap(),
        modulus: 0,
        replacement: String::new(),
        action: RelabelAction::LabelDrop,
    }
}

impl Site {
    pub(super) fn new(rules: PageRules) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options::default()).unwrap();
        let reader = PageReader::new(rules, SeriesCache::new());
        Site { reader, db, refusals: Refusals::default(), _dir: dir }
    }

    fn append(&self, batch: &mut Batch, t: i64) -> Appended {
        self.db.append(batch, t, Durability::Written).unwrap()
    }

    fn scrape(&mut self, t: i64, body: &str) -> (PageCounts, Result<(), PageError>) {
        self.scrape_as(Format::Text, t, body)
    }

    pub(super) fn scrape_open_metrics(&mut self, t: i64, body: &str) -> (PageCounts, Result<(), PageError>) {
        self.scrape_as(Format::OpenMetrics, t, body)
    }

    fn scrape_as(&mut self, format: Format, t: i64, body: &str) -> (PageCounts, Result<(), PageError>) {
        self.scrape_page(PageFormat::Text(format), t, body.as_bytes())
    }

    pub(super) fn scrape_page(
        &mut self,
        format: PageFormat,
        t: i64,
        body: &[u8],
    ) -> (PageCounts, Result<(), PageError>) {
        let (mut batch, mut again) = (Batch::new(), Batch::new());
        let answer = self.reader.read(body, format, t, &mut batch);
        let done = self.append(&mut batch, t);
        let exemplars = self.reader.take_exemplars(&batch);
        self.refusals = self.reader.settle(body, format, t, &batch, &done, &mut again);
        self.append(&mut again, t);
        self.db.append_exemplars_by_id(exemplars, Durability::Written).unwrap();
        answer
    }

    /// All that was stored is gone, and the reader does not know.
    pub(super) fn move_to_an_empty_store(&mut self) {
        let other = Site::new(rules());
        (self.db, self._dir) = (other.db, other._dir);
    }

    pub(super) fn fail(&mut self, t: i64) {
        let mut batch = Batch::new();
        self.reader.fail(t, &mut batch);
        self.append(&mut batch, t);
    }

    /// `t=start` of each series, by the labels beside job and instance.
    pub(super) fn starts(&self) -> Vec<(String, String)> {
        let found = self.db.select(&[], TimeRange::ALL).unwrap();
        let of_one = |series: &storage::SelectedSeries| {
            let (mut columns, mut starts) = (Columns::default(), Vec::new());
            series.read_into(&mut columns).unwrap();
            series.read_starts(storage::SampleKind::Float, &columns.t, &mut starts);
            let points: Vec<String> = columns.t.iter().zip(starts).map(|(t, start)| format!("{t}={start}")).collect();
            let mut labels = LabelsBuilder::from_labels(series.labels());
            labels.remove("job").remove("instance");
            (labels.build().to_string(), points.join(" "))
        };
        found.series.iter().map(of_one).collect()
    }

    /// `t=v` of each series, markers as `stale`; by the labels beside job and instance.
    fn stored(&self) -> BTreeMap<String, String> {
        stored(&self.db)
    }

    #[track_caller]
    fn check(&self, expected: &[(&str, &str)]) {
        let expected: BTreeMap<String, String> = expected.iter().map(|&(s, v)| (s.to_owned(), v.to_owned())).collect();
        assert_eq!(self.stored(), expected);
    }
}

fn stored(db: &Db) -> BTreeMap<String, String> {
    let found = db.select(&[Matcher::equal("job", "j")], TimeRange::ALL).unwrap();
    let text = |series: &storage::SelectedSeries| {
        let mut columns = Columns::default();
        series.read_into(&mut columns).unwrap();
        let samples = columns.t.iter().zip(&columns.v);
        let words: Vec<String> =
            samples.map(|(t, &v)| if is_stale_nan(v) { format!("{t}=stale") } else { format!("{t}={v}") }).collect();
        let short = series.labels().filter(|n| n != "job" && n != "instance");
        (short.to_string(), words.join(" "))
    };
    found.series.iter().map(text).collect()
}

fn counts(scraped: u64, kept: u64, added: u64) -> PageCounts {
    PageCounts { scraped, kept, added }
}

#[test]
fn known_series_go_on_and_vanished_ones_end() {
    let mut site = Site::new(rules());
    assert_eq!(site.scrape(1_000, "a 1\nb 2\n"), (counts(2, 2, 2), Ok(())));
    assert_eq!(site.scrape(2_000, "a 2\nb 2\n"), (counts(2, 2, 0), Ok(())));
    assert_eq!(site.scrape(3_000, "a 3\n"), (counts(1, 1, 0), Ok(())));
    assert_eq!(site.scrape(4_000, "a 4\nc 1\n"), (counts(2, 2, 1), Ok(())));
    assert_eq!(site.scrape(5_000, "a 5\nb 5\n"), (counts(2, 2, 1), Ok(())));
    site.check(&[
        ("a", "1000=1 2000=2 3000=3 4000=4 5000=5"),
        ("b", "1000=2 2000=2 3000=stale 5000=5"),
        ("c", "4000=1 5000=stale"),
    ]);
}

#[test]
fn a_failed_scrape_ends_everything_once() {
    let mut site = Site::new(rules());
    site.scrape(1_000, "a 1\n").1.unwrap();
    site.fail(2_000);
    site.fail(3_000);
    assert_eq!(site.scrape(4_000, "a 4\n"), (counts(1, 1, 0), Ok(())));
    let (found, result) = site.scrape(5_000, "a 5\nb 1\nc{ 1\n");
    assert_eq!(found, counts(2, 2, 1));
    assert!(result.unwrap_err().to_string().starts_with("line 3, byte 4"));
    assert_eq!(site.scrape(6_000, ""), (counts(0, 0, 0), Ok(())));
    assert_eq!(site.scrape(7_000, "a 7\nb 7\n").0.scraped, 2);
    site.check(&[("a", "1000=1 2000=stale 4000=4 5000=stale 7000=7"), ("b", "7000=7")]);
}

#[test]
fn the_same_series_twice_is_named_by_line_and_byte() {
    for (body, place) in [
        ("a 1\na 1\n", "line 2, byte 1 (byte 4 of the body)"),
        ("a{x=\"1\",y=\"2\"} 1\n a{y=\"2\",x=\"1\"} 2\n", "line 2, byte 2"),
        ("a 1 5\nb 1\na 2 5\n", "line 3, byte 1"),
        ("a 1 5\na 1\n", "line 2, byte 1"),
        ("{\"a\"} 1\na 2\n", "line 2, byte 1"),
        ("a{z=\"\"} 1\na{z=\"\"} 2\n", "line 2, byte 1"),
    ] {
        let mut site = Site::new(rules());
        for t in [1_000, 2_000] {
            let message = site.scrape(t, body).1.unwrap_err().to_string();
            assert!(message.starts_with(place) && message.contains("twice"), "{body:?}: {message}");
        }
        site.check(&[]);
    }
    let mut site = Site::new(rules());
    site.scrape(9_000, "a 1 5000\na 2 6000\n").1.unwrap();
    site.scrape(9_500, "a 3 7000\na 4 8000\n").1.unwrap();
    site.check(&[("a", "5000=1 6000=2 7000=3 8000=4")]);
}

#[test]
fn labels_in_conflict_are_exported_or_honored() {
    let page = "m{job=\"x\",instance=\"\",exported_job=\"y\"} 1\n";
    let labels = |rules: PageRules| {
        let mut site = Site::new(rules);
        site.scrape(1_000, page).1.unwrap();
        let all = site.db.select(&[Matcher::equal("__name__", "m")], TimeRange::ALL).unwrap();
        all.series[0].labels().to_string()
    };
    let renamed = r#"m{exported_exported_job="x", exported_job="y", instance="h:1", job="j"}"#;
    assert_eq!(labels(rules()), renamed);
    // An exposed empty label means "none", which is how a push gateway keeps instance away.
    assert_eq!(labels(PageRules { honor_labels: true, ..rules() }), r#"m{exported_job="y", job="x"}"#);
}

#[test]
fn exposed_times_are_used_or_not() {
    let page = |v: u8, t: i64| format!("a {v} {t}\nb {v}\n");
    let run = |rules: PageRules| {
        let mut site = Site::new(rules);
        site.scrape(1_000, &page(1, 900)).1.unwrap();
        site.scrape(2_000, &page(2, 1_900)).1.unwrap();
        site.fail(3_000);
        site
    };
    run(rules()).check(&[("a", "900=1 1900=2"), ("b", "1000=1 2000=2 3000=stale")]);
    let tracked = PageRules { track_timestamps_staleness: true, ..rules() };
    run(tracked).check(&[("a", "900=1 1900=2 3000=stale"), ("b", "1000=1 2000=2 3000=stale")]);
    let ignored = PageRules { honor_timestamps: false, ..rules() };
    run(ignored).check(&[("a", "1000=1 2000=2 3000=stale"), ("b", "1000=1 2000=2 3000=stale")]);
}

#[test]
fn relabelling_drops_and_merges() {
    let drop_debug = RelabelConfig {
        source_labels: vec!["__name__".to_owned()],
        action: RelabelAction::Drop,
        ..drop_label("debug_.*")
    };
    let rules = PageRules { metric_relabel: Arc::from([drop_debug, drop_label("pod")]), ..rules() };
    let mut site = Site::new(rules);
    let page = |pod: &str| format!("debug_x 1\nm{{pod=\"{pod}\"}} 1\n");
    assert_eq!(site.scrape(1_000, &page("a")), (counts(2, 1, 1), Ok(())));
    assert_eq!(site.scrape(2_000, &page("a")), (counts(2, 1, 0), Ok(())));
    // Another spelling, the same stored series: it does not end.
    assert_eq!(site.scrape(3_000, &page("b")), (counts(2, 1, 1), Ok(())));
    assert_eq!(site.scrape(4_000, &page("b")).0.kept, 1);
    site.check(&[("m", "1000=1 2000=1 3000=1 4000=1")]);
    // Two on one page: the first is stored, the second counted.
    site.scrape(5_000, "m{pod=\"b\"} 5\nm{pod=\"c\"} 6\n").1.unwrap();
    assert_eq!(site.refusals, Refusals { duplicate_timestamp: 1, out_of_bounds: 0 });
    site.scrape(6_000, "m{pod=\"c\"} 7\n").1.unwrap();
    site.check(&[("m", "1000=1 2000=1 3000=1 4000=1 5000=5 6000=7")]);
}

#[test]
fn relabelling_must_leave_a_name() {
    let rules = PageRules { metric_relabel: Arc::from([drop_label("__name__")]), ..rules() };
    let message = Site::new(rules).scrape(1, "a 1\n b 1\n").1.unwrap_err().to_string();
    assert!(message.contains("line 1, byte 1") && message.contains("without a metric name"), "{message}");
}

#[test]
fn limits_fail_the_scrape() {
    let check = |limits: ScrapeLimits, expected: Option<&str>| {
        let mut site = Site::new(PageRules { limits, ..rules() });
        let found = site.scrape(1_000, "m{aa=\"bbb\"} 1\nn 2\n").1.map_err(|e| e.to_string());
        assert_eq!(found.as_ref().err().map(String::as_str), expected);
        assert_eq!(site.stored().is_empty(), expected.is_some());
    };
    let none = ScrapeLimits::default();
    let limits = ScrapeLimits { samples: 2, labels: 4, label_name_bytes: 8, label_value_bytes: 3, ..none.clone() };
    check(limits.clone(), None);
    let message = "sample limit exceeded: the page holds 2 samples, sample_limit is 1";
    check(ScrapeLimits { samples: 1, ..none.clone() }, Some(message));
    let message = "label_limit exceeded (metric: m, number of labels: 4, limit: 3)";
    check(ScrapeLimits { labels: 3, ..none.clone() }, Some(message));
    let message = "label_name_length_limit exceeded (metric: m, label name: __name__, length: 8, limit: 7)";
    check(ScrapeLimits { label_name_bytes: 7, ..none.clone() }, Some(message));
    let message = "label_value_length_limit exceeded (metric: m, label name: aa, length: 3, limit: 2)";
    check(ScrapeLimits { label_value_bytes: 2, ..none }, Some(message));
}

#[test]
fn a_store_that_forgot_gets_the_labels_again() {
    let mut site = Site::new(rules());
    site.scrape(1_000, "a{x=\"y\"} 1\nb 1\n").1.unwrap();
    site.move_to_an_empty_store();
    site.scrape(2_000, "a{x=\"y\"} 2\nb 2\n").1.unwrap();
    site.check(&[("a{x=\"y\"}", "2000=2"), ("b", "2000=2")]);
    site.scrape(3_000, "a{x=\"y\"} 3\nb 3\n").1.unwrap();
    site.check(&[("a{x=\"y\"}", "2000=2 3000=3"), ("b", "2000=2 3000=3")]);
}

#[test]
fn samples_of_the_future_are_refused_one_by_one() {
    let mut site = Site::new(rules());
    site.scrape(1_000, "a 1 99999999999999\nb 1\n").1.unwrap();
    assert_eq!(site.refusals, Refusals { duplicate_timestamp: 0, out_of_bounds: 1 });
    assert_eq!(site.stored()["b"], "1000=1");
}

/// One scrape of the model test.
#[derive(Debug, Clone)]
enum Step {
    /// A good page with these series, each in one of two spellings.
    Page(Vec<(u8, bool)>),
    /// The same and then garbage.
    Garbage(Vec<(u8, bool)>),
    /// No answer.
    Failure,
}

fn step() -> impl Strategy<Value = Step> {
    let series =
        || proptest::collection::btree_map(0u8..6, any::<bool>(), 0..6).prop_map(|m| m.into_iter().collect::<Vec<_>>());
    prop_oneof![6 => series().prop_map(Step::Page), 1 => series().prop_map(Step::Garbage), 1 => Just(Step::Failure)]
}

fn page_of(series: &[(u8, bool)], t: i64) -> String {
    let line = |&(n, swapped): &(u8, bool)| match swapped {
        false => format!("m{{n=\"{n}\",k=\"x\"}} {t}\n"),
        true => format!("m{{k=\"x\", n=\"{n}\"}} {t}\n"),
    };
    series.iter().map(line).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Against the obvious model: a sample for each series of a good page, one marker where a series was and is not.
    #[test]
    fn any_run_of_scrapes_stores_what_a_naive_model_says(steps in proptest::collection::vec(step(), 1..25)) {
        let mut site = Site::new(rules());
        let mut expected: BTreeMap<String, String> = BTreeMap::new();
        let mut live: Vec<u8> = Vec::new();
        for (index, step) in steps.iter().enumerate() {
            let t = (index as i64 + 1) * 1_000;
            let mut note = |n: u8, word: &str| {
                let text = expected.entry(format!("m{{k=\"x\", n=\"{n}\"}}")).or_default();
                *text = format!("{text} {t}={word}").trim_start().to_owned();
            };
            let on_page: Vec<u8> = match step {
                Step::Page(series) => {
                    prop_assert!(site.scrape(t, &page_of(series, t)).1.is_ok());
                    series.iter().map(|s| s.0).collect()
                }
                Step::Garbage(series) => {
                    let (_, result) = site.scrape(t, &(page_of(series, t) + "m{"));
                    prop_assert!(result.is_err());
                    Vec::new()
                }
                Step::Failure => {
                    site.fail(t);
                    Vec::new()
                }
            };
            on_page.iter().for_each(|&n| note(n, &t.to_string()));
            live.iter().filter(|n| !on_page.contains(n)).for_each(|&n| note(n, "stale"));
            live = on_page;
        }
        prop_assert_eq!(site.stored(), expected);
    }
}
