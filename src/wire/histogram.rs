//! What the messages of native histograms have in common: spans, deltas, counts.
//!
//! Here: these fields. Elsewhere: the messages, which differ in all else (`ingest` and `exposition`).
//!
//! Invariant: of no field is more kept than one entry beyond what a histogram may have.

use storage::{HISTOGRAM_BUCKETS_MAX, Span};

use super::{DecodeError, Reader, Wire};

/// One more than the limit shows that it is broken; memory for all of them is not given.
pub(crate) fn push<T>(list: &mut Vec<T>, item: T) {
    if list.len() <= HISTOGRAM_BUCKETS_MAX {
        list.push(item);
    }
}

pub(crate) fn varint(reader: &mut Reader<'_>, wire: Wire) -> Result<u64, DecodeError> {
    if wire == Wire::Varint { reader.varint() } else { Err(reader.wrong_wire("a varint")) }
}

pub(crate) fn double(reader: &mut Reader<'_>, wire: Wire) -> Result<f64, DecodeError> {
    if wire == Wire::Fixed64 { reader.fixed64().map(f64::from_bits) } else { Err(reader.wrong_wire("a double")) }
}

pub(crate) fn read_span(reader: &mut Reader<'_>, wire: Wire) -> Result<Span, DecodeError> {
    if wire != Wire::Len {
        return Err(reader.wrong_wire("a message"));
    }
    let mut message = reader.message("a span")?;
    let mut span = Span { offset: 0, length: 0 };
    while let Some((number, wire)) = message.field()? {
        match number {
            1 => span.offset = unzigzag32(varint(&mut message, wire)?),
            // As protobuf says: a number that is too wide loses its high bits.
            2 => span.length = varint(&mut message, wire)? as u32,
            _ => message.skip(number, wire)?,
        }
    }
    Ok(span)
}

/// Packed or one by one: readers must take both.
pub(crate) fn read_deltas(reader: &mut Reader<'_>, wire: Wire, out: &mut Vec<i64>) -> Result<(), DecodeError> {
    match wire {
        Wire::Varint => push(out, unzigzag(reader.varint()?)),
        Wire::Len => {
            let mut packed = reader.message("packed numbers")?;
            while !packed.is_at_end() {
                push(out, unzigzag(packed.varint()?));
            }
        }
        _ => return Err(reader.wrong_wire("varints")),
    }
    Ok(())
}

pub(crate) fn read_doubles(reader: &mut Reader<'_>, wire: Wire, out: &mut Vec<f64>) -> Result<(), DecodeError> {
    match wire {
        Wire::Fixed64 => push(out, f64::from_bits(reader.fixed64()?)),
        Wire::Len => {
            let mut packed = reader.message("packed numbers")?;
            while !packed.is_at_end() {
                push(out, f64::from_bits(packed.fixed64()?));
            }
        }
        _ => return Err(reader.wrong_wire("doubles")),
    }
    Ok(())
}

pub(crate) fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

pub(crate) fn unzigzag32(value: u64) -> i32 {
    let value = value as u32;
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
