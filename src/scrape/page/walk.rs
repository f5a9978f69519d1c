//! From the bytes of a page to its samples, in the order in which they are stored.
//!
//! Here: what the formats have in common, and what rules make of their lines: `_created` lines that are starts (`created`),
//! classic histograms that become native ones (`classic`). Elsewhere: the formats (`exposition`), what becomes of a sample
//! (`page`).
//!
//! Invariant: two walks over the same bytes under the same rules meet the same samples.

use rustc_hash::FxHashSet;

use super::PageError;
use super::classic::{ClassicSeries, Made};
use super::created::CreatedLines;
use super::rules::PageRules;
use super::series::{PageSeries, TextSeries, Typed};
use crate::exposition::protobuf::{Value, read_page};
use crate::exposition::series::RawSeries;
use crate::exposition::{Entry, Exemplar, Format, Kind, PageFormat, Parser, Sample};

/// A sample as the page gives it.
pub(super) struct Exposed<'m, S> {
    pub(super) series: S,
    pub(super) value: Value<'m>,
    pub(super) timestamp_ms: Option<i64>,
    /// 0 if unknown, here or altogether.
    pub(super) start_ms: i64,
    pub(super) exemplars: &'m [Exemplar],
    /// Whether it counts from a start on: a counter, part of a histogram, count or sum of a summary.
    pub(super) is_counter: bool,
}

/// Where a sample went in the batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Place {
    Float(usize),
    Histogram(usize),
}

/// Who is told what is on a page.
pub(super) trait Visit<'a> {
    /// `# TYPE`, `# HELP`, `# UNIT` and what corresponds to them.
    fn describe(&mut self, _family: &str, _what: Described<'_>) {}
    /// A sample; gives its place if it has one in the batch.
    fn sample<S: PageSeries<'a>>(&mut self, exposed: Exposed<'_, S>) -> Result<Option<Place>, PageError>;
    /// Says since when a sample of before has been counting.
    fn set_start(&mut self, _place: Place, _start_ms: i64) {}
}

/// What a page says about a family.
pub(super) enum Described<'t> {
    Kind(Kind),
    Help(&'t str),
    Unit(&'t str),
}

/// What is known of the samples that come.
struct Family {
    kind: Kind,
    unit: String,
}

impl Default for Family {
    fn default() -> Self {
        Family { kind: Kind::Unknown, unit: String::new() }
    }
}

impl<'m, S> Exposed<'m, S> {
    /// The same with labels of the type and the unit.
    fn typed<'u>(self, kind: Kind, unit: &'u str) -> Exposed<'m, Typed<'u, S>> {
        let Exposed { series, value, timestamp_ms, start_ms, exemplars, is_counter } = self;
        Exposed { series: Typed { series, kind, unit }, value, timestamp_ms, start_ms, exemplars, is_counter }
    }
}

/// Tells `visitor` all that is on the page, until something is wrong.
pub(super) fn walk<'a>(
    body: &'a [u8],
    format: PageFormat,
    rules: &PageRules,
    visitor: &mut impl Visit<'a>,
) -> Result<(), PageError> {
    let mut family = Family::default();
    match format {
        PageFormat::Text(format) => TextWalk::new(format, rules, visitor).walk(body),
        PageFormat::Protobuf => read_page(body, rules.histograms, |entry| match entry {
            Entry::Sample(sample) => {
                let exposed = Exposed {
                    is_counter: sample.series.is_counter_of(family.kind),
                    series: sample.series,
                    value: sample.value,
                    timestamp_ms: sample.timestamp_ms,
                    start_ms: sample.start_ms,
                    exemplars: sample.exemplars,
                };
                match rules.type_and_unit_labels {
                    true => visitor.sample(exposed.typed(family.kind, &family.unit)).map(|_| ()),
                    false => visitor.sample(exposed).map(|_| ()),
                }
            }
            about => {
                // Each family begins with its help.
                match &about {
                    Entry::Help { .. } => family = Family::default(),
                    Entry::Unit { unit, .. } => (*unit).clone_into(&mut family.unit),
                    Entry::Type { kind, .. } => family.kind = *kind,
                    Entry::Sample(_) => {}
                }
                describe(&about, visitor);
                Ok(())
            }
        }),
    }
}

/// Passes on what an entry says about a family; the family.
fn describe<'e, 'a, S>(entry: &'e Entry<'_, S>, visitor: &mut impl Visit<'a>) -> Option<&'e str> {
    let (family, what) = match entry {
        Entry::Type { family, kind } => (family, Described::Kind(*kind)),
        Entry::Help { family, help } => (family, Described::Help(help)),
        Entry::Unit { family, unit } => (family, Described::Unit(unit)),
        Entry::Sample(_) => return None,
    };
    visitor.describe(family, what);
    Some(family)
}

/// The walk over a text page.
struct TextWalk<'a, 'v, V> {
    format: Format,
    keeps_classic: bool,
    /// Of the last `# TYPE`.
    kind: Kind,
    family: String,
    /// Of the last `# UNIT`: the family and its unit.
    unit: (String, String),
    has_types: bool,
    synthesizes: bool,
    /// Families whose starts come after their samples: nothing is made up for them.
    told: FxHashSet<String>,
    created: Option<CreatedLines<'a>>,
    classic: Option<ClassicSeries<'a>>,
    visitor: &'v mut V,
}

impl<'a, 'v, V: Visit<'a>> TextWalk<'a, 'v, V> {
    fn new(format: Format, rules: &PageRules, visitor: &'v mut V) -> Self {
        let takes_created = rules.starts.are_taken() && format == Format::OpenMetrics;
        TextWalk {
            format,
            keeps_classic: rules.histograms.classic,
            kind: Kind::Unknown,
            family: String::new(),
            unit: (String::new(), String::new()),
            has_types: rules.type_and_unit_labels,
            synthesizes: rules.starts.synthesized,
            told: FxHashSet::default(),
            created: takes_created.then(CreatedLines::default),
            classic: rules.histograms.custom_buckets.then(ClassicSeries::default),
            visitor,
        }
    }

    fn walk(mut self, body: &'a [u8]) -> Result<(), PageError> {
        if self.synthesizes && self.created.is_some() {
            self.told = CreatedLines::families(body);
        }
        for entry in Parser::new(body, self.format) {
            let entry = entry?;
            let Entry::Sample(sample) = entry else {
                self.describe(&entry)?;
                continue;
            };
            if self.created.as_mut().is_some_and(|created| created.takes(&sample)) {
                continue;
            }
            self.sample(sample)?;
        }
        self.end_histogram()?;
        match &mut self.created {
            Some(created) => Ok(created.end_family(self.visitor)?),
            None => Ok(()),
        }
    }

    fn describe(&mut self, entry: &Entry<'a>) -> Result<(), PageError> {
        self.end_histogram()?;
        let Some(family) = describe(entry, self.visitor) else { return Ok(()) };
        if let Some(created) = &mut self.created {
            created.enter(family, self.visitor)?;
        }
        if let Entry::Type { kind, .. } = entry {
            self.kind = *kind;
            family.clone_into(&mut self.family);
            self.created.iter_mut().for_each(|created| created.set_kind(*kind));
            self.classic.iter_mut().for_each(|classic| classic.set_kind(family, *kind));
        }
        if let Entry::Unit { unit, .. } = entry {
            self.unit = (family.to_owned(), (*unit).to_owned());
        }
        Ok(())
    }

    fn sample(&mut self, sample: Sample<'a>) -> Result<(), PageError> {
        if let Some(classic) = &mut self.classic {
            let (is_part, made) = classic.take(&sample)?;
            made.into_iter().try_for_each(|made| self.histogram(made))?;
            if is_part && !self.keeps_classic {
                return Ok(());
            }
        }
        let exposed = Exposed {
            series: TextSeries { raw: sample.series, kind: self.kind },
            value: Value::Float(sample.value),
            timestamp_ms: sample.timestamp_ms,
            start_ms: 0,
            exemplars: sample.exemplar.as_deref().map_or(&[], std::slice::from_ref),
            is_counter: self.may_synthesize() && is_counter(sample.series.text(), &self.family, self.kind),
        };
        let place = self.tell(exposed, sample.series)?;
        if let (Some(place), Some(created)) = (place, &mut self.created) {
            created.note(place, sample.series);
        }
        Ok(())
    }

    /// Tells of a sample that `raw` is, or is the first of.
    fn tell<S: PageSeries<'a>>(
        &mut self,
        exposed: Exposed<'_, S>,
        raw: RawSeries<'a>,
    ) -> Result<Option<Place>, PageError> {
        if !self.has_types {
            return self.visitor.sample(exposed);
        }
        // What stands under lines about another family is not of that family's type.
        let is_of = |family: &str| !family.is_empty() && bare_name(raw.text()).starts_with(family);
        let kind = if is_of(&self.family) { self.kind } else { Kind::Unknown };
        let unit = if is_of(&self.unit.0) { &self.unit.1 } else { "" };
        self.visitor.sample(exposed.typed(kind, unit))
    }

    fn may_synthesize(&self) -> bool {
        self.synthesizes && !self.told.contains(&self.family)
    }

    fn end_histogram(&mut self) -> Result<(), PageError> {
        let made = self.classic.as_mut().and_then(ClassicSeries::end);
        made.into_iter().try_for_each(|made| self.histogram(made))
    }

    fn histogram(&mut self, mut made: Made<'a>) -> Result<(), PageError> {
        let exposed = Exposed {
            series: &made.series,
            value: Value::Histogram(&mut made.histogram),
            timestamp_ms: made.timestamp_ms,
            start_ms: 0,
            exemplars: &made.exemplars,
            is_counter: self.may_synthesize(),
        };
        let place = self.tell(exposed, made.series.first)?;
        if let (Some(place), Some(created)) = (place, &mut self.created) {
            created.note(place, made.series.first);
        }
        Ok(())
    }
}

/// The text of a series from its name on, which may be quoted.
fn bare_name(text: &str) -> &str {
    text.strip_prefix('{').map_or(text, |inner| inner.trim_start().trim_start_matches('"'))
}

/// Whether a series of a text page counts, by its name and the type of the family that was named last.
fn is_counter(text: &str, family: &str, kind: Kind) -> bool {
    let family = if kind == Kind::Counter { family.strip_suffix("_total").unwrap_or(family) } else { family };
    let Some(rest) = bare_name(text).strip_prefix(family) else { return false };
    let suffix = rest.split(['{', '"', ' ', '\t']).next().unwrap_or(rest);
    match kind {
        Kind::Counter => matches!(suffix, "" | "_total"),
        Kind::Histogram => matches!(suffix, "_bucket" | "_sum" | "_count"),
        Kind::Summary => matches!(suffix, "_sum" | "_count"),
        _ => false,
    }
}
