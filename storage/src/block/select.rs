//! Selecting in a block: its series that satisfy matchers, with labels and chunks.
//!
//! Here: going through them, on several threads where they are many, and naming damaged pages. Elsewhere: which series
//! those are (`index`), label sets that are known already (`listing`), reading chunks (`block`).
//!
//! Invariant: series come in the order of their numbers, which is that of their labels, on however many threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Block;
use super::data::ChunkRef;
use super::index::Texts;
use super::index::series::{Pair, SERIES, SeriesPage};
use super::page::BadPage;
use crate::damage::DamageLog;
use crate::index::{Damage, SeriesRef};
use crate::listing::{BlockListing, ListingPart, Listings};
use crate::querier::{Piece, SelectedSeries};
use crate::select::{GoOn, SNAPSHOT_SERIES, in_parts};
use crate::{Matcher, ReadError, TimeRange};

/// A thread for fewer series costs more than it gives.
const PART_SERIES_MIN: usize = if cfg!(test) { 16 } else { 2048 };

/// A series as the index has it.
struct Entry<'p> {
    series: SeriesRef,
    pairs: &'p [Pair],
    chunks: &'p [ChunkRef],
}

/// What was found among some series.
#[derive(Default)]
struct Found {
    series: Vec<SelectedSeries>,
    /// Damaged pages of chunks.
    bad: BTreeMap<u32, BadPage>,
    /// Damaged pages of starts, by their text.
    bad_starts: BTreeMap<String, ReadError>,
}

impl Block {
    /// Series that satisfy the matchers with the chunks that overlap `range`, sorted by labels, which `listings` may know
    /// and gets to know. Damaged pages are left out and named in `warnings`. Many series are shared out among `threads`;
    /// `None` once `go_on` says no.
    pub(crate) fn select(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        (threads, go_on): (usize, &GoOn<'_>),
        (listings, damage): (&Listings, &DamageLog),
        warnings: &mut Vec<String>,
    ) -> Result<Option<Vec<SelectedSeries>>, Damage> {
        let parts = self.select_parts(matchers, range, (threads, go_on), listings);
        self.count_damage(damage);
        let Some(parts) = parts? else { return Ok(None) };
        let mut all = Found::default();
        for part in parts {
            all.bad.extend(part.bad);
            all.bad_starts.extend(part.bad_starts);
            if all.series.is_empty() { all.series = part.series } else { all.series.extend(part.series) }
        }
        for (page, sums) in all.bad {
            let error = self.page_error(page, sums);
            self.note_damage(&error, damage);
            warnings.push(format!("{error}; what it held is missing from this answer"));
        }
        for (text, error) in all.bad_starts {
            self.note_damage(&error, damage);
            warnings.push(format!("{text}; the start timestamps that it held are missing from this answer"));
        }
        Ok(Some(all.series))
    }

    fn select_parts(
        self: &Arc<Self>,
        matchers: &[Matcher],
        range: TimeRange,
        (threads, go_on): (usize, &GoOn<'_>),
        listings: &Listings,
    ) -> Result<Option<Vec<Found>>, Damage> {
        let matching = crate::index::select(&self.index, matchers)?;
        let listing = BlockListing::new(listings, self.owner, matchers);
        let count = AtomicUsize::new(0);
        let of_part = |part: &[SeriesRef]| {
            let mut listed = listing.part(part.first().copied());
            let found = self.select_part(part, range, &mut listed, (&count, go_on))?;
            Ok(found.map(|found| (found, listed)))
        };
        let part_len = matching.len().div_ceil(threads.max(1)).max(PART_SERIES_MIN);
        let parts = in_parts(&matching, part_len, &of_part).into_iter().collect::<Result<Option<Vec<_>>, Damage>>();
        Ok(parts?.map(|parts| {
            let (found, listed): (Vec<Found>, Vec<ListingPart<'_>>) = parts.into_iter().unzip();
            listing.finish(listed);
            found
        }))
    }

    /// What is found among `series`; `None` once `go_on` says no.
    fn select_part(
        self: &Arc<Self>,
        series: &[SeriesRef],
        range: TimeRange,
        listed: &mut ListingPart<'_>,
        (count, go_on): (&AtomicUsize, &GoOn<'_>),
    ) -> Result<Option<Found>, Damage> {
        let tombstones = self.tombstones();
        let mut found = Found::default();
        let mut pieces = Vec::new();
        let (mut seen, mut is_over) = (0_usize, false);
        self.each_entry(series, |texts, Entry { series, pairs, chunks }| {
            if seen.is_multiple_of(SNAPSHOT_SERIES) {
                is_over = is_over || !go_on(count.load(Ordering::Relaxed));
            }
            seen += 1;
            if is_over {
                return Ok(());
            }
            let gone = tombstones.of(series);
            let starts = self.starts_of(series).unwrap_or_else(|e| {
                found.bad_starts.insert(e.to_string(), e);
                None
            });
            let bad = &mut found.bad;
            let wanted = chunks.iter().filter(|c| c.reaches(range) && !c.is_gone(gone) && self.is_good(c, bad));
            pieces.extend(wanted.map(|c| Piece::Block(self.clone(), *c).without(gone).started(starts.as_ref())));
            if !pieces.is_empty() || listed.wants_all() {
                let labels = listed.labels(series, || texts.labels(pairs))?;
                if !pieces.is_empty() {
                    #[expect(
                        clippy::drain_collect,
                        reason = "makes room for as many as there are, which mostly is one"
                    )]
                    found.series.push(SelectedSeries::new(labels, range, pieces.drain(..).collect()));
                    count.fetch_add(1, Ordering::Relaxed);
                }
            }
            Ok(())
        })?;
        Ok((!is_over).then_some(found))
    }

    /// Shows `each` number and packed labels of every series that satisfies the matchers and has a chunk that reaches into
    /// `range` and is not deleted as a whole. No chunk is read: what is on a damaged page counts, too.
    pub(crate) fn each_reaching(
        &self,
        matchers: &[Matcher],
        range: TimeRange,
        damage: &DamageLog,
        mut each: impl FnMut(SeriesRef, &str),
    ) -> Result<(), Damage> {
        let tombstones = self.tombstones();
        let matching = crate::index::select(&self.index, matchers);
        let shown = matching.and_then(|matching| {
            self.each_entry(&matching, |texts, Entry { series, pairs, chunks }| {
                let gone = tombstones.of(series);
                if chunks.iter().any(|c| c.reaches(range) && !c.is_gone(gone)) {
                    each(series, texts.packed(pairs)?);
                }
                Ok(())
            })
        });
        self.count_damage(damage);
        shown
    }

    /// Calls `each` with every one of these series, and with what makes labels of its pairs.
    fn each_entry(
        &self,
        series: &[SeriesRef],
        mut each: impl FnMut(&mut Texts<'_>, Entry<'_>) -> Result<(), Damage>,
    ) -> Result<(), Damage> {
        let mut texts = self.index.texts()?;
        let mut page: Option<(usize, Arc<SeriesPage>)> = None;
        for &series in series {
            let number = series as usize / SERIES;
            if page.as_ref().is_none_or(|(there, _)| *there != number) {
                page = Some((number, self.index.series_page(number)?));
            }
            let found = page.as_ref().and_then(|(_, page)| page.series(series as usize % SERIES));
            if let Some((pairs, chunks)) = found {
                each(&mut texts, Entry { series, pairs, chunks })?;
            }
        }
        Ok(())
    }

    /// Whether the pages of a chunk's values and times are whole.
    fn is_good(&self, chunk: &ChunkRef, bad: &mut BTreeMap<u32, BadPage>) -> bool {
        let times = self.time_page(chunk.column).map(|(page, _)| page);
        let mut is_good = times.is_some();
        for page in chunk.page().into_iter().chain(times) {
            if let Err(sums) = self.page(page) {
                bad.insert(page, sums);
                is_good = false;
            }
        }
        is_good
    }
}
