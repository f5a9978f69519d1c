//! Samples that come in faster than anybody looks at them: at replay.
//!
//! Here: collecting samples, and putting them into the head page by page.
//! Elsewhere: one sample (`head`), where they come from (`wal::replay`).
//!
//! A scrape touches all series in turn, which pushes each one's end out of the processor's caches before the next
//! scrape. Taken by pages, a few scrapes at a time, series stay there until all of theirs are in: a third of the time.
//!
//! Invariant: samples of one series go in as they came. Those of different series do not bear on each other.

use super::Head;
use super::table::PAGE_SERIES;
use crate::index::SeriesRef;

/// So many samples are put in together: five scrapes of 100,000 series. 14 MB, while the replay lasts.
const SAMPLES_MAX: usize = if cfg!(test) { 1000 } else { 512 << 10 };

/// The samples that wait. Whoever fills it must empty it before the head is asked for samples.
#[derive(Debug, Default)]
pub(crate) struct Backlog {
    samples: Vec<Waiting>,
    /// Where the samples of each page begin in `order`, then where they end.
    places: Vec<u32>,
    /// Places in `samples`, by page.
    order: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
struct Waiting {
    series: SeriesRef,
    t: i64,
    v: f64,
}

impl Backlog {
    /// Adds a sample of a series that `head` has.
    #[inline]
    pub(crate) fn push(&mut self, head: &mut Head, series: SeriesRef, t: i64, v: f64) {
        if self.samples.len() == SAMPLES_MAX {
            self.apply(head);
        }
        self.samples.push(Waiting { series, t, v });
    }

    /// Puts all into `head`. What it refuses is dropped: it was refused the first time, too.
    pub(crate) fn apply(&mut self, head: &mut Head) {
        self.sort(head.page_count());
        for &at in &self.order {
            if let Some(s) = self.samples.get(at as usize) {
                head.try_push(s.series, s.t, s.v);
            }
        }
        self.samples.clear();
    }

    /// A counting sort: keeps the order within each page.
    fn sort(&mut self, page_count: usize) {
        self.places.clear();
        self.places.resize(page_count + 1, 0);
        for s in &self.samples {
            self.places[s.series as usize / PAGE_SERIES + 1] += 1;
        }
        let mut sum = 0;
        for place in &mut self.places {
            sum += *place;
            *place = sum;
        }
        self.order.resize(self.samples.len(), 0);
        for (i, s) in self.samples.iter().enumerate() {
            let place = &mut self.places[s.series as usize / PAGE_SERIES];
            self.order[*place as usize] = i as u32;
            *place += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Labels, SeriesId, TimeRange};

    #[test]
    fn it_is_as_if_samples_had_not_waited() {
        let heads = [false, true].map(|is_waiting| {
            let (mut head, mut backlog) = (Head::new(7_200_000), Backlog::default());
            for id in 0..1500 {
                let text = id.to_string();
                head.insert(SeriesId(id), &Labels::from_pairs([("id", text.as_str())]).unwrap()).unwrap();
            }
            // Late ones and conflicts among them, and pages out of order.
            for i in 0..10_000u32 {
                let (series, t, v) = (i * 7919 % 1500, i64::from(i) * 5077 % 40_000, f64::from(i % 3));
                if is_waiting {
                    backlog.push(&mut head, series, t, v);
                } else {
                    head.push(series, t, v);
                }
            }
            backlog.apply(&mut head);
            backlog.apply(&mut head);
            head
        });
        let samples = |head: &Head, series| {
            let chunks = head.snapshot(series, TimeRange::ALL).unwrap().chunks;
            chunks.iter().map(|c| (c.min_t, c.max_t, c.count, c.bytes.to_vec())).collect::<Vec<_>>()
        };
        assert!((0..1500).all(|series| samples(&heads[0], series) == samples(&heads[1], series)));
        let counts = |head: &Head| (head.sample_count(), head.chunk_count(), head.range(), head.fresh_min);
        assert_eq!(counts(&heads[0]), counts(&heads[1]));
    }
}
