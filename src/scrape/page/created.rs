//! `_created` lines of OpenMetrics: since when a counter, histogram or summary has been counting.
//!
//! Here: they become start timestamps of their family's samples instead of samples of their own, where start timestamps
//! are stored. Elsewhere: whether they are (`StartRules`), the page (`page`), the format (`exposition`).
//!
//! Such a line may stand before or after the samples that it is about, so a family's samples are remembered until the
//! family ends. Labels are decoded only in families that have such lines.

use std::collections::HashMap;

use rustc_hash::FxHashSet;
use storage::METRIC_NAME;

use super::walk::{Place, Visit};
use crate::exposition::error::ParseError;
use crate::exposition::series::{Pairs, RawSeries};
use crate::exposition::{Entry, Format, Kind, Parser, Sample};

const SUFFIX: &str = "_created";

/// The family at hand.
#[derive(Default)]
pub(super) struct CreatedLines<'a> {
    family: String,
    counts: bool,
    /// Places in the batch.
    samples: Vec<(Place, RawSeries<'a>)>,
    created: Vec<(RawSeries<'a>, i64)>,
}

impl<'a> CreatedLines<'a> {
    /// A line about a family begins it, unless it is the one at hand.
    pub(super) fn enter(&mut self, family: &str, visitor: &mut impl Visit<'a>) -> Result<(), ParseError> {
        if self.family != family {
            self.end_family(visitor)?;
            family.clone_into(&mut self.family);
        }
        Ok(())
    }

    /// Families of a page that have such a line; of a damaged page those up to the fault.
    pub(super) fn families(body: &[u8]) -> FxHashSet<String> {
        let mut found = FxHashSet::default();
        let mut lines = CreatedLines::default();
        for entry in Parser::new(body, Format::OpenMetrics).map_while(Result::ok) {
            match entry {
                Entry::Type { family, kind } => {
                    lines = CreatedLines { family: family.into_owned(), ..CreatedLines::default() };
                    lines.set_kind(kind);
                }
                Entry::Sample(sample) if lines.takes(&sample) => drop(found.insert(lines.family.clone())),
                _ => {}
            }
        }
        found
    }

    /// What the family at hand is.
    pub(super) fn set_kind(&mut self, kind: Kind) {
        self.counts = matches!(kind, Kind::Counter | Kind::Histogram | Kind::Summary);
    }

    /// Whether a sample is such a line; then it is kept here and is no sample.
    pub(super) fn takes(&mut self, sample: &Sample<'a>) -> bool {
        let is_created = self.counts && is_created_of(sample.series.text(), &self.family);
        if is_created {
            // Seconds; what is no time is unknown.
            self.created.push((sample.series, (sample.value * 1000.0).round() as i64));
        }
        is_created
    }

    /// Remembers a sample that went to this place of the batch.
    pub(super) fn note(&mut self, place: Place, series: RawSeries<'a>) {
        if self.counts {
            self.samples.push((place, series));
        }
    }

    /// Gives the samples of the family their starts.
    pub(super) fn end_family(&mut self, visitor: &mut impl Visit<'a>) -> Result<(), ParseError> {
        if !self.created.is_empty() {
            let mut starts = HashMap::new();
            for (series, start) in &self.created {
                starts.insert(group(*series)?, *start);
            }
            for (place, series) in &self.samples {
                if let Some(start) = starts.get(&group(*series)?) {
                    visitor.set_start(*place, *start);
                }
            }
        }
        self.family.clear();
        self.samples.clear();
        self.created.clear();
        self.counts = false;
        Ok(())
    }
}

/// `family_created`, bare or quoted, with or without labels.
fn is_created_of(text: &str, family: &str) -> bool {
    let bare = text.strip_prefix('{').map_or(text, |inner| inner.trim_start().trim_start_matches('"'));
    let rest = bare.strip_prefix(family).and_then(|rest| rest.strip_prefix(SUFFIX));
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['{', '"', ' ', '\t']))
}

/// The labels that the samples of one counter, histogram or summary share.
fn group<'a>(series: RawSeries<'a>) -> Result<Pairs<'a>, ParseError> {
    let mut pairs = Pairs::new();
    series.read_pairs(&mut pairs)?;
    pairs.retain(|(name, value)| !matches!(&**name, METRIC_NAME | "le" | "quantile") && !value.is_empty());
    pairs.sort_unstable();
    Ok(pairs)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Site, rules};
    use super::super::{PageError, PageRules, StartRules};

    const PAGE: &str = r#"# HELP hits Hits.
# TYPE hits counter
hits_total{path="/a"} 3
hits_created{path="/a"} 100.5
hits_total{path="/b"} 4
# TYPE latency histogram
latency_created 90.0
latency_bucket{le="1.0"} 1
latency_bucket{le="+Inf"} 2
latency_count 2
latency_sum 3.5
# TYPE tickets_created gauge
tickets_created 5
# EOF
"#;

    /// Time, value and start of each series.
    #[track_caller]
    fn check(has_starts: bool, pages: &[&str], expected: &[(&str, &str)]) {
        let mut site =
            Site::new(PageRules { starts: StartRules { stored: has_starts, ..StartRules::default() }, ..rules() });
        for (page, t) in pages.iter().zip((200_000..).step_by(1000)) {
            site.scrape_open_metrics(t, page).1.unwrap();
        }
        let expected: Vec<_> = expected.iter().map(|(s, v)| ((*s).to_owned(), (*v).to_owned())).collect();
        assert_eq!(site.starts(), expected);
    }

    #[test]
    fn they_are_starts_of_their_familys_samples() {
        check(
            true,
            &[PAGE],
            &[
                (r#"hits_total{path="/a"}"#, "200000=100500"),
                (r#"hits_total{path="/b"}"#, "200000=0"),
                ("latency_bucket{le=\"+Inf\"}", "200000=90000"),
                ("latency_bucket{le=\"1.0\"}", "200000=90000"),
                ("latency_count", "200000=90000"),
                ("latency_sum", "200000=90000"),
                ("tickets_created", "200000=0"),
            ],
        );
    }

    #[test]
    fn they_are_samples_where_starts_are_not_stored() {
        let page = "# TYPE hits counter\nhits_total 3\nhits_created 100.5\n# EOF\n";
        check(false, &[page], &[("hits_created", "200000=0"), ("hits_total", "200000=0")]);
    }

    #[test]
    fn a_counter_that_begins_anew_and_one_that_stops_saying_so() {
        let page = |line: &str| format!("# TYPE hits counter\nhits_total 3\n{line}# EOF\n");
        let pages = [page("hits_created 100\n"), page("hits_created 100\n"), page("hits_created 201\n"), page("")];
        let starts = "200000=100000 201000=100000 202000=201000 203000=0";
        check(true, &pages.each_ref().map(String::as_str), &[("hits_total", starts)]);
    }

    #[test]
    fn quoted_names_and_damaged_ones() {
        let page = "# TYPE \"a.b\" counter\n{\"a.b_total\",x=\"y\"} 1\n{\"a.b_created\",x=\"y\"} 7\n# EOF\n";
        check(true, &[page], &[(r#"{"a.b_total", x="y"}"#, "200000=7000")]);
        let mut site = Site::new(PageRules { starts: StartRules { stored: true, ..StartRules::default() }, ..rules() });
        let page = "# TYPE a counter\na_created{x=\"1\",x=\"2\"} 7\n# EOF\n";
        assert!(matches!(site.scrape_open_metrics(200_000, page).1, Err(PageError::Parse(_))));
    }
}
