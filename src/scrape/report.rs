//! The series about a scrape: `up` and `scrape_*`, one sample each per scrape, whatever came of it.

use std::time::Duration;

use storage::{Appended, Batch, Labels, LabelsBuilder, METRIC_NAME, RefuseReason, SeriesId, stale_nan};

use super::page::PageCounts;

const NAMES: [&str; 5] = [
    "up",
    "scrape_duration_seconds",
    "scrape_samples_scraped",
    "scrape_samples_post_metric_relabeling",
    "scrape_series_added",
];

/// One target's report series; owned by its loop.
#[derive(Debug)]
pub(crate) struct Report {
    series: [(Labels, Option<SeriesId>); NAMES.len()],
    /// Where in the batch its samples begin.
    first_index: usize,
}

impl Report {
    pub(crate) fn new(target_labels: &Labels) -> Self {
        let series = NAMES.map(|name| {
            let mut labels = LabelsBuilder::from_labels(target_labels);
            labels.set(METRIC_NAME, name);
            (labels.build(), None)
        });
        Report { series, first_index: 0 }
    }

    /// Adds the samples of one scrape.
    pub(crate) fn push(&mut self, batch: &mut Batch, t: i64, is_up: bool, took: Duration, counts: PageCounts) {
        let values = [
            f64::from(u8::from(is_up)),
            took.as_secs_f64(),
            counts.scraped as f64,
            counts.kept as f64,
            counts.added as f64,
        ];
        self.push_values(batch, t, values);
    }

    /// Adds the markers that end all of them.
    pub(crate) fn push_end(&mut self, batch: &mut Batch, t: i64) {
        self.push_values(batch, t, [stale_nan(); NAMES.len()]);
    }

    fn push_values(&mut self, batch: &mut Batch, t: i64, values: [f64; NAMES.len()]) {
        self.first_index = batch.len();
        for ((labels, id), v) in self.series.iter().zip(values) {
            match id {
                Some(id) => batch.push_known(*id, t, v),
                None => batch.push(labels.clone(), t, v),
            }
        }
    }

    /// Takes the ids of an appended batch; true if the store had forgotten a series, so that the samples have to be
    /// pushed again.
    pub(crate) fn settle(&mut self, batch: &Batch, done: &Appended) -> bool {
        for (index, (_, id)) in self.series.iter_mut().enumerate() {
            *id = batch.id(self.first_index + index);
        }
        let range = self.first_index..self.first_index + NAMES.len();
        let is_forgotten =
            done.refused.iter().any(|r| range.contains(&r.index) && r.reason == RefuseReason::UnknownSeries);
        if is_forgotten {
            self.series.iter_mut().for_each(|(_, id)| *id = None);
        }
        is_forgotten
    }
}
