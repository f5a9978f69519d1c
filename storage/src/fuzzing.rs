//! Every decoder of bytes from disk, for the fuzz targets in `fuzz/`. No part of the public face.
//!
//! Each takes any bytes, decodes them as far as it goes, and may do anything but panic, hang or take memory out of
//! proportion. Checksums are left aside where a decoder stands behind one: the fuzzer would never get past it.

pub use crate::block::fuzz::{
    fuzz_index as block_index, fuzz_meta as block_meta, fuzz_page as block_page, fuzz_starts as block_starts,
    fuzz_times as block_times, fuzz_values as block_values,
};
pub use crate::wal::fuzzing::{WalProbe, fuzz_payload as wal_payload, fuzz_segment as wal_segment};
use crate::{Columns, chunk};

/// A chunk of the head; its first two bytes say how many samples the snapshot promises.
pub fn head_chunk(bytes: &[u8]) {
    if let Some((count, chunk)) = bytes.split_first_chunk::<2>() {
        let count = u32::from(u16::from_le_bytes(*count));
        let mut walked = 0;
        let whole = chunk::decode(chunk, count, |t, _| {
            walked += usize::from(t < i64::MAX);
            true
        });
        let mut columns = Columns::default();
        let filled = chunk::decode_into(chunk, count, i64::MIN, i64::MAX, &mut columns);
        assert_eq!(
            (filled, columns.len()),
            (whole, if whole.is_some() { walked } else { 0 }),
            "both ways say the same"
        );
    }
}
