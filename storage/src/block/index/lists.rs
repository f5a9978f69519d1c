//! A list of series as bytes.
//!
//! Here: three ways to write a rising list, the smallest of which is taken, and testing members without unpacking it.
//! Elsewhere: the pages that lists lie on (`write`), combining lists (`crate::index`).
//!
//! Invariant: a list that is read rises strictly and stays below the number of series.

use crate::bytes::{Reader, put_varint};
use crate::index::SeriesRef;

/// Differences, less one, of the numbers.
pub(crate) const LIST_STEPS: u8 = 0;
/// Runs of consecutive numbers: gap before, length less one.
pub(crate) const LIST_RUNS: u8 = 1;
/// Number of the first byte, then bits, lowest first.
pub(crate) const LIST_BITS: u8 = 2;

/// A list that grows while series are added.
#[derive(Debug, Default)]
pub(crate) struct Growing {
    first: u32,
    last: u32,
    pub(crate) count: u32,
    runs: u32,
    /// Steps after the first number.
    steps: Vec<u8>,
}

impl Growing {
    /// Adds a number greater than all before.
    pub(crate) fn push(&mut self, series: SeriesRef) {
        if self.count == 0 {
            self.first = series;
            self.runs = 1;
        } else {
            debug_assert!(series > self.last, "lists rise");
            put_varint(&mut self.steps, u64::from(series - self.last - 1));
            self.runs += u32::from(series != self.last + 1);
        }
        self.last = series;
        self.count += 1;
    }

    /// The only number, if there is one only.
    pub(crate) fn single(&self) -> Option<SeriesRef> {
        (self.count == 1).then_some(self.first)
    }

    fn each(&self) -> impl Iterator<Item = u32> {
        let mut r = Reader::new(&self.steps);
        let mut last = self.first;
        std::iter::once(self.first).chain(std::iter::from_fn(move || {
            last += r.varint()? as u32 + 1;
            Some(last)
        }))
    }

    /// Appends the smallest form.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let bits_bytes = ((self.last / 8 - self.first / 8) + 1) as usize + 4;
        let runs_max = self.runs as usize * 4;
        if bits_bytes < self.steps.len().min(runs_max) {
            self.encode_bits(out);
        } else if runs_max < self.steps.len() {
            self.encode_runs(out);
        } else {
            out.push(LIST_STEPS);
            put_varint(out, u64::from(self.first));
            out.extend_from_slice(&self.steps);
        }
    }

    fn encode_bits(&self, out: &mut Vec<u8>) {
        out.push(LIST_BITS);
        put_varint(out, u64::from(self.first / 8));
        let from = out.len();
        out.resize(from + (self.last / 8 - self.first / 8) as usize + 1, 0);
        for series in self.each() {
            out[from + (series / 8 - self.first / 8) as usize] |= 1 << (series % 8);
        }
    }

    fn encode_runs(&self, out: &mut Vec<u8>) {
        out.push(LIST_RUNS);
        let mut end = 0;
        let mut run: Option<(u32, u32)> = None;
        let mut put = |(start, last): (u32, u32)| {
            put_varint(out, u64::from(start - end));
            put_varint(out, u64::from(last - start));
            end = last + 1;
        };
        for series in self.each() {
            run = match run {
                Some((start, last)) if last + 1 == series => Some((start, series)),
                Some(done) => {
                    put(done);
                    Some((series, series))
                }
                None => Some((series, series)),
            };
        }
        run.into_iter().for_each(put);
    }
}

/// Calls `each` with the list's runs as first and last number, rising. `None` if the bytes are no list below `limit`.
fn runs(bytes: &[u8], limit: u32, mut each: impl FnMut(u32, u32)) -> Option<()> {
    let mut r = Reader::new(bytes);
    let tag = r.u8()?;
    if tag == LIST_BITS {
        let first = u32::try_from(r.varint()?).ok()?.checked_mul(8)?;
        let bits = r.bytes(r.remaining())?;
        return bit_runs(first, bits, limit, each);
    }
    let mut next = 0u32;
    while !r.is_at_end() {
        let start = next.checked_add(u32::try_from(r.varint()?).ok()?)?;
        let more = match tag {
            LIST_STEPS => 0,
            LIST_RUNS => u32::try_from(r.varint()?).ok()?,
            _ => return None,
        };
        let last = start.checked_add(more).filter(|&last| last < limit)?;
        each(start, last);
        next = last + 1;
    }
    Some(())
}

fn bit_runs(first: u32, bits: &[u8], limit: u32, mut each: impl FnMut(u32, u32)) -> Option<()> {
    for (i, &byte) in bits.iter().enumerate() {
        let mut left = byte;
        while left != 0 {
            let series = first.checked_add((i * 8) as u32 + left.trailing_zeros()).filter(|&s| s < limit)?;
            each(series, series);
            left &= left - 1;
        }
    }
    Some(())
}

/// Appends all numbers of a list to `out`.
pub(crate) fn read(bytes: &[u8], limit: u32, out: &mut Vec<SeriesRef>) -> Option<()> {
    runs(bytes, limit, |start, last| out.extend(start..=last))
}

/// Keeps of `found`, which rises, what is in the list (or is not, if `keep` is false).
pub(crate) fn retain(bytes: &[u8], limit: u32, found: &mut Vec<SeriesRef>, keep: bool) -> Option<()> {
    let mut r = Reader::new(bytes);
    if r.u8()? == LIST_BITS {
        let first = u32::try_from(r.varint()?).ok()?;
        let bits = r.bytes(r.remaining())?;
        let has = |s: u32| {
            let byte = (s / 8).checked_sub(first).and_then(|at| bits.get(at as usize));
            byte.is_some_and(|b| b & 1 << (s % 8) != 0)
        };
        found.retain(|&s| has(s) == keep);
        return Some(());
    }
    let (mut read, mut written) = (0, 0);
    runs(bytes, limit, |start, last| {
        while let Some(&series) = found.get(read).filter(|&&series| series <= last) {
            if (series >= start) == keep {
                found[written] = series;
                written += 1;
            }
            read += 1;
        }
    })?;
    if !keep {
        found.copy_within(read.., written);
        written += found.len() - read;
    }
    found.truncate(written);
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(list: &[u32], tag: u8) {
        let mut growing = Growing::default();
        list.iter().for_each(|&s| growing.push(s));
        let mut bytes = Vec::new();
        growing.encode(&mut bytes);
        assert_eq!(bytes[0], tag, "{bytes:?}");
        let mut out = Vec::new();
        let limit = list.last().unwrap() + 1;
        read(&bytes, limit, &mut out).unwrap();
        assert_eq!(out, list);
        assert!(read(&bytes, limit - 1, &mut Vec::new()).is_none(), "the limit holds");
        for keep in [true, false] {
            let mut some: Vec<u32> = (0..limit + 10).step_by(3).collect();
            let expected: Vec<u32> = some.iter().copied().filter(|s| list.binary_search(s).is_ok() == keep).collect();
            retain(&bytes, limit, &mut some, keep).unwrap();
            assert_eq!(some, expected);
        }
    }

    #[test]
    fn each_form_reads_and_filters() {
        check(&[5], LIST_STEPS);
        check(&(0..500).map(|i| i * 1000).collect::<Vec<_>>(), LIST_STEPS);
        check(&(700..5000).collect::<Vec<_>>(), LIST_RUNS);
        check(&(0..5000).map(|i| i * 3 + i % 2).collect::<Vec<_>>(), LIST_BITS);
    }

    proptest! {
        #[test]
        fn foreign_bytes_do_no_harm(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = read(&bytes, 1000, &mut Vec::new());
            let _ = retain(&bytes, 1000, &mut vec![1, 5, 900], false);
        }
    }
}
