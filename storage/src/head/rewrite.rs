//! Changing what a series holds already.
//!
//! Here: turning many late samples into chunks, deleting a range.
//! Elsewhere: accepting samples (`head::series`), deletion in blocks and log (`delete`).
//!
//! Invariant: chunks that a running cut has taken are left alone by late samples; a deletion is not made while a cut
//! runs (both are maintenance), so it may rewrite every chunk.

use super::series::{LATE_MAX, Sealed, Series, chunks_of, encode_open};
use crate::chunk::decode;

/// Late samples wait until they are this part of the chunks that they might rewrite: so rewriting stays cheap.
const LATE_PART: u64 = 32;

impl Series {
    /// Makes chunks of the late samples, together with the chunks that lie among them, so that chunks hardly overlap
    /// and looking one time up stays cheap.
    pub(super) fn chunk_late(&mut self, block_ms: i64) {
        let held: u64 = self.sealed().iter().map(|s| u64::from(s.count)).sum();
        let Some(more) = &mut self.more else { return };
        let Some((&(min_t, _), &(max_t, _))) = more.late.first().zip(more.late.last()) else { return };
        if more.late.len() > LATE_MAX && (more.late.len() as u64) < held / LATE_PART {
            return;
        }
        let mut samples = std::mem::take(&mut more.late);
        more.sealed.retain(|s| {
            // What is damaged on the disk stays as it is, to be told about.
            let is_kept = s.is_taken || s.max_t < min_t || max_t < s.min_t || !s.bytes.is_whole();
            if !is_kept {
                samples_of(s, &mut samples);
            }
            is_kept
        });
        samples.sort_unstable_by_key(|&(t, _)| t);
        chunks_of(&samples, block_ms, |chunk| self.put_sealed(chunk));
    }

    /// Takes the samples with `min_t <= t < max_t` out; how many there were.
    pub(crate) fn delete_range(&mut self, min_t: i64, max_t: i64) -> u64 {
        let before = self.sample_count();
        let is_hit = |first: i64, last: i64| first < max_t && min_t <= last;
        let is_kept = |&(t, _): &(i64, u64)| t < min_t || max_t <= t;
        if let Some(more) = &mut self.more {
            more.late.retain(is_kept);
            let (hit, kept) = std::mem::take(&mut more.sealed)
                .into_iter()
                .partition(|s| is_hit(s.min_t, s.max_t) && s.bytes.is_whole());
            more.sealed = kept;
            for chunk in Vec::into_iter(hit) {
                let mut left = Vec::new();
                samples_of(&chunk, &mut left);
                left.retain(is_kept);
                if let Some(open) = encode_open(&left) {
                    self.put_sealed(Sealed { is_taken: chunk.is_taken, ..super::series::seal(&open) });
                }
            }
        }
        if self.open().is_some_and(|o| is_hit(o.first_t(), o.last_t())) {
            self.delete_from_open(is_kept);
        }
        self.drop_empty();
        before - self.sample_count()
    }

    fn delete_from_open(&mut self, is_kept: impl Fn(&(i64, u64)) -> bool) {
        let (last_t, tag) = (self.open.last_t(), self.open.tag);
        let mut left = Vec::new();
        samples_of(&super::series::seal(&self.open), &mut left);
        left.retain(is_kept);
        self.open.clear();
        match encode_open(&left) {
            Some(open) if open.last_t() == last_t => self.open = open,
            // The newest sample is gone: what comes next begins a chunk, so that older ones still count as late.
            Some(open) => self.put_sealed(super::series::seal(&open)),
            None => {}
        }
        self.open.tag = tag;
    }
}

/// Adds the samples of a chunk.
fn samples_of(chunk: &Sealed, out: &mut Vec<(i64, u64)>) {
    let whole = decode(&chunk.bytes, chunk.count, |t, v| {
        out.push((t, v.to_bits()));
        true
    });
    assert!(whole.is_some(), "a chunk in memory is as it was encoded");
}

#[cfg(test)]
mod tests {
    use super::super::BlockWindow;
    use super::super::series::Verdict;
    use super::*;

    const BLOCK: i64 = 1_000_000;

    fn series(times: impl Iterator<Item = i64>) -> Series {
        let mut s = Series::new(None, 0);
        let mut window = BlockWindow::new(BLOCK);
        for t in times {
            assert_eq!(s.push(t, t as f64, &mut window).0, Verdict::Accept, "{t}");
        }
        s
    }

    fn samples(s: &Series) -> Vec<i64> {
        let mut out = s.late().to_vec();
        s.sealed().iter().chain(&s.open().map(super::super::series::seal)).for_each(|c| samples_of(c, &mut out));
        assert!(out.iter().all(|&(t, bits)| (t as f64).to_bits() == bits));
        out.sort();
        out.into_iter().map(|(t, _)| t).collect()
    }

    #[track_caller]
    fn check_delete(min_t: i64, max_t: i64) {
        let times = || (0..1500i64).map(|i| i * 10).chain((0..600).map(|i| 5 + (i * 7919 % 1400) * 10));
        let mut s = series(times());
        let mut expected: Vec<i64> = times().filter(|&t| t < min_t || max_t <= t).collect();
        expected.sort();
        assert_eq!(s.delete_range(min_t, max_t), 2100 - expected.len() as u64);
        assert_eq!(samples(&s), expected);
        // Deleted times may come again, and others are still known.
        assert_eq!(s.push(min_t.max(0), min_t.max(0) as f64, &mut BlockWindow::new(BLOCK)).0, Verdict::Accept);
        let last = s.last_t();
        assert_eq!(s.push(last + 1, (last + 1) as f64, &mut BlockWindow::new(BLOCK)).0, Verdict::Accept);
        assert_eq!(samples(&s).len(), expected.len() + 2);
    }

    #[test]
    fn ranges_are_deleted_wherever_they_lie() {
        check_delete(i64::MIN, i64::MAX);
        check_delete(0, 1);
        check_delete(1000, 9000);
        check_delete(14_000, 14_900);
        check_delete(14_990, 15_000);
    }

    #[test]
    fn many_late_samples_stay_cheap() {
        let n = 20_000i64;
        let backwards = series([n * 10].into_iter().chain((0..n).rev()));
        let scattered = series([n * 10].into_iter().chain((0..n).map(|i| i * 7919 % n)));
        for s in [&backwards, &scattered] {
            assert_eq!(samples(s), (0..n).chain([n * 10]).collect::<Vec<_>>());
            assert!(s.late().len() <= 2 * LATE_MAX && s.sealed().len() < 400, "{}", s.sealed().len());
        }
    }
}
