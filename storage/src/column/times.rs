//! The times of a column.
//!
//! Here: rising times as bytes; a constant step costs a few bytes in all.
//! Elsewhere: sharing columns between series (`block::columns`), the transforms (`ints`).
//!
//! Invariant: what is decoded rises strictly.

use super::ints::{self, Nature};
use crate::bytes::Reader;

/// Times in one column, at most.
pub(crate) const COLUMN_TIMES_MAX: usize = 1 << 16;

/// The bytes of `times`, which rise and are not empty.
pub(crate) fn encode(times: &[i64]) -> Vec<u8> {
    let encoded = ints::encode(times, Nature::Numbers);
    let mut out = encoded.head;
    out.extend_from_slice(&encoded.planes);
    out
}

/// Reads `count` times into `out`, which is emptied first.
pub(crate) fn decode(bytes: &[u8], count: usize, out: &mut Vec<i64>) -> Option<()> {
    if count == 0 || count > COLUMN_TIMES_MAX {
        return None;
    }
    let width = ints::width(bytes)?;
    let planes_at = bytes.len().checked_sub(width.checked_mul(count - 1)?)?;
    let (head, planes) = bytes.split_at(planes_at);
    let planes: Vec<&[u8]> = match width {
        0 => Vec::new(),
        // One time has no residuals, whatever its head says.
        _ if count == 1 => return None,
        _ => planes.chunks(count - 1).collect(),
    };
    let mut head = Reader::new(head);
    ints::decode(&mut head, &planes, count, out)?;
    (head.is_at_end() && out.windows(2).all(|w| w[0] < w[1])).then_some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(times: &[i64]) -> usize {
        let bytes = encode(times);
        let mut out = vec![1, 2, 3];
        decode(&bytes, times.len(), &mut out).unwrap();
        assert_eq!(out, times);
        bytes.len()
    }

    #[test]
    fn a_constant_step_is_a_few_bytes() {
        assert!(check(&(0..5000).map(|i| 1_700_000_000_000 + i * 15_000).collect::<Vec<_>>()) < 16);
        check(&[i64::MIN, 0, i64::MAX]);
        check(&[5]);
    }

    #[test]
    fn what_does_not_rise_is_refused() {
        let bytes = ints::encode(&[3, 3], Nature::Numbers).head;
        assert!(decode(&bytes, 2, &mut Vec::new()).is_none());
        assert!(decode(&[], 1, &mut Vec::new()).is_none());
        assert!(decode(&bytes, usize::MAX, &mut Vec::new()).is_none());
    }

    proptest! {
        #[test]
        fn rising_times_come_back(mut times in proptest::collection::vec(any::<i64>(), 1..80)) {
            times.sort_unstable();
            times.dedup();
            check(&times);
        }
    }
}
