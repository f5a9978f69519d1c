//! WAL records: what each kind holds.
//!
//! Here: the payloads, their encoder and decoder, and the frame around them.
//! Elsewhere: values (`wal::values`), ids and times (`wal::runs`), label sets (`wal::names`), compression (`wal::pack`),
//! files (`wal`), walking them after a crash (`wal::scan`), the tables (`FORMAT.md`).
//!
//! Invariant: a record says everything about its contents but the values that its samples differ from, and those are
//! in the same segment. Encoder and decoder must see the same records of a segment in the same order.

use std::io;

use self::starts::{put_starts, read_starts};
use super::names::{KnownTexts, Texts};
use super::pack::{Packer, Unpacker};
use super::runs::{put_ids, put_times, read_ids, read_times};
use super::values::{Rests, ValueBases, ValueReader, ValueWriter, check_bits};
use crate::bytes::{Reader, put_signed, put_str, put_varint};
use crate::starts::WalStarts;
use crate::{Labels, SeriesId};

/// First bytes of every frame, chosen to be no UTF-8.
pub(crate) const MARKER: [u8; 4] = [0xC4, 0x17, 0xFE, 0xED];
/// Marker, payload length, sequence number, payload checksum, header checksum.
pub(crate) const FRAME_BYTES: usize = 24;
/// Payload kind: a batch of new series and samples.
pub(crate) const KIND_BATCH: u8 = 1;
/// Payload kind: samples deleted from series.
pub(crate) const KIND_DELETE: u8 = 2;
/// Payload kind: samples that are bytes (native histograms).
pub(crate) const KIND_BLOBS: u8 = 3;
/// Payload kind: exemplars.
pub(crate) const KIND_EXEMPLARS: u8 = 4;
/// Payload kind: what metrics mean.
pub(crate) const KIND_METADATA: u8 = 5;
/// Payload kind: start timestamps of the samples in the record after it.
pub(crate) const KIND_STARTS: u8 = 6;
/// So many samples share one check of the values that they differ from.
pub(crate) const GROUP_SAMPLES: usize = 256;
/// Ids of series with lost samples that are told; a message names only a few.
pub(crate) const LOST_IDS_MAX: usize = 64;

/// A sample on its way into the log and the head.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct WalSample {
    /// The series.
    pub(crate) id: u64,
    /// Milliseconds.
    pub(crate) t: i64,
    /// Value.
    pub(crate) v: f64,
}

/// Samples of series that are gone. A place in the log is a moment: what is logged later is not touched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Delete {
    /// The series.
    pub(crate) ids: Vec<u64>,
    /// First millisecond.
    pub(crate) min_t: i64,
    /// Last millisecond, itself included, so that all of time can be said.
    pub(crate) max_t: i64,
}

/// A sample that is bytes to this module: `Blob<&[u8]>` on the way in, `Blob<Vec<u8>>` on the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Blob<B> {
    /// The series.
    pub(crate) id: u64,
    /// Milliseconds.
    pub(crate) t: i64,
    /// The sample.
    pub(crate) bytes: B,
}

/// An exemplar of a series.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct WalExemplar {
    /// The series.
    pub(crate) id: u64,
    /// Milliseconds.
    pub(crate) t: i64,
    /// Value.
    pub(crate) v: f64,
    /// Its own labels (a trace's id).
    pub(crate) labels: Labels,
}

/// What a metric means: `WalMetadata<&str>` on the way in, `WalMetadata<String>` on the way out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WalMetadata<S> {
    /// The metric's name.
    pub(crate) metric: S,
    /// Counter, gauge, …
    pub(crate) kind: S,
    /// In words.
    pub(crate) help: S,
    /// Unit of its values.
    pub(crate) unit: S,
}

/// A record that is no batch.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Record<'a> {
    /// See [`Delete`].
    Delete(&'a Delete),
    /// See [`Blob`].
    Blobs(&'a [Blob<&'a [u8]>]),
    /// See [`WalExemplar`].
    Exemplars(&'a [WalExemplar]),
    /// See [`WalMetadata`].
    Metadata(&'a [WalMetadata<&'a str>]),
    /// See [`WalStarts`].
    Starts(&'a WalStarts),
}

/// A decoded payload; what its kind does not have is empty. Keep and reuse it.
#[derive(Debug, Default)]
pub(crate) struct Decoded {
    /// Series named for the first time.
    pub(crate) series: Vec<(SeriesId, Labels)>,
    /// Samples in batch order.
    pub(crate) samples: Vec<WalSample>,
    /// Samples of this record that differ from values that were in a damaged record.
    pub(crate) lost: u64,
    /// Their series, at most [`LOST_IDS_MAX`].
    pub(crate) lost_ids: Vec<u64>,
    /// A deletion.
    pub(crate) delete: Option<Delete>,
    /// Native histograms.
    pub(crate) blobs: Vec<Blob<Vec<u8>>>,
    /// Exemplars.
    pub(crate) exemplars: Vec<WalExemplar>,
    /// What metrics mean.
    pub(crate) metadata: Vec<WalMetadata<String>>,
    /// Start timestamps.
    pub(crate) starts: WalStarts,
}

impl Decoded {
    fn clear(&mut self) {
        self.series.clear();
        self.samples.clear();
        self.lost = 0;
        self.lost_ids.clear();
        self.delete = None;
        self.blobs.clear();
        self.exemplars.clear();
        self.metadata.clear();
        self.starts.holding.clear();
        self.starts.single.clear();
    }

    fn lose(&mut self, id: u64) {
        self.lost += 1;
        if self.lost_ids.len() < LOST_IDS_MAX && !self.lost_ids.contains(&id) {
            self.lost_ids.push(id);
        }
    }
}

/// Makes frames. Its memory is kept from record to record: once warm it allocates nothing.
#[derive(Debug)]
pub(crate) struct Encoder {
    bases: ValueBases,
    texts: Texts,
    packer: Packer,
    columns: Vec<u8>,
    wide: Vec<u8>,
}

impl Encoder {
    /// An encoder at the beginning of a segment; an error means that there is no memory for it.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Encoder {
            bases: ValueBases::default(),
            texts: Texts::default(),
            packer: Packer::new()?,
            columns: Vec::new(),
            wide: Vec::new(),
        })
    }

    /// Says that the next record begins a segment, or that the last one is not in it.
    pub(crate) fn clear(&mut self) {
        self.bases.clear();
    }

    /// Appends a frame with a batch to `out`.
    pub(crate) fn put_batch<'a>(
        &mut self,
        out: &mut Vec<u8>,
        (salt, seq): (u64, u64),
        series: impl ExactSizeIterator<Item = (SeriesId, &'a Labels)> + Clone,
        samples: &[WalSample],
    ) {
        self.columns.clear();
        self.wide.clear();
        put_varint(&mut self.columns, series.len() as u64);
        put_ids(&mut self.columns, series.clone().map(|(id, _)| id.0));
        self.texts.begin();
        let mut last = None;
        for (_, labels) in series {
            self.texts.put_labels(&mut self.columns, labels, last);
            last = Some(labels);
        }
        put_varint(&mut self.columns, samples.len() as u64);
        put_ids(&mut self.columns, samples.iter().map(|s| s.id));
        put_times(&mut self.columns, samples.iter().map(|s| s.t));
        self.put_values(samples);
        self.put_frame(out, salt, seq, KIND_BATCH);
    }

    fn put_values(&mut self, samples: &[WalSample]) {
        let mut writer = ValueWriter { codes: &mut self.columns, wide: &mut self.wide, check: 0 };
        for group in samples.chunks(GROUP_SAMPLES) {
            writer.check = 0;
            for s in group {
                self.bases.put_value(s.id, s.v, &mut writer);
            }
            writer.wide.extend_from_slice(&check_bits(writer.check).to_le_bytes());
        }
    }

    /// Appends a frame with a record of another kind to `out`.
    pub(crate) fn put_record(&mut self, out: &mut Vec<u8>, (salt, seq): (u64, u64), record: Record<'_>) {
        self.columns.clear();
        self.wide.clear();
        let columns = &mut self.columns;
        let kind = match record {
            Record::Delete(delete) => {
                put_signed(columns, delete.min_t);
                put_signed(columns, delete.max_t);
                put_varint(columns, delete.ids.len() as u64);
                put_ids(columns, delete.ids.iter().copied());
                KIND_DELETE
            }
            Record::Blobs(blobs) => {
                put_varint(columns, blobs.len() as u64);
                put_ids(columns, blobs.iter().map(|b| b.id));
                put_times(columns, blobs.iter().map(|b| b.t));
                for blob in blobs {
                    put_varint(columns, blob.bytes.len() as u64);
                    self.wide.extend_from_slice(blob.bytes);
                }
                KIND_BLOBS
            }
            Record::Exemplars(exemplars) => {
                self.put_exemplars(exemplars);
                KIND_EXEMPLARS
            }
            Record::Metadata(metadata) => {
                put_varint(columns, metadata.len() as u64);
                for m in metadata {
                    [m.metric, m.kind, m.help, m.unit].iter().for_each(|text| put_str(columns, text));
                }
                KIND_METADATA
            }
            Record::Starts(starts) => {
                [&starts.holding, &starts.single].iter().for_each(|list| put_starts(columns, list));
                KIND_STARTS
            }
        };
        self.put_frame(out, salt, seq, kind);
    }

    fn put_exemplars(&mut self, exemplars: &[WalExemplar]) {
        put_varint(&mut self.columns, exemplars.len() as u64);
        put_ids(&mut self.columns, exemplars.iter().map(|e| e.id));
        put_times(&mut self.columns, exemplars.iter().map(|e| e.t));
        self.texts.begin();
        let mut last = None;
        for e in exemplars {
            self.wide.extend_from_slice(&e.v.to_bits().to_le_bytes());
            self.texts.put_labels(&mut self.columns, &e.labels, last);
            last = Some(&e.labels);
        }
    }

    /// Frames the two sections.
    fn put_frame(&mut self, out: &mut Vec<u8>, salt: u64, seq: u64, kind: u8) {
        let start = out.len();
        out.resize(start + FRAME_BYTES, 0);
        out.push(kind);
        self.packer.put_section(out, &self.columns);
        self.packer.put_section(out, &self.wide);
        seal_frame(&mut out[start..], salt, seq);
    }
}

/// Fills in the header of a frame whose payload is complete.
pub(crate) fn seal_frame(frame: &mut [u8], salt: u64, seq: u64) {
    let len = u32::try_from(frame.len() - FRAME_BYTES).expect("a batch is limited far below 4 GiB by its caller");
    let crc = crc32fast::hash(&frame[FRAME_BYTES..]);
    frame[..4].copy_from_slice(&MARKER);
    frame[4..8].copy_from_slice(&len.to_le_bytes());
    frame[8..16].copy_from_slice(&seq.to_le_bytes());
    frame[16..20].copy_from_slice(&crc.to_le_bytes());
    let header = header_crc(salt, &frame[..20]);
    frame[20..24].copy_from_slice(&header.to_le_bytes());
}

/// Checksum of a frame's header. The segment's salt is part of it, so that a label value that looks like a frame
/// is not taken for one when the walk resynchronises.
pub(crate) fn header_crc(salt: u64, header: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&salt.to_le_bytes());
    hasher.update(header);
    hasher.finalize()
}

/// Reads payloads, in the order in which they were written.
#[derive(Debug)]
pub(crate) struct Decoder {
    bases: ValueBases,
    unpacker: Unpacker,
    /// The number that the next record has if none is missing.
    next_seq: Option<u64>,
    columns: Vec<u8>,
    wide: Vec<u8>,
    /// What each sample of the group being read rests on.
    rests: Vec<Rests>,
}

impl Decoder {
    /// A decoder at the beginning of a segment; an error means that there is no memory for it.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Decoder {
            bases: ValueBases::default(),
            unpacker: Unpacker::new()?,
            next_seq: None,
            columns: Vec::new(),
            wide: Vec::new(),
            rests: Vec::new(),
        })
    }

    /// Says that the next record begins a segment.
    pub(crate) fn clear(&mut self) {
        self.bases.clear();
        self.next_seq = None;
    }

    /// Decodes a payload into `out`, replacing what is there. `None` if it is not a valid one; then `out` is undefined.
    /// That records are missing before it is noticed by its number.
    pub(crate) fn decode(&mut self, seq: u64, payload: &[u8], out: &mut Decoded) -> Option<()> {
        out.clear();
        if self.next_seq.is_some_and(|next| next != seq) {
            self.bases.doubt();
        }
        self.next_seq = Some(seq.wrapping_add(1));
        let (mut columns, mut wide) = (std::mem::take(&mut self.columns), std::mem::take(&mut self.wide));
        let done = self.decode_sections(payload, (&mut columns, &mut wide), out);
        (self.columns, self.wide) = (columns, wide);
        if done.is_none() {
            // What it would have said about its series is not known.
            self.next_seq = Some(seq);
            self.bases.doubt();
        }
        done
    }

    fn decode_sections(
        &mut self,
        payload: &[u8],
        (columns, wide): (&mut Vec<u8>, &mut Vec<u8>),
        out: &mut Decoded,
    ) -> Option<()> {
        let mut r = Reader::new(payload);
        let kind = r.u8()?;
        let mut columns = Reader::new(self.unpacker.section(&mut r, columns)?);
        let mut wide = Reader::new(self.unpacker.section(&mut r, wide)?);
        r.is_at_end().then_some(())?;
        let (columns, wide) = (&mut columns, &mut wide);
        match kind {
            KIND_BATCH => self.read_batch(columns, wide, out)?,
            KIND_DELETE => out.delete = Some(read_delete(columns)?),
            KIND_BLOBS => read_blobs(columns, wide, &mut out.blobs)?,
            KIND_EXEMPLARS => read_exemplars(columns, wide, &mut out.exemplars)?,
            KIND_METADATA => read_metadata(columns, &mut out.metadata)?,
            KIND_STARTS => {
                read_starts(columns, &mut out.starts.holding)?;
                read_starts(columns, &mut out.starts.single)?;
            }
            _ => return None,
        }
        (columns.is_at_end() && wide.is_at_end()).then_some(())
    }

    fn read_batch<'a>(&mut self, columns: &mut Reader<'a>, wide: &mut Reader<'a>, out: &mut Decoded) -> Option<()> {
        let count = columns.count(1)?;
        let mut ids = Vec::with_capacity(count);
        read_ids(columns, count, |id| ids.push(SeriesId(id)))?;
        let mut texts = KnownTexts::default();
        for id in ids {
            out.series.push((id, texts.read_labels(columns)?));
        }
        // Each sample has a code.
        let count = columns.count(1)?;
        out.samples.reserve(count);
        read_ids(columns, count, |id| out.samples.push(WalSample { id, t: 0, v: 0.0 }))?;
        let mut samples = out.samples.iter_mut();
        read_times(columns, count, |t| {
            if let Some(s) = samples.next() {
                s.t = t;
            }
        })?;
        self.read_values(columns, wide, out)
    }

    fn read_values<'a>(&mut self, columns: &mut Reader<'a>, wide: &mut Reader<'a>, out: &mut Decoded) -> Option<()> {
        let mut reader = ValueReader { codes: columns.clone(), wide: wide.clone(), check: 0 };
        let mut samples = std::mem::take(&mut out.samples);
        let mut kept = 0;
        for start in (0..samples.len()).step_by(GROUP_SAMPLES) {
            let end = samples.len().min(start + GROUP_SAMPLES);
            let verdict = self.read_group(&mut samples[start..end], &mut reader)?;
            if verdict == Group::Whole && kept == start {
                kept = end;
                continue;
            }
            for i in start..end {
                if self.settle(verdict, self.rests[i - start], samples[i].id) {
                    samples[kept] = samples[i];
                    kept += 1;
                } else {
                    out.lose(samples[i].id);
                }
            }
        }
        samples.truncate(kept);
        out.samples = samples;
        (*columns, *wide) = (reader.codes, reader.wide);
        Some(())
    }

    /// Reads one group's values, and what its check says of them.
    fn read_group(&mut self, group: &mut [WalSample], reader: &mut ValueReader<'_>) -> Option<Group> {
        reader.check = 0;
        self.rests.clear();
        let (mut unsure, mut baseless) = (false, false);
        for s in group {
            let (v, rests) = self.bases.read_value(s.id, reader)?;
            s.v = v;
            unsure |= rests == Rests::Unsure;
            baseless |= rests == Rests::Nothing;
            self.rests.push(rests);
        }
        let is_proved = reader.wide.u32()? == check_bits(reader.check);
        Some(match (is_proved, unsure || baseless) {
            (true, false) => Group::Whole,
            (true, true) if !baseless => Group::Proved,
            // The doubtful samples explain why the check does not hold: the others stand.
            (_, true) => Group::Partial,
            (false, false) => Group::Wrong,
        })
    }

    /// Whether a sample stands; its series' base follows.
    fn settle(&mut self, verdict: Group, rests: Rests, id: u64) -> bool {
        let stands = match (verdict, rests) {
            (_, Rests::Itself) | (Group::Whole, _) => return true,
            (_, Rests::Nothing) => false,
            (Group::Proved, _) => true,
            (Group::Partial, _) => rests == Rests::Sure,
            (Group::Wrong, _) => false,
        };
        if stands {
            self.bases.confirm(id);
        } else {
            self.bases.give_up(id, verdict == Group::Wrong);
        }
        stands
    }
}

/// What a group's check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Group {
    /// It holds, as it should.
    Whole,
    /// It holds although records are missing: they did not touch these series.
    Proved,
    /// It does not hold, or cannot, since records are missing: samples that rest on what may have changed are lost.
    Partial,
    /// It does not hold for no reason that is known.
    Wrong,
}

fn read_delete(columns: &mut Reader<'_>) -> Option<Delete> {
    let (min_t, max_t) = (columns.signed()?, columns.signed()?);
    let count = usize::try_from(columns.varint()?).ok()?;
    let mut ids = Vec::new();
    // A long run of ids takes few bytes; more than there can be series are none.
    if count > DELETED_MAX {
        return None;
    }
    read_ids(columns, count, |id| ids.push(id))?;
    Some(Delete { ids, min_t, max_t })
}

/// Series in one deletion; its writer makes more records of a longer list.
pub(crate) const DELETED_MAX: usize = 1 << 20;

fn read_blobs(columns: &mut Reader<'_>, wide: &mut Reader<'_>, out: &mut Vec<Blob<Vec<u8>>>) -> Option<()> {
    let count = columns.count(1)?;
    read_ids(columns, count, |id| out.push(Blob { id, t: 0, bytes: Vec::new() }))?;
    let mut blobs = out.iter_mut();
    read_times(columns, count, |t| {
        if let Some(blob) = blobs.next() {
            blob.t = t;
        }
    })?;
    for blob in out {
        let len = usize::try_from(columns.varint()?).ok()?;
        blob.bytes = wide.bytes(len)?.to_vec();
    }
    Some(())
}

fn read_exemplars(columns: &mut Reader<'_>, wide: &mut Reader<'_>, out: &mut Vec<WalExemplar>) -> Option<()> {
    let count = columns.count(1)?;
    read_ids(columns, count, |id| out.push(WalExemplar { id, t: 0, v: 0.0, labels: Labels::empty() }))?;
    let mut exemplars = out.iter_mut();
    read_times(columns, count, |t| {
        if let Some(e) = exemplars.next() {
            e.t = t;
        }
    })?;
    let mut texts = KnownTexts::default();
    for e in out {
        e.v = f64::from_bits(wide.u64()?);
        e.labels = texts.read_labels(columns)?;
    }
    Some(())
}

fn read_metadata(columns: &mut Reader<'_>, out: &mut Vec<WalMetadata<String>>) -> Option<()> {
    for _ in 0..columns.count(4)? {
        let mut text = || columns.str().map(str::to_owned);
        out.push(WalMetadata { metric: text()?, kind: text()?, help: text()?, unit: text()? });
    }
    Some(())
}

mod starts;
#[cfg(test)]
mod tests;
