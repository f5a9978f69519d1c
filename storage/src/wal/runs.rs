//! Columns of ids and times in WAL records, as runs.
//!
//! Here: ids that are equal or consecutive, times that are equal or rise by equal steps.
//! Elsewhere: the record around them (`wal::record`).
//!
//! Invariant: a reader makes as many items as it was asked for, or fails; a run's length allocates nothing.

use crate::bytes::{Reader, put_signed, put_varint};

/// Ids in runs: twice the length less one, plus 1 if all are equal (else they rise by one); then the difference of the
/// first to the id after the last run.
pub(crate) fn put_ids(out: &mut Vec<u8>, ids: impl Iterator<Item = u64>) {
    let mut ids = ids.peekable();
    let mut expected = 0u64;
    while let Some(first) = ids.next() {
        let (mut last, mut count) = (first, 1u64);
        let step = u64::from(ids.peek() != Some(&first));
        while ids.next_if(|&id| id == last.wrapping_add(step)).is_some() {
            last = last.wrapping_add(step);
            count += 1;
        }
        put_varint(out, (count - 1) << 1 | u64::from(step == 0));
        put_signed(out, first.wrapping_sub(expected) as i64);
        expected = last.wrapping_add(1);
    }
}

/// Hands `count` ids to `each`.
pub(crate) fn read_ids(r: &mut Reader<'_>, count: usize, mut each: impl FnMut(u64)) -> Option<()> {
    let (mut left, mut expected) = (count, 0u64);
    while left > 0 {
        let head = r.varint()?;
        let run = usize::try_from(head >> 1).ok()?.checked_add(1).filter(|&run| run <= left)?;
        let step = 1 - (head & 1);
        let mut id = expected.wrapping_add(r.signed()? as u64);
        for _ in 1..run {
            each(id);
            id = id.wrapping_add(step);
        }
        each(id);
        expected = id.wrapping_add(1);
        left -= run;
    }
    Some(())
}

/// Times in runs: twice the length less one, plus 1 if they rise by the step (else they are equal); then the step from
/// the last time before.
pub(crate) fn put_times(out: &mut Vec<u8>, times: impl Iterator<Item = i64>) {
    let mut times = times.peekable();
    let mut last = 0i64;
    while let Some(first) = times.next() {
        let step = first.wrapping_sub(last);
        let rises = step != 0 && times.peek() == Some(&first.wrapping_add(step));
        let next_step = if rises { step } else { 0 };
        let mut count = 1u64;
        last = first;
        while times.next_if(|&t| t == last.wrapping_add(next_step)).is_some() {
            last = last.wrapping_add(next_step);
            count += 1;
        }
        put_varint(out, (count - 1) << 1 | u64::from(rises));
        put_signed(out, step);
    }
}

/// Hands `count` times to `each`.
pub(crate) fn read_times(r: &mut Reader<'_>, count: usize, mut each: impl FnMut(i64)) -> Option<()> {
    let (mut left, mut last) = (count, 0i64);
    while left > 0 {
        let head = r.varint()?;
        let run = usize::try_from(head >> 1).ok()?.checked_add(1).filter(|&run| run <= left)?;
        let step = r.signed()?;
        last = last.wrapping_add(step);
        each(last);
        let step = if head & 1 == 1 { step } else { 0 };
        for _ in 1..run {
            last = last.wrapping_add(step);
            each(last);
        }
        left -= run;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_ids(ids: &[u64], bytes: usize) {
        let (mut out, mut found) = (Vec::new(), Vec::new());
        put_ids(&mut out, ids.iter().copied());
        let mut r = Reader::new(&out);
        assert_eq!(read_ids(&mut r, ids.len(), |id| found.push(id)), Some(()));
        assert_eq!((found.as_slice(), r.is_at_end(), out.len()), (ids, true, bytes));
    }

    #[track_caller]
    fn check_times(times: &[i64], bytes: usize) {
        let (mut out, mut found) = (Vec::new(), Vec::new());
        put_times(&mut out, times.iter().copied());
        let mut r = Reader::new(&out);
        assert_eq!(read_times(&mut r, times.len(), |t| found.push(t)), Some(()));
        assert_eq!((found.as_slice(), r.is_at_end(), out.len()), (times, true, bytes));
    }

    #[test]
    fn runs_cost_two_numbers() {
        check_ids(&[], 0);
        check_ids(&(40..60).collect::<Vec<_>>(), 2);
        check_ids(&[7; 63], 2);
        check_ids(&[1, 2, 3, 9, 9, 10, u64::MAX, 0, 1], 8);
        check_times(&[1_700_000_000_000; 40], 7);
        check_times(&[1000, 2000, 3000, 3000, 3000, i64::MIN, i64::MAX], 18);
    }

    #[test]
    fn a_run_longer_than_asked_for_is_refused() {
        assert_eq!(read_ids(&mut Reader::new(&[6, 0]), 3, |_| ()), None);
        assert_eq!(read_times(&mut Reader::new(&[6, 0]), 3, |_| ()), None);
    }

    proptest! {
        #[test]
        fn any_columns_round_trip(steps in prop::collection::vec((any::<i64>(), 0..6u8), 0..60)) {
            let mut at = 0i64;
            let column: Vec<i64> = steps.iter().map(|&(wide, kind)| {
                at = at.wrapping_add(match kind { 0 => wide, 1 => 0, 2 => 15_000, _ => 1 });
                at
            }).collect();
            let (mut out, mut ids, mut times) = (Vec::new(), Vec::new(), Vec::new());
            put_ids(&mut out, column.iter().map(|&id| id as u64));
            put_times(&mut out, column.iter().copied());
            let mut r = Reader::new(&out);
            prop_assert!(read_ids(&mut r, column.len(), |id| ids.push(id as i64)).is_some());
            prop_assert!(read_times(&mut r, column.len(), |t| times.push(t)).is_some());
            prop_assert_eq!((&ids, &times, r.is_at_end()), (&column, &column, true));
        }
    }
}
