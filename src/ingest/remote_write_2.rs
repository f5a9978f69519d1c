//! Remote write 2.0: a request whose texts stand once, in a table of symbols.
//!
//! Here: the table, series and samples of `io.prometheus.write.v2.Request`. Elsewhere: histograms, exemplars and metadata
//! of it (`extras`), version 1.0 (`remote_write`), what becomes of either (`ingester`).
//!
//! The labels of a series are written out as version 1.0 has them: so one cache knows a series by the same bytes, whichever
//! version brings it, and everything after this is one lane. What that takes is bounded as a body of version 1.0 is.

use storage::{METRIC_TYPE, METRIC_UNIT, Sample};

use super::extras::{UNKNOWN, kind_of};
use super::remote_write::{REQUEST, SERIES, Series};
use super::{IngestError, WriteLimits};
use crate::wire::{DecodeError, Reader, Wire};

/// The texts of a request, by number.
#[derive(Debug)]
pub(super) struct Symbols<'a> {
    texts: Vec<&'a [u8]>,
}

impl<'a> Symbols<'a> {
    /// Those of a decompressed body, wherever in it they stand.
    pub(super) fn read(body: &'a [u8], limits: &WriteLimits) -> Result<Self, IngestError> {
        let mut texts = Vec::new();
        let mut request = Reader::new(body, REQUEST);
        while let Some((number, wire)) = request.field()? {
            match (number, wire) {
                (4, Wire::Len) if texts.len() >= limits.request_symbols_max => {
                    return Err(IngestError::TooManySymbols { max: limits.request_symbols_max });
                }
                (4, Wire::Len) => texts.push(request.bytes()?),
                (4, _) => return Err(request.wrong_wire("a string").into()),
                _ => request.skip(number, wire)?,
            }
        }
        Ok(Symbols { texts })
    }

    /// The text of a number that `reader` has just read.
    pub(super) fn get(&self, number: u32, reader: &Reader<'_>) -> Result<&'a [u8], DecodeError> {
        self.texts.get(number as usize).copied().ok_or_else(|| reader.wrong_wire("the number of a symbol"))
    }

    /// Names and values of `refs`, in turn.
    pub(super) fn pairs(
        &self,
        refs: &[u32],
        reader: &Reader<'_>,
        out: &mut Vec<(&'a [u8], &'a [u8])>,
    ) -> Result<(), DecodeError> {
        out.clear();
        if !refs.len().is_multiple_of(2) {
            return Err(reader.wrong_wire("names and values of labels in turn"));
        }
        for pair in refs.chunks_exact(2) {
            out.push((self.get(pair[0], reader)?, self.get(pair[1], reader)?));
        }
        Ok(())
    }

    /// What the message of a series says of its metric.
    pub(super) fn metadata(&self, mut message: Reader<'_>) -> Result<Metadata<'a>, DecodeError> {
        let (mut kind, mut help, mut unit) = (0, 0, 0);
        while let Some((number, wire)) = message.field()? {
            match (number, wire) {
                (1, Wire::Varint) => kind = message.varint()?,
                (3, Wire::Varint) => help = message.varint()? as u32,
                (4, Wire::Varint) => unit = message.varint()? as u32,
                (1 | 3 | 4, _) => return Err(message.wrong_wire("a varint")),
                _ => message.skip(number, wire)?,
            }
        }
        Ok(Metadata { kind: kind_of(kind), help: self.get(help, &message)?, unit: self.get(unit, &message)? })
    }
}

/// What a sender says of a metric.
#[derive(Debug, Clone, Copy)]
pub(super) struct Metadata<'a> {
    pub(super) kind: &'static str,
    pub(super) help: &'a [u8],
    pub(super) unit: &'a [u8],
}

impl<'a> Metadata<'a> {
    /// Puts type and unit among the labels of a series, in order and in the place of those that say something else.
    pub(super) fn put_labels(&self, pairs: &mut Vec<(&'a [u8], &'a [u8])>) {
        let kind: &[u8] = if self.kind == UNKNOWN { b"" } else { self.kind.as_bytes() };
        if kind.is_empty() && self.unit.is_empty() {
            return;
        }
        let own = [(METRIC_TYPE.as_bytes(), kind), (METRIC_UNIT.as_bytes(), self.unit)];
        pairs.retain(|(name, _)| own.iter().all(|(own, _)| own != name));
        pairs.extend(own.into_iter().filter(|(_, value)| !value.is_empty()));
        pairs.sort_unstable();
    }
}

/// Numbers of symbols, packed or one by one.
pub(super) fn read_refs(reader: &mut Reader<'_>, wire: Wire, out: &mut Vec<u32>) -> Result<(), DecodeError> {
    // As protobuf says: a number that is too wide loses its high bits.
    match wire {
        Wire::Varint => out.push(reader.varint()? as u32),
        Wire::Len => {
            let mut packed = reader.message("packed numbers")?;
            while !packed.is_at_end() {
                out.push(packed.varint()? as u32);
            }
        }
        _ => return Err(reader.wrong_wire("varints")),
    }
    Ok(())
}

/// Reads the series of a decompressed body one by one.
#[derive(Debug)]
pub struct WriteRequest2Reader<'a> {
    request: Reader<'a>,
    symbols: Symbols<'a>,
    refs: Vec<u32>,
    pairs: Vec<(&'a [u8], &'a [u8])>,
    /// Labels of the series at hand, as version 1.0 has them.
    labels: Vec<u8>,
    /// Bytes of the labels of all series so far, and of how many there may be.
    label_bytes: usize,
    label_bytes_max: usize,
    metadata: u64,
    /// Series get labels of their metric's type and unit.
    has_types: bool,
}

/// Reads the table of a decompressed body. What else is wrong shows while it is read: store nothing before
/// [`WriteRequest2Reader::next`] gave `None`. With `has_types` series get labels of their metric's type and unit, where
/// the sender tells them.
pub fn decode_write_request_2<'a>(
    body: &'a [u8],
    limits: &WriteLimits,
    has_types: bool,
) -> Result<WriteRequest2Reader<'a>, IngestError> {
    Ok(WriteRequest2Reader {
        request: Reader::new(body, REQUEST),
        symbols: Symbols::read(body, limits)?,
        refs: Vec::new(),
        pairs: Vec::new(),
        labels: Vec::new(),
        label_bytes: 0,
        label_bytes_max: limits.body_bytes_max,
        metadata: 0,
        has_types,
    })
}

impl WriteRequest2Reader<'_> {
    /// The next series; its samples and their start timestamps are in `samples` and `starts`, which are emptied first.
    pub fn next<'s>(
        &'s mut self,
        samples: &'s mut Vec<Sample>,
        starts: &'s mut Vec<i64>,
    ) -> Result<Option<Series<'s, 's>>, IngestError> {
        while let Some((number, wire)) = self.request.field()? {
            match (number, wire) {
                (5, Wire::Len) => {
                    let message = self.request.message(SERIES)?;
                    return self.read_series(message, samples, starts).map(Some);
                }
                (5, _) => return Err(self.request.wrong_wire("a message").into()),
                _ => self.request.skip(number, wire)?,
            }
        }
        Ok(None)
    }

    /// Series with metadata met so far.
    pub fn metadata_count(&self) -> u64 {
        self.metadata
    }

    fn read_series<'s>(
        &'s mut self,
        mut reader: Reader<'_>,
        samples: &'s mut Vec<Sample>,
        starts: &'s mut Vec<i64>,
    ) -> Result<Series<'s, 's>, IngestError> {
        samples.clear();
        starts.clear();
        self.refs.clear();
        let (mut exemplars, mut histograms) = (0, 0);
        let mut metadata = None;
        while let Some((number, wire)) = reader.field()? {
            match (number, wire) {
                (1, wire) => read_refs(&mut reader, wire, &mut self.refs)?,
                (2, Wire::Len) => {
                    let (sample, start) = read_sample(reader.message("a sample")?)?;
                    samples.push(sample);
                    starts.push(start);
                }
                (3, Wire::Len) => {
                    reader.bytes()?;
                    histograms += 1;
                }
                (4, Wire::Len) => {
                    reader.bytes()?;
                    exemplars += 1;
                }
                (5, Wire::Len) => metadata = Some(reader.message("metadata")?).filter(|m| !m.is_at_end()),
                (2..=5, _) => return Err(reader.wrong_wire("a message").into()),
                _ => reader.skip(number, wire)?,
            }
        }
        self.metadata += u64::from(metadata.is_some());
        self.symbols.pairs(&self.refs, &reader, &mut self.pairs)?;
        if let Some(message) = metadata.filter(|_| self.has_types) {
            self.symbols.metadata(message)?.put_labels(&mut self.pairs);
        }
        self.labels.clear();
        self.pairs.iter().for_each(|(name, value)| put_label(&mut self.labels, name, value));
        self.label_bytes += self.labels.len();
        if self.label_bytes > self.label_bytes_max {
            return Err(IngestError::TooLarge { bytes: self.label_bytes, max: self.label_bytes_max });
        }
        Ok(Series {
            message: Reader::new(&self.labels, SERIES),
            label_bytes: Some(&self.labels),
            samples,
            starts,
            exemplars,
            histograms,
        })
    }
}

/// A field of labels as version 1.0 has it.
fn put_label(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    let field = |bytes: &[u8]| if bytes.is_empty() { 0 } else { 1 + varint_len(bytes.len()) + bytes.len() };
    out.push(1 << 3 | 2);
    put_varint(out, field(name) + field(value));
    for (number, bytes) in [(1, name), (2, value)] {
        if !bytes.is_empty() {
            out.push(number << 3 | 2);
            put_varint(out, bytes.len());
            out.extend_from_slice(bytes);
        }
    }
}

fn varint_len(n: usize) -> usize {
    (usize::BITS - (n | 1).leading_zeros()).div_ceil(7) as usize
}

fn put_varint(out: &mut Vec<u8>, mut n: usize) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

fn read_sample(mut reader: Reader<'_>) -> Result<(Sample, i64), DecodeError> {
    let (mut sample, mut start) = (Sample { t: 0, v: 0.0 }, 0);
    while let Some((number, wire)) = reader.field()? {
        match (number, wire) {
            (1, Wire::Fixed64) => sample.v = f64::from_bits(reader.fixed64()?),
            (2, Wire::Varint) => sample.t = reader.varint()?.cast_signed(),
            (3, Wire::Varint) => start = reader.varint()?.cast_signed(),
            (1, _) => return Err(reader.wrong_wire("a double")),
            (2 | 3, _) => return Err(reader.wrong_wire("a varint")),
            _ => reader.skip(number, wire)?,
        }
    }
    Ok((sample, start))
}
