//! Replay: from segments back to the head.
//!
//! Here: reading all segments at open, naming damage, cutting a torn tail.
//! Elsewhere: the walk over bytes (`wal::scan`), where replay begins (`snapshot`).
//!
//! Invariant: the head after snapshot and replay is the head before the stop, perhaps with samples that blocks hold,
//! too; nothing is invented. Records that the snapshot shows already change nothing.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::ahead::Ahead;
use super::record::{Blob, Decoded, WalSample};
use super::scan::{Header, Piece, VERSION, decode_header, scan};
use super::starts::StartsRead;
use super::{Segment, segment_name};
use crate::damage::DamageLog;
use crate::fs::{AtPath, Fs};
use crate::head::Head;
use crate::head::backlog::Backlog;
use crate::head::lookup::Lookup;
use crate::head::table::PAGE_SERIES;
use crate::histogram::blobs;
use crate::index::SeriesRef;
use crate::{Exemplar, ExemplarsAppended, Labels, MetadataAppended, MetricMetadata, OpenError, SeriesId, TimeRange};

/// Where replay begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Start {
    /// The first segment to be read.
    pub(crate) segment: u64,
    /// The number of the first record in it; `None` if nobody knows.
    pub(crate) next_seq: Option<u64>,
}

/// What replay found besides the head.
#[derive(Debug, Default)]
pub(crate) struct Replayed {
    /// Segments on disk, oldest first.
    pub(crate) segments: Vec<Segment>,
    /// The next segment's number.
    pub(crate) next_number: u64,
    /// The next record's number.
    pub(crate) next_seq: u64,
    /// Bytes cut from the end.
    pub(crate) torn_bytes: u64,
    /// Samples read.
    pub(crate) samples: u64,
    /// Samples of series whose labels are lost.
    pub(crate) orphans: u64,
}

/// Adds to `head` what the log in `dir` has from `start` on. `numbers` are its segments, rising.
pub(crate) fn replay(
    fs: &Arc<dyn Fs>,
    dir: &Path,
    numbers: &[u64],
    head: &mut Head,
    start: Start,
    damage: &DamageLog,
) -> Result<Replayed, OpenError> {
    let mut run = Run {
        fs: fs.as_ref(),
        head,
        expected_seq: start.next_seq,
        aliases: FxHashMap::default(),
        lookup: Lookup::default(),
        backlog: Backlog::default(),
        full_page: None,
        times: None,
        notes: Vec::new(),
        damage,
        out: Replayed::default(),
        ids_seen: 0,
        starts: StartsRead::default(),
    };
    let mut ahead = Ahead::new().at(dir)?;
    run.out.next_number = numbers.last().map_or(1, |last| last + 1).max(start.segment);
    run.out.next_seq = start.next_seq.unwrap_or(0);
    for (i, &number) in numbers.iter().enumerate() {
        run.segment(&mut ahead, dir, number, number >= start.segment, i + 1 == numbers.len())?;
    }
    Ok(run.finish())
}

/// Numbers of the segments in `dir`, rising; files with other names are passed over.
pub(crate) fn list_segments(fs: &dyn Fs, dir: &Path) -> Result<Vec<u64>, OpenError> {
    let entries = fs.list(dir).at(dir)?.into_iter().filter(|entry| !entry.is_dir);
    let mut found: Vec<u64> =
        entries.filter_map(|entry| entry.name.strip_suffix(".wal").and_then(|n| n.parse().ok())).collect();
    found.sort_unstable();
    Ok(found)
}

pub(super) struct Run<'a> {
    fs: &'a dyn Fs,
    pub(super) head: &'a mut Head,
    expected_seq: Option<u64>,
    /// Numbers in the log that are not the numbers in the head.
    aliases: FxHashMap<u64, SeriesRef>,
    lookup: Lookup,
    /// Samples that are judged but not yet in the head.
    backlog: Backlog,
    /// A page of the head of which all numbers are in use; nothing is removed while the log is replayed.
    full_page: Option<u64>,
    /// Times seen in the log: where damage may have cost something.
    times: Option<(i64, i64)>,
    notes: Vec<String>,
    damage: &'a DamageLog,
    out: Replayed,
    ids_seen: u64,
    pub(super) starts: StartsRead,
}

impl Run<'_> {
    /// Reads a segment; of one before the start only its length.
    fn segment(
        &mut self,
        ahead: &mut Ahead,
        dir: &Path,
        number: u64,
        is_read: bool,
        is_last: bool,
    ) -> Result<(), OpenError> {
        let path = dir.join(segment_name(number));
        let map = self.fs.map(&path).at(&path)?;
        let bytes = map.bytes();
        let mut segment = Segment { number, bytes: bytes.len() as u64 };
        if !is_read {
            self.out.segments.push(segment);
            return Ok(());
        }
        let mut torn = None;
        if let Some(header) = self.header(&path, number, bytes)? {
            let mut pieces = Vec::new();
            scan(bytes, header.salt, |piece| pieces.push(piece));
            self.starts.segment = number;
            ahead.segment(&pieces, |piece, decoded| match piece {
                Piece::Record { seq, payload } => {
                    self.follow(seq, &path);
                    self.record(decoded, payload.len(), &path);
                }
                Piece::Damaged { offset, bytes: len } => self.set_aside(&path, bytes, offset, len),
                Piece::Tail { offset, bytes: len } => {
                    self.set_aside(&path, bytes, offset, len);
                    torn = is_last.then_some((offset as u64, len as u64));
                }
            });
        }
        drop(map);
        if let Some((offset, len)) = torn {
            self.fs.open_write(&path).and_then(|file| file.set_len(offset)).at(&path)?;
            segment.bytes = offset;
            self.out.torn_bytes += len;
        }
        self.out.segments.push(segment);
        Ok(())
    }

    /// The segment's header; `None` (and said) if neither copy can be read.
    fn header(&mut self, path: &Path, number: u64, bytes: &[u8]) -> Result<Option<Header>, OpenError> {
        match decode_header(bytes) {
            // A copy of another one, which may be there as well.
            Some((header, _)) if header.version == VERSION && header.number != number => {
                self.note(format!(
                    "{}: this is segment {}, not {number}; it is not read",
                    path.display(),
                    header.number
                ));
                self.set_aside(path, bytes, 0, bytes.len());
                Ok(None)
            }
            Some((header, _)) if header.version != VERSION => {
                Err(OpenError::Version { path: path.to_owned(), found: header.version, known: VERSION })
            }
            Some((header, is_whole)) => {
                if !is_whole {
                    self.note(format!(
                        "{}: one of two copies of the header is damaged; nothing is lost",
                        path.display()
                    ));
                }
                Ok(Some(header))
            }
            None => {
                // A segment is empty between its creation and its header; a longer one without header is damage.
                if !bytes.is_empty() {
                    self.set_aside(path, bytes, 0, bytes.len());
                }
                Ok(None)
            }
        }
    }

    /// Notices records that are missing without a trace: a segment removed or cut short.
    fn follow(&mut self, seq: u64, path: &Path) {
        if let Some(expected) = self.expected_seq
            && seq > expected
        {
            self.doubt_starts();
            self.note(format!("{}: {} records before this point are missing", path.display(), seq - expected));
        }
        let next = seq.saturating_add(1);
        self.expected_seq = Some(next);
        self.out.next_seq = self.out.next_seq.max(next);
    }

    fn record(&mut self, decoded: Option<&Decoded>, len: usize, path: &Path) {
        let Some(decoded) = decoded else {
            self.doubt_starts();
            self.note(format!("{}: a record of {len} bytes cannot be understood; skipped", path.display()));
            return;
        };
        for (id, labels) in &decoded.series {
            self.declare(*id, labels);
        }
        self.note_starts();
        self.starts.waiting.clone_from(&decoded.starts);
        self.doubt_samples(decoded);
        self.samples(&decoded.samples);
        if !decoded.blobs.is_empty() || decoded.delete.is_some() {
            // They ask what else the series has.
            self.backlog.apply(self.head);
        }
        for blob in &decoded.blobs {
            self.histogram(path, blob);
        }
        self.extras(decoded);
        if decoded.lost > 0 {
            self.note(format!(
                "{}: {} samples differ from values in a damaged record and are lost; of series {:?}",
                path.display(),
                decoded.lost,
                decoded.lost_ids
            ));
            self.out.orphans += decoded.lost;
        }
        if let Some(delete) = &decoded.delete {
            let range = TimeRange::new(delete.min_t, delete.max_t.saturating_add(1));
            delete.ids.iter().for_each(|&id| self.delete(id, range));
        }
    }

    fn declare(&mut self, id: SeriesId, labels: &Labels) {
        self.see(id.0);
        let series = match self.lookup.find(self.head, labels) {
            Some(series) => series,
            None => {
                let id = if self.head.resolve(id).is_none() { id } else { self.head.next_id() };
                match self.lookup.insert_last(self.head, id, labels) {
                    Some(series) => series,
                    None => return,
                }
            }
        };
        if u64::from(series) == id.0 {
            self.aliases.remove(&id.0);
        } else {
            self.aliases.insert(id.0, series);
            self.head.starts_mut().begin_anew(series);
        }
    }

    fn samples(&mut self, samples: &[WalSample]) {
        self.out.samples += samples.len() as u64;
        for s in samples {
            self.see(s.id);
            self.times = Some(self.times.map_or((s.t, s.t), |(min, max)| (min.min(s.t), max.max(s.t))));
            match self.series_of_sample(s.id) {
                // A duplicate or conflict was refused the first time, too, or came with the snapshot.
                Some(series) => self.backlog.push(self.head, series, s.t, s.v),
                None => self.out.orphans += 1,
            }
        }
    }

    /// As `series_of`, for many series in a row: those of a full page need not be looked at.
    #[inline]
    fn series_of_sample(&mut self, id: u64) -> Option<SeriesRef> {
        let page = id / PAGE_SERIES as u64;
        if self.full_page == Some(page) && self.aliases.is_empty() {
            return SeriesRef::try_from(id).ok();
        }
        let series = self.series_of(id)?;
        if u64::from(series) == id && self.head.is_page_full(series) {
            self.full_page = Some(page);
        }
        Some(series)
    }

    fn delete(&mut self, id: u64, range: TimeRange) {
        self.see(id);
        let series = self.aliases.get(&id).copied().or_else(|| self.head.resolve(SeriesId(id)));
        if let Some(series) = series {
            self.head.delete(series, range.min_t, range.max_t);
        }
    }

    /// As samples: blocks may hold it, too, and readers merge.
    fn histogram(&mut self, path: &Path, blob: &Blob<Vec<u8>>) {
        self.see(blob.id);
        self.times = Some(self.times.map_or((blob.t, blob.t), |(min, max)| (min.min(blob.t), max.max(blob.t))));
        match (self.series_of(blob.id), blobs::histogram(&blob.bytes)) {
            // A duplicate or conflict was refused the first time, too.
            (Some(series), Some(histogram)) => drop(self.head.push_histogram(series, blob.t, &histogram)),
            (None, _) => self.out.orphans += 1,
            (Some(_), None) => {
                self.note(format!("{}: a histogram at {} cannot be understood; skipped", path.display(), blob.t));
            }
        }
    }

    /// Exemplars and metadata: refusals were counted the first time.
    fn extras(&mut self, decoded: &Decoded) {
        for e in &decoded.exemplars {
            self.see(e.id);
            let labels = self.series_of(e.id).and_then(|series| self.head.labels(series));
            if let Some(labels) = labels {
                let exemplar = Exemplar { labels: e.labels.clone(), t: e.t, v: e.v };
                self.head.exemplars_mut().push(&labels, exemplar, &mut ExemplarsAppended::default());
            }
        }
        for m in &decoded.metadata {
            let meaning = MetricMetadata::new(&m.kind, &m.help, &m.unit);
            self.head.metadata_mut().set(&m.metric, meaning, &mut MetadataAppended::default());
        }
    }

    #[inline]
    pub(super) fn series_of(&self, id: u64) -> Option<SeriesRef> {
        let alias = if self.aliases.is_empty() { None } else { self.aliases.get(&id).copied() };
        alias.or_else(|| self.head.resolve(SeriesId(id)))
    }

    pub(super) fn see(&mut self, id: u64) {
        self.ids_seen = self.ids_seen.max(id.saturating_add(1));
    }

    fn set_aside(&mut self, path: &Path, bytes: &[u8], offset: usize, len: usize) {
        let name = path.file_name().map(PathBuf::from).unwrap_or_default();
        let copy = format!("{}-at-{offset}", name.display());
        self.damage.keep_copy(&copy, bytes.get(offset..offset + len).unwrap_or_default());
        self.doubt_starts();
        // What follows is not missing without a trace.
        self.expected_seq = None;
        self.note(format!(
            "{}: {len} bytes at {offset} are no whole record; skipped, copy in quarantine/{copy}",
            path.display()
        ));
    }

    fn note(&mut self, text: String) {
        self.notes.push(text);
    }

    fn finish(mut self) -> Replayed {
        self.note_starts();
        self.backlog.apply(self.head);
        if self.out.orphans > 0 {
            let text =
                format!("{} samples in the WAL need labels or values that were in a damaged record", self.out.orphans);
            self.note(text);
        }
        let (min_t, max_t) = self.times.unwrap_or((i64::MIN, i64::MAX - 1));
        for text in std::mem::take(&mut self.notes) {
            self.damage.add(TimeRange::new(min_t, max_t + 1), text);
        }
        // Numbers seen only in samples count, too: a lost series' samples must never become another's.
        self.head.skip_ids(self.ids_seen.min(u64::from(u32::MAX)));
        self.out
    }
}
