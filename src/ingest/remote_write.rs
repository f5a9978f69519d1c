//! Remote write 1.0: from a request's body to series, without copying.
//!
//! Here: which headers it may have, its snappy block, and its protobuf messages (`prometheus.WriteRequest`).
//! Elsewhere: version 2.0 (`remote_write_2`), the bytes of protobuf (`wire`), what becomes of the series (`ingester`), status codes (`api`).
//!
//! A series' labels are not decoded unless someone asks: the ingester knows most of them by their bytes.

use storage::Sample;

use super::{IngestError, WriteLimits};
use crate::wire::{DecodeError, Reader, Wire};

/// Version of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Protocol {
    /// `prometheus.WriteRequest`, remote write 1.0.
    #[default]
    V1,
    /// `io.prometheus.write.v2.Request`, remote write 2.0.
    V2,
}

/// Refuses what is not remote write in a snappy block. Absent headers are taken for version 1.0, as Prometheus does.
pub fn check_headers(content_type: Option<&str>, content_encoding: Option<&str>) -> Result<Protocol, IngestError> {
    let mut parts = content_type.unwrap_or("application/x-protobuf").split(';').map(str::trim);
    let is_protobuf = parts.next().is_some_and(|media| media.eq_ignore_ascii_case("application/x-protobuf"));
    let message = parts.find_map(|part| part.strip_prefix("proto=")).unwrap_or("prometheus.WriteRequest");
    let protocol = match message {
        "prometheus.WriteRequest" if is_protobuf => Protocol::V1,
        "io.prometheus.write.v2.Request" if is_protobuf => Protocol::V2,
        _ => return Err(IngestError::ContentType(content_type.unwrap_or_default().to_owned())),
    };
    match content_encoding.map(str::trim) {
        None | Some("" | "snappy") => Ok(protocol),
        Some(other) => Err(IngestError::ContentEncoding(other.to_owned())),
    }
}

/// Three bytes of a block can stand for 64 at most, so a larger declared size is a lie and not worth the memory.
const UNPACKED_RATIO_MAX: usize = 22;

/// How many bytes a snappy block says that it unpacks to, if that is allowed and can be true.
pub fn unpacked_bytes(body: &[u8], limits: &WriteLimits) -> Result<usize, IngestError> {
    if body.is_empty() {
        return Err(IngestError::Empty);
    }
    let bytes = snap::raw::decompress_len(body).map_err(damaged)?;
    if bytes > limits.body_bytes_max {
        return Err(IngestError::TooLarge { bytes, max: limits.body_bytes_max });
    }
    if bytes > body.len().saturating_mul(UNPACKED_RATIO_MAX) {
        return Err(IngestError::Snappy(format!(
            "it declares {bytes} bytes, more than {} packed bytes can hold",
            body.len()
        )));
    }
    Ok(bytes)
}

/// Unpacks a snappy block into `out` and gives the part of it that was written. The size that the block declares is
/// checked before anything is allocated. `out` only grows: clearing what is overwritten would cost a pass over it.
pub fn decompress<'o>(body: &[u8], limits: &WriteLimits, out: &'o mut Vec<u8>) -> Result<&'o [u8], IngestError> {
    let bytes = unpacked_bytes(body, limits)?;
    if out.len() < bytes {
        out.resize(bytes, 0);
    }
    let written = snap::raw::Decoder::new().decompress(body, out).map_err(damaged)?;
    Ok(&out[..written])
}

fn damaged(error: snap::Error) -> IngestError {
    IngestError::Snappy(error.to_string())
}

/// Reads the series of a decompressed body one by one.
#[derive(Debug, Clone, Copy)]
pub struct WriteRequestReader<'a> {
    request: Reader<'a>,
    metadata: u64,
}

/// One series of a request.
#[derive(Debug)]
pub struct Series<'a, 's> {
    pub(super) message: Reader<'a>,
    /// The bytes of all label fields, if they stand together (every known sender writes them so): equal bytes are equal
    /// labels.
    pub label_bytes: Option<&'a [u8]>,
    /// In the request's order.
    pub samples: &'s [Sample],
    /// Their start timestamps, 0 where one has none; or nothing, as version 1.0 has none.
    pub starts: &'s [i64],
    /// How many exemplars it has; they are not read.
    pub exemplars: u64,
    /// How many native histograms it has; they are not read.
    pub histograms: u64,
}

pub(super) const REQUEST: &str = "the request";
pub(super) const SERIES: &str = "a series";
/// Tag of a series' label.
const LABEL_TAG: u8 = 1 << 3 | 2;

/// Reads a decompressed body. What is wrong shows while it is read: store nothing before [`WriteRequestReader::next`]
/// gave `None`.
pub fn decode_write_request(body: &[u8]) -> WriteRequestReader<'_> {
    WriteRequestReader { request: Reader::new(body, REQUEST), metadata: 0 }
}

impl<'a> WriteRequestReader<'a> {
    /// The next series; its samples are in `samples`, which is emptied first.
    pub fn next<'s>(&mut self, samples: &'s mut Vec<Sample>) -> Result<Option<Series<'a, 's>>, DecodeError> {
        self.next_known(samples, |_| None)
    }

    /// As [`WriteRequestReader::next`], for a caller who may know how a series begins: `known` gets the bytes of its
    /// message and tells how many of them are whole label fields, which then are not read.
    #[inline]
    pub fn next_known<'s>(
        &mut self,
        samples: &'s mut Vec<Sample>,
        known: impl FnOnce(&'a [u8]) -> Option<usize>,
    ) -> Result<Option<Series<'a, 's>>, DecodeError> {
        while let Some((number, wire)) = self.request.field()? {
            match (number, wire) {
                (1, Wire::Len) => return read_series(self.request.message(SERIES)?, samples, known).map(Some),
                (3, Wire::Len) => {
                    read_metadata(self.request.message("metadata")?)?;
                    self.metadata += 1;
                }
                (1 | 3, _) => return Err(self.request.wrong_wire("a message")),
                _ => self.request.skip(number, wire)?,
            }
        }
        Ok(None)
    }

    /// Entries of metadata met so far; they are not read.
    pub fn metadata_count(&self) -> u64 {
        self.metadata
    }
}

#[inline]
fn read_series<'a, 's>(
    message: Reader<'a>,
    samples: &'s mut Vec<Sample>,
    known: impl FnOnce(&'a [u8]) -> Option<usize>,
) -> Result<Series<'a, 's>, DecodeError> {
    samples.clear();
    let mut reader = message;
    let (mut exemplars, mut histograms) = (0, 0);
    // From the first label field to the end of the last; `None` once something stood between two of them.
    let mut span: Option<(usize, usize)> = None;
    let mut is_together = true;
    if let Some(length) = known(message.rest()) {
        reader.go_past(length)?;
        span = Some((message.pos(), reader.pos()));
    }
    loop {
        let start = reader.pos();
        let Some((number, wire)) = reader.field()? else { break };
        match (number, wire) {
            (1, Wire::Len) => {
                reader.bytes()?;
                reader.skip_short(LABEL_TAG);
                is_together &= span.is_none_or(|(_, end)| end == start);
                span = Some((span.map_or(start, |(first, _)| first), reader.pos()));
            }
            (2, Wire::Len) => samples.push(read_sample(reader.message("a sample")?)?),
            (3, Wire::Len) => {
                reader.bytes()?;
                exemplars += 1;
            }
            (4, Wire::Len) => {
                reader.bytes()?;
                histograms += 1;
            }
            (1..=4, _) => return Err(reader.wrong_wire("a message")),
            _ => reader.skip(number, wire)?,
        }
    }
    let bytes_of = |(start, end)| reader.since(start).get(..end - start).unwrap_or(&[]);
    let label_bytes = is_together.then(|| span.map_or(&[][..], bytes_of));
    Ok(Series { message, label_bytes, samples, starts: &[], exemplars, histograms })
}

#[inline]
fn read_sample(reader: Reader<'_>) -> Result<Sample, DecodeError> {
    match read_plain_sample(reader.rest()) {
        Some(sample) => Ok(sample),
        None => read_any_sample(reader),
    }
}

/// Tag of a sample's value and of its time.
const VALUE_TAG: u8 = 1 << 3 | 1;
const TIME_TAG: u8 = 2 << 3;
/// Bytes of a varint that cannot be too large.
const SAFE_VARINT_BYTES: usize = 9;

/// A sample as every known sender writes it: value, then time. `None` if this one is otherwise.
#[inline]
fn read_plain_sample(bytes: &[u8]) -> Option<Sample> {
    // Zeros are left out.
    let (v, rest) = match bytes.split_first()? {
        (&VALUE_TAG, rest) => rest.split_first_chunk::<8>().map(|(v, rest)| (f64::from_le_bytes(*v), rest))?,
        _ => (0.0, bytes),
    };
    let (&TIME_TAG, time) = rest.split_first()? else { return None };
    let (&last, more) = time.split_last()?;
    if last >= 0x80 || more.len() >= SAFE_VARINT_BYTES {
        return None;
    }
    let mut t = u64::from(last);
    for &byte in more.iter().rev() {
        if byte < 0x80 {
            return None;
        }
        t = t << 7 | u64::from(byte & 0x7f);
    }
    Some(Sample { t: t.cast_signed(), v })
}

fn read_any_sample(mut reader: Reader<'_>) -> Result<Sample, DecodeError> {
    let mut sample = Sample { t: 0, v: 0.0 };
    while let Some((number, wire)) = reader.field()? {
        match (number, wire) {
            (1, Wire::Fixed64) => sample.v = f64::from_bits(reader.fixed64()?),
            (2, Wire::Varint) => sample.t = reader.varint()?.cast_signed(),
            (1, _) => return Err(reader.wrong_wire("a double")),
            (2, _) => return Err(reader.wrong_wire("a varint")),
            _ => reader.skip(number, wire)?,
        }
    }
    Ok(sample)
}

/// Only its frame is checked.
fn read_metadata(mut reader: Reader<'_>) -> Result<(), DecodeError> {
    while let Some((number, wire)) = reader.field()? {
        reader.skip(number, wire)?;
    }
    Ok(())
}

impl<'a> Series<'a, '_> {
    /// Appends the labels as they stand to `labels`: names and values are any bytes, in any order.
    pub fn read_labels(&self, labels: &mut Vec<(&'a [u8], &'a [u8])>) -> Result<(), DecodeError> {
        read_labels(self.message, labels)
    }
}

/// Appends the labels of a series' message.
pub(super) fn read_labels<'a>(
    mut series: Reader<'a>,
    labels: &mut Vec<(&'a [u8], &'a [u8])>,
) -> Result<(), DecodeError> {
    while let Some((number, wire)) = series.field()? {
        match (number, wire) {
            (1, Wire::Len) => labels.push(read_label(series.message("a label")?)?),
            _ => series.skip(number, wire)?,
        }
    }
    Ok(())
}

pub(super) fn read_label(mut reader: Reader<'_>) -> Result<(&[u8], &[u8]), DecodeError> {
    let (mut name, mut value) = (&[][..], &[][..]);
    while let Some((number, wire)) = reader.field()? {
        match (number, wire) {
            (1, Wire::Len) => name = reader.bytes()?,
            (2, Wire::Len) => value = reader.bytes()?,
            (1 | 2, _) => return Err(reader.wrong_wire("a string")),
            _ => reader.skip(number, wire)?,
        }
    }
    Ok((name, value))
}
