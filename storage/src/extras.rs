//! Exemplars and metadata on their way into the log and the head.
//!
//! Here: the public calls. Elsewhere: the rules (`exemplar`, `metadata`), reading them back at open (`wal::replay`).
//!
//! Invariant: what is shown was logged before; what was refused or known already is not logged.

use std::sync::Arc;

use crate::db::lock;
use crate::exemplar::{ExemplarVerdict, ExemplarsAppended};
use crate::index::SeriesRef;
use crate::metadata::{MetadataAppended, MetadataVerdict};
use crate::wal::record::{Record, WalExemplar, WalMetadata};
use crate::{AppendError, Db, Durability, Exemplar, Labels, Matcher, MetricMetadata, SeriesId, TimeRange};

/// So many exemplars or descriptions go into one record.
const RECORD_ITEMS: usize = 4096;

impl Db {
    /// Stores exemplars of series that exist: WAL first, then visible. What the rules refuse is counted.
    pub fn append_exemplars(
        &self,
        exemplars: &[(Labels, Exemplar)],
        durability: Durability,
    ) -> Result<ExemplarsAppended, AppendError> {
        let mut done = ExemplarsAppended::default();
        for portion in exemplars.chunks(RECORD_ITEMS) {
            self.append_exemplar_record(portion, &mut done)?;
        }
        self.sync_if(durability)?;
        Ok(done)
    }

    /// The same by the ids that an append gave; those that are not known (any more) are counted.
    pub fn append_exemplars_by_id(
        &self,
        exemplars: Vec<(SeriesId, Exemplar)>,
        durability: Durability,
    ) -> Result<ExemplarsAppended, AppendError> {
        let mut unknown = 0;
        let named: Vec<(Labels, Exemplar)> = {
            let head = self.head();
            let labels = |id| head.resolve(id).and_then(|series| head.labels(series));
            let named = exemplars.into_iter().filter_map(|(id, exemplar)| match labels(id) {
                Some(labels) => Some((labels, exemplar)),
                None => {
                    unknown += 1;
                    None
                }
            });
            named.collect()
        };
        let mut done = self.append_exemplars(&named, durability)?;
        done.unknown_series += unknown;
        Ok(done)
    }

    fn append_exemplar_record(
        &self,
        exemplars: &[(Labels, Exemplar)],
        done: &mut ExemplarsAppended,
    ) -> Result<(), AppendError> {
        let mut writer = lock(&self.writer);
        let mut planned: Vec<(SeriesRef, &(Labels, Exemplar))> = Vec::new();
        {
            let head = self.head();
            for entry in exemplars {
                match (head.find(&entry.0), head.exemplars().check(&entry.0, &entry.1)) {
                    (None, _) => done.unknown_series += 1,
                    (Some(series), ExemplarVerdict::Accept) => planned.push((series, entry)),
                    (Some(_), verdict) => done.count(verdict),
                }
            }
        }
        if planned.is_empty() {
            return Ok(());
        }
        let record = |(series, (_, e)): &(SeriesRef, &(Labels, Exemplar))| WalExemplar {
            id: u64::from(*series),
            t: e.t,
            v: e.v,
            labels: e.labels.clone(),
        };
        let records: Vec<WalExemplar> = planned.iter().map(record).collect();
        self.wal.append_record(&mut writer.log, Record::Exemplars(&records))?;
        let mut head = self.head_mut();
        for (_, (labels, exemplar)) in planned {
            head.exemplars_mut().push(labels, exemplar.clone(), done);
        }
        Ok(())
    }

    /// Exemplars in `range` of the series that satisfy all matchers of one of the `sets`, sorted by labels, then time.
    pub fn exemplars(&self, sets: &[Vec<Matcher>], range: TimeRange) -> Vec<(Labels, Vec<Exemplar>)> {
        self.head().exemplars().select(sets, range)
    }

    /// Exemplars stored now, and how many series have any.
    pub fn exemplar_count(&self) -> (usize, usize) {
        let head = self.head();
        (head.exemplars().len(), head.exemplars().series_count())
    }

    /// Stores what metrics mean: WAL first, then visible. Only what is new is written.
    pub fn append_metadata(
        &self,
        told: &[(String, MetricMetadata)],
        durability: Durability,
    ) -> Result<MetadataAppended, AppendError> {
        let mut done = MetadataAppended::default();
        for portion in told.chunks(RECORD_ITEMS) {
            self.append_metadata_record(portion, &mut done)?;
        }
        self.sync_if(durability)?;
        Ok(done)
    }

    fn append_metadata_record(
        &self,
        told: &[(String, MetricMetadata)],
        done: &mut MetadataAppended,
    ) -> Result<(), AppendError> {
        let mut writer = lock(&self.writer);
        let mut planned: Vec<&(String, MetricMetadata)> = Vec::new();
        {
            let head = self.head();
            for entry in told {
                match head.metadata().check(&entry.0, &entry.1) {
                    MetadataVerdict::Change => planned.push(entry),
                    verdict => done.count(verdict),
                }
            }
        }
        if planned.is_empty() {
            return Ok(());
        }
        let records: Vec<WalMetadata<&str>> = planned
            .iter()
            .map(|(metric, m)| WalMetadata { metric: metric.as_str(), kind: &*m.kind, help: &*m.help, unit: &*m.unit })
            .collect();
        self.wal.append_record(&mut writer.log, Record::Metadata(&records))?;
        let mut head = self.head_mut();
        for (metric, meaning) in planned {
            head.metadata_mut().set(metric, meaning.clone(), done);
        }
        Ok(())
    }

    /// What metrics mean, in order of name; with `metric` only that one.
    pub fn metadata(&self, metric: Option<&str>) -> Vec<(Arc<str>, MetricMetadata)> {
        self.head().metadata().list(metric)
    }

    fn sync_if(&self, durability: Durability) -> Result<(), AppendError> {
        match durability {
            Durability::Synced => self.sync(),
            Durability::Written => Ok(()),
        }
    }
}
