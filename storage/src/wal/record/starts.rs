//! Start timestamps in a record: one of its two lists.
//!
//! Elsewhere: the record (`wal::record`), what it says (`starts`), when it takes effect (`wal::starts`).

use crate::bytes::{Reader, put_signed, put_varint};
use crate::starts::WalStart;
use crate::wal::runs::{put_ids, put_times, read_ids, read_times};

/// Ids and times as runs, then each start as the difference to the one before.
pub(super) fn put_starts(out: &mut Vec<u8>, starts: &[WalStart]) {
    put_varint(out, starts.len() as u64);
    put_ids(out, starts.iter().map(|s| s.id));
    put_times(out, starts.iter().map(|s| s.t));
    let mut last = 0i64;
    for s in starts {
        put_signed(out, s.start.wrapping_sub(std::mem::replace(&mut last, s.start)));
    }
}

/// The other way round.
pub(super) fn read_starts(columns: &mut Reader<'_>, out: &mut Vec<WalStart>) -> Option<()> {
    // Each start takes a byte at least.
    let count = columns.count(1)?;
    read_ids(columns, count, |id| out.push(WalStart { id, t: 0, start: 0 }))?;
    let mut starts = out.iter_mut();
    read_times(columns, count, |t| {
        if let Some(s) = starts.next() {
            s.t = t;
        }
    })?;
    let mut last = 0i64;
    for s in out {
        last = last.wrapping_add(columns.signed()?);
        s.start = last;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn there_and_back(raw in prop::collection::vec((0u64..1 << 40, any::<i64>(), any::<i64>()), 0..40)) {
            let starts: Vec<WalStart> = raw.into_iter().map(|(id, t, start)| WalStart { id, t, start }).collect();
            let (mut bytes, mut found) = (Vec::new(), Vec::new());
            put_starts(&mut bytes, &starts);
            let mut r = Reader::new(&bytes);
            read_starts(&mut r, &mut found).unwrap();
            prop_assert!(r.is_at_end());
            prop_assert_eq!(found, starts);
            prop_assert!(read_starts(&mut Reader::new(&bytes[..bytes.len() - 1]), &mut Vec::new()).is_none());
        }
    }
}
