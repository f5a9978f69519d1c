//! Start timestamps at replay.
//!
//! Here: when what the log says of them takes effect, and what damage to the log makes unknown.
//! Elsewhere: the rest of replay (`wal::replay`), the lists (`starts`).
//!
//! A record of starts stands before that of its samples, which may declare their series: so it waits for the next one.
//!
//! Invariant: no sample gets a start that is not its own. A record that is lost may have said that the start of a series
//! changed; so after damage those of all series are unknown until the log says them anew, which each segment does.

use rustc_hash::FxHashSet;

use super::record::Decoded;
use super::replay::Run;
use crate::index::SeriesRef;
use crate::is_stale_nan;
use crate::starts::WalStarts;

/// What replay remembers about starts.
#[derive(Debug, Default)]
pub(super) struct StartsRead {
    /// Of the record before.
    pub(super) waiting: WalStarts,
    /// The segment being read.
    pub(super) segment: u64,
    /// After damage: the series whose starts were said since.
    stated: Option<FxHashSet<SeriesRef>>,
}

impl Run<'_> {
    /// Does what the record before said.
    pub(super) fn note_starts(&mut self) {
        if self.starts.waiting.is_empty() {
            return;
        }
        let said = std::mem::take(&mut self.starts.waiting);
        said.holding.iter().chain(&said.single).for_each(|s| self.see(s.id));
        for s in &said.holding {
            // A series that no record declares did not come to be.
            let Some(series) = self.series_of(s.id) else { continue };
            self.head.starts_mut().hold(series, s.t, s.start, self.starts.segment);
            if let Some(stated) = &mut self.starts.stated {
                stated.insert(series);
            }
        }
        for s in &said.single {
            let Some(series) = self.series_of(s.id) else { continue };
            let is_sure = self.starts.stated.as_ref().is_none_or(|stated| stated.contains(&series));
            if is_sure {
                self.head.starts_mut().put(series, s.t, s.start);
            }
        }
    }

    /// Part of the log cannot be read.
    pub(super) fn doubt_starts(&mut self) {
        self.note_starts();
        self.starts.stated = Some(FxHashSet::default());
    }

    /// Before samples come whose starts may have been in a damaged record.
    pub(super) fn doubt_samples(&mut self, decoded: &Decoded) {
        if self.starts.stated.is_none() || self.head.starts().is_empty() {
            return;
        }
        let floats = decoded.samples.iter().filter(|s| !is_stale_nan(s.v)).map(|s| (s.id, s.t));
        for (id, t) in floats.chain(decoded.blobs.iter().map(|blob| (blob.id, blob.t))) {
            let Some(series) = self.series_of(id) else { continue };
            if self.starts.stated.as_ref().is_some_and(|stated| !stated.contains(&series)) {
                self.head.starts_mut().doubt(series, t);
            }
        }
    }
}
