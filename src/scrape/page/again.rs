//! Samples of series that the store had forgotten: the page is walked once more for their labels.

use rustc_hash::FxHashMap;
use storage::{Batch, Labels};

use super::rules::PageRules;
use super::series::PageSeries;
use super::walk::{Exposed, Place, Visit, walk};
use super::{PageError, PageReader};
use crate::exposition::PageFormat;
use crate::exposition::series::Pairs;

/// Looks for the labels of some samples.
struct Again<'r, 'a> {
    rules: &'r PageRules,
    /// By their number on the page.
    wanted: FxHashMap<u64, Place>,
    next: u64,
    pairs: Pairs<'a>,
    found: Vec<(Place, Labels)>,
}

impl<'a> Visit<'a> for Again<'_, 'a> {
    fn sample<S: PageSeries<'a>>(&mut self, exposed: Exposed<'_, S>) -> Result<Option<Place>, PageError> {
        let place = self.wanted.get(&self.next).copied();
        self.next += 1;
        if let Some(place) = place {
            let labels = self.rules.stored_labels(&exposed.series, &mut self.pairs)?;
            self.found.extend(labels.map(|labels| (place, labels)));
        }
        Ok(None)
    }
}

impl PageReader {
    /// Adds to `again` the samples of `batch` that are `forgotten`, with their labels.
    pub(super) fn push_again(
        &self,
        body: &[u8],
        format: PageFormat,
        forgotten: &[(u64, Place)],
        batch: &Batch,
        again: &mut Batch,
    ) {
        let wanted = forgotten.iter().copied().collect();
        let mut search = Again { rules: &self.rules, wanted, next: 0, pairs: Pairs::new(), found: Vec::new() };
        // The page was read to its end before.
        let _ = walk(body, format, &self.rules, &mut search);
        for (place, labels) in search.found {
            let Some(placed) = self.placed(place) else { continue };
            match place {
                Place::Float(index) => {
                    again.push(labels, placed.t, placed.v);
                    again.set_start(batch.start_of(index));
                }
                Place::Histogram(index) => {
                    let Some((histogram, start)) = batch.histogram(index) else { continue };
                    again.push_histogram(labels, placed.t, histogram.clone());
                    again.set_histogram_start(start);
                }
            }
        }
    }
}
