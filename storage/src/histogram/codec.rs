//! One histogram as bytes, written as the difference to the one before it where the two have the same buckets.
//!
//! Here: the record. Elsewhere: records with times in a row (`chunk`), which histograms are sound (`validate`), the
//! table (`FORMAT.md`).
//!
//! Invariant: what is decoded equals what was encoded, bit by bit, given the same histogram before it; any bytes at all
//! are decoded to a histogram within [`HISTOGRAM_BUCKETS_MAX`] or refused, without panic.

use super::{CounterResetHint, HISTOGRAM_BUCKETS_MAX, Histogram, HistogramCounts, Span};
use crate::bytes::{Reader, put_signed, put_varint, unzigzag, zigzag};

/// Flags: the two lowest bits are the hint.
const HINT_MASK: u8 = 0b11;
/// Counts are fractional.
const IS_FLOAT: u8 = 1 << 2;
/// Schema, zero threshold, spans and bounds are those of the histogram before; none of them is written.
const SAME_LAYOUT: u8 = 1 << 3;
/// The staleness marker; nothing follows.
const IS_STALE: u8 = 1 << 4;
const KNOWN_FLAGS: u8 = HINT_MASK | IS_FLOAT | SAME_LAYOUT | IS_STALE;

/// Zero thresholds: none, the usual one, any other as eight bytes.
const THRESHOLD_NONE: u8 = 0;
const THRESHOLD_USUAL: u8 = 1;
const THRESHOLD_OTHER: u8 = 2;
/// 2^-128, the default of instrumentation libraries.
const USUAL_THRESHOLD: f64 = f64::from_bits(0x37F0_0000_0000_0000);

/// Bounds that are whole thousandths below this are written as such.
const THOUSANDTHS_MAX: f64 = 1e12;

/// Appends `histogram` to `out`. `previous` must be what the decoder will have at hand.
///
/// Panics if the histogram is not valid: nothing of that kind may reach a disk.
pub(crate) fn encode(histogram: &Histogram, previous: Option<&Histogram>, out: &mut Vec<u8>) {
    let hint = hint_bits(histogram.counter_reset_hint);
    if is_plain_stale(histogram) {
        out.push(hint | IS_STALE);
        return;
    }
    let base = previous.filter(|previous| previous.has_layout_of(histogram));
    let mut flags = hint;
    if histogram.is_float() {
        flags |= IS_FLOAT;
    }
    if base.is_some() {
        flags |= SAME_LAYOUT;
    }
    out.push(flags);
    if base.is_none() {
        put_layout(out, histogram);
    }
    let base = base.filter(|base| base.is_float() == histogram.is_float());
    put_xor(out, histogram.sum, base.map_or(0.0, |base| base.sum));
    put_counts(out, histogram, base);
}

/// Reads one record. `None` if it is none; the reader is then anywhere.
pub(crate) fn decode(r: &mut Reader<'_>, previous: Option<&Histogram>) -> Option<Histogram> {
    let flags = r.u8()?;
    if flags & !KNOWN_FLAGS != 0 {
        return None;
    }
    let counter_reset_hint = hint_of(flags & HINT_MASK);
    if flags & IS_STALE != 0 {
        return (flags == flags & HINT_MASK | IS_STALE).then(|| Histogram { counter_reset_hint, ..Histogram::stale() });
    }
    let base = if flags & SAME_LAYOUT != 0 { Some(previous?) } else { None };
    let mut histogram = match base {
        Some(base) => Histogram {
            schema: base.schema,
            zero_threshold: base.zero_threshold,
            positive_spans: base.positive_spans.clone(),
            negative_spans: base.negative_spans.clone(),
            custom_values: base.custom_values.clone(),
            ..Histogram::default()
        },
        None => read_layout(r)?,
    };
    histogram.counter_reset_hint = counter_reset_hint;
    let is_float = flags & IS_FLOAT != 0;
    let base = base.filter(|base| base.is_float() == is_float);
    histogram.sum = read_xor(r, base.map_or(0.0, |base| base.sum))?;
    let lengths = (bucket_count(&histogram.positive_spans)?, bucket_count(&histogram.negative_spans)?);
    histogram.counts = if is_float { read_float(r, base, lengths)? } else { read_int(r, base, lengths)? };
    Some(histogram)
}

/// The marker as Cairn and Prometheus write it; a stale NaN in a full histogram is kept in full.
fn is_plain_stale(histogram: &Histogram) -> bool {
    histogram.is_stale()
        && *histogram == Histogram { counter_reset_hint: histogram.counter_reset_hint, ..Histogram::stale() }
}

fn hint_bits(hint: CounterResetHint) -> u8 {
    match hint {
        CounterResetHint::Unknown => 0,
        CounterResetHint::CounterReset => 1,
        CounterResetHint::NotCounterReset => 2,
        CounterResetHint::Gauge => 3,
    }
}

fn hint_of(bits: u8) -> CounterResetHint {
    match bits {
        0 => CounterResetHint::Unknown,
        1 => CounterResetHint::CounterReset,
        2 => CounterResetHint::NotCounterReset,
        _ => CounterResetHint::Gauge,
    }
}

fn put_layout(out: &mut Vec<u8>, histogram: &Histogram) {
    put_signed(out, i64::from(histogram.schema));
    let threshold = histogram.zero_threshold.to_bits();
    match threshold {
        0 => out.push(THRESHOLD_NONE),
        t if t == USUAL_THRESHOLD.to_bits() => out.push(THRESHOLD_USUAL),
        other => {
            out.push(THRESHOLD_OTHER);
            out.extend_from_slice(&other.to_le_bytes());
        }
    }
    put_spans(out, &histogram.positive_spans);
    put_spans(out, &histogram.negative_spans);
    put_varint(out, histogram.custom_values.len() as u64);
    histogram.custom_values.iter().for_each(|bound| put_bound(out, *bound));
}

fn read_layout(r: &mut Reader<'_>) -> Option<Histogram> {
    let schema = i32::try_from(r.signed()?).ok()?;
    let zero_threshold = match r.u8()? {
        THRESHOLD_NONE => 0.0,
        THRESHOLD_USUAL => USUAL_THRESHOLD,
        THRESHOLD_OTHER => f64::from_bits(r.u64()?),
        _ => return None,
    };
    let positive_spans = read_spans(r)?;
    let negative_spans = read_spans(r)?;
    let bounds = r.count(1).filter(|bounds| *bounds <= HISTOGRAM_BUCKETS_MAX)?;
    let custom_values = (0..bounds).map(|_| read_bound(r)).collect::<Option<Vec<f64>>>()?;
    Some(Histogram { schema, zero_threshold, positive_spans, negative_spans, custom_values, ..Histogram::default() })
}

fn put_spans(out: &mut Vec<u8>, spans: &[Span]) {
    put_varint(out, spans.len() as u64);
    for span in spans {
        put_signed(out, i64::from(span.offset));
        put_varint(out, u64::from(span.length));
    }
}

fn read_spans(r: &mut Reader<'_>) -> Option<Vec<Span>> {
    let count = r.count(2).filter(|count| *count <= HISTOGRAM_BUCKETS_MAX)?;
    let mut spans = Vec::with_capacity(count);
    for _ in 0..count {
        let offset = i32::try_from(r.signed()?).ok()?;
        let length = u32::try_from(r.varint()?).ok()?;
        spans.push(Span { offset, length });
    }
    Some(spans)
}

/// The buckets that spans ask for, if that is within the limit.
fn bucket_count(spans: &[Span]) -> Option<usize> {
    let count: u64 = spans.iter().map(|span| u64::from(span.length)).sum();
    usize::try_from(count).ok().filter(|count| *count <= HISTOGRAM_BUCKETS_MAX)
}

/// Zero and eight bytes, or one more than the zigzag of whole thousandths: bounds are mostly numbers that people wrote.
fn put_bound(out: &mut Vec<u8>, bound: f64) {
    let thousandths = bound * 1000.0;
    let whole = thousandths.round();
    if whole.abs() < THOUSANDTHS_MAX && (whole as i64 as f64 / 1000.0).to_bits() == bound.to_bits() {
        put_varint(out, zigzag(whole as i64) + 1);
    } else {
        put_varint(out, 0);
        out.extend_from_slice(&bound.to_bits().to_le_bytes());
    }
}

fn read_bound(r: &mut Reader<'_>) -> Option<f64> {
    match r.varint()? {
        0 => r.u64().map(f64::from_bits),
        code => Some(unzigzag(code - 1) as f64 / 1000.0),
    }
}

fn put_counts(out: &mut Vec<u8>, histogram: &Histogram, base: Option<&Histogram>) {
    let lengths = (bucket_count(&histogram.positive_spans), bucket_count(&histogram.negative_spans));
    match &histogram.counts {
        HistogramCounts::Int { count, zero_count, positive, negative } => {
            assert_eq!(lengths, (Some(positive.len()), Some(negative.len())), "only valid histograms are stored");
            let base = int_base(base);
            put_signed(out, count.wrapping_sub(base.count).cast_signed());
            put_signed(out, zero_count.wrapping_sub(base.zero_count).cast_signed());
            put_runs(out, differences(positive, base.positive));
            put_runs(out, differences(negative, base.negative));
        }
        HistogramCounts::Float { count, zero_count, positive, negative } => {
            assert_eq!(lengths, (Some(positive.len()), Some(negative.len())), "only valid histograms are stored");
            let base = float_base(base);
            put_xor(out, *count, base.count);
            put_xor(out, *zero_count, base.zero_count);
            put_xor_runs(out, positive, base.positive);
            put_xor_runs(out, negative, base.negative);
        }
    }
}

/// The counts to which others are differences; empty buckets stand for zeros.
#[derive(Default)]
struct Base<'a, C, B> {
    count: C,
    zero_count: C,
    positive: &'a [B],
    negative: &'a [B],
}

fn int_base(base: Option<&Histogram>) -> Base<'_, u64, i64> {
    match base.map(|base| &base.counts) {
        Some(HistogramCounts::Int { count, zero_count, positive, negative }) => {
            Base { count: *count, zero_count: *zero_count, positive, negative }
        }
        _ => Base::default(),
    }
}

fn float_base(base: Option<&Histogram>) -> Base<'_, f64, f64> {
    match base.map(|base| &base.counts) {
        Some(HistogramCounts::Float { count, zero_count, positive, negative }) => {
            Base { count: *count, zero_count: *zero_count, positive, negative }
        }
        _ => Base::default(),
    }
}

/// Without a base the deltas as they are (neighbours are alike); with one what each bucket's own count has grown by.
fn differences<'a>(deltas: &'a [i64], base: &'a [i64]) -> impl Iterator<Item = i64> + 'a {
    let mut grown = 0i64;
    deltas.iter().enumerate().map(move |(at, delta)| match base.get(at) {
        Some(base) => {
            grown = grown.wrapping_add(delta.wrapping_sub(*base));
            grown
        }
        None => *delta,
    })
}

/// Signed varints; a zero is followed by how many more zeros there are.
fn put_runs(out: &mut Vec<u8>, values: impl Iterator<Item = i64>) {
    let mut zeros = 0u64;
    for value in values {
        if value == 0 {
            zeros += 1;
            continue;
        }
        put_zeros(out, &mut zeros);
        put_signed(out, value);
    }
    put_zeros(out, &mut zeros);
}

fn put_zeros(out: &mut Vec<u8>, zeros: &mut u64) {
    if *zeros > 0 {
        out.push(0);
        put_varint(out, *zeros - 1);
        *zeros = 0;
    }
}

fn read_int(r: &mut Reader<'_>, base: Option<&Histogram>, lengths: (usize, usize)) -> Option<HistogramCounts> {
    let base = int_base(base);
    let count = base.count.wrapping_add_signed(r.signed()?);
    let zero_count = base.zero_count.wrapping_add_signed(r.signed()?);
    let positive = read_deltas(r, base.positive, lengths.0)?;
    let negative = read_deltas(r, base.negative, lengths.1)?;
    Some(HistogramCounts::Int { count, zero_count, positive, negative })
}

fn read_deltas(r: &mut Reader<'_>, base: &[i64], length: usize) -> Option<Vec<i64>> {
    let mut values = vec![0i64; length];
    let mut at = 0;
    while at < length {
        let value = r.signed()?;
        if value == 0 {
            at = at.checked_add(usize::try_from(r.varint()?).ok()?)?.checked_add(1)?;
        } else {
            values[at] = value;
            at += 1;
        }
    }
    if at > length {
        return None;
    }
    if !base.is_empty() {
        let mut last = 0i64;
        for (value, base) in values.iter_mut().zip(base) {
            let grown = *value;
            *value = base.wrapping_add(grown.wrapping_sub(last));
            last = grown;
        }
    }
    Some(values)
}

/// One byte (bytes cut off at the low end, bytes written), then those bytes of the two values' difference in bits.
fn put_xor(out: &mut Vec<u8>, value: f64, base: f64) {
    let bits = value.to_bits() ^ base.to_bits();
    if bits == 0 {
        out.push(0);
        return;
    }
    let low = bits.trailing_zeros() as usize / 8;
    let len = 8 - low - bits.leading_zeros() as usize / 8;
    out.push((low << 4 | len) as u8);
    out.extend_from_slice(&(bits >> (8 * low)).to_le_bytes()[..len]);
}

fn read_xor(r: &mut Reader<'_>, base: f64) -> Option<f64> {
    let control = r.u8()?;
    read_xor_after(r, control, base)
}

fn read_xor_after(r: &mut Reader<'_>, control: u8, base: f64) -> Option<f64> {
    let (low, len) = (usize::from(control >> 4), usize::from(control & 15));
    if low + len > 8 {
        return None;
    }
    // `low` is below 8 unless nothing follows.
    let bits = if len == 0 { 0 } else { r.uint(len)? << (8 * low) };
    Some(f64::from_bits(base.to_bits() ^ bits))
}

/// As [`put_xor`]; an unchanged value is followed by how many more are unchanged.
fn put_xor_runs(out: &mut Vec<u8>, values: &[f64], base: &[f64]) {
    let mut same = 0u64;
    for (at, value) in values.iter().enumerate() {
        let base = base.get(at).copied().unwrap_or(0.0);
        if value.to_bits() == base.to_bits() {
            same += 1;
            continue;
        }
        put_zeros(out, &mut same);
        put_xor(out, *value, base);
    }
    put_zeros(out, &mut same);
}

fn read_float(r: &mut Reader<'_>, base: Option<&Histogram>, lengths: (usize, usize)) -> Option<HistogramCounts> {
    let base = float_base(base);
    let count = read_xor(r, base.count)?;
    let zero_count = read_xor(r, base.zero_count)?;
    let positive = read_xor_runs(r, base.positive, lengths.0)?;
    let negative = read_xor_runs(r, base.negative, lengths.1)?;
    Some(HistogramCounts::Float { count, zero_count, positive, negative })
}

fn read_xor_runs(r: &mut Reader<'_>, base: &[f64], length: usize) -> Option<Vec<f64>> {
    let mut values = vec![0.0; length];
    values.iter_mut().zip(base).for_each(|(value, base)| *value = *base);
    let mut at = 0;
    while at < length {
        match r.u8()? {
            0 => at = at.checked_add(usize::try_from(r.varint()?).ok()?)?.checked_add(1)?,
            control => {
                values[at] = read_xor_after(r, control, values[at])?;
                at += 1;
            }
        }
    }
    (at == length).then_some(values)
}
