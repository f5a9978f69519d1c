//! Every decoder of bytes from disk, for the fuzz targets in `fuzz/`. No part of the public face.
//!
//! Each takes any bytes, decodes them as far as it goes, and may do anything but panic, hang or take memory out of
//! proportion. Checksums are left aside where a decoder stands behind one: the fuzzer would never get past it.

use crate::block::index::Index;
use crate::block::meta::Meta;
use crate::block::writer::INDEX_FOOTER_BYTES;
use crate::chunk;
use crate::mmap::Mapped;
pub use crate::wal::fuzzing::{WalProbe, fuzz_payload as wal_payload, fuzz_segment as wal_segment};

/// A chunk; its first two bytes say how many samples the index promises.
pub fn chunk(bytes: &[u8]) {
    if let Some((count, chunk)) = bytes.split_first_chunk::<2>() {
        let _ = chunk::decode(chunk, u32::from(u16::from_le_bytes(*count)), |_, _| true);
    }
}

/// A block's meta file, its checksum put right first.
pub fn block_meta(bytes: &[u8]) {
    let _ = Meta::decode(&with_checksum(bytes));
}

/// A block's index, its footer's checksum put right first: all that can be asked of it.
pub fn block_index(bytes: &[u8]) {
    let footer = bytes.len().saturating_sub(INDEX_FOOTER_BYTES - 4);
    let bytes = [&bytes[..footer], &with_checksum(&bytes[footer..])].concat();
    let path = std::env::temp_dir().join(format!("cairn-fuzz-index-{}", std::process::id()));
    let mapped = std::fs::write(&path, bytes).and_then(|()| Mapped::open(&path));
    let Ok(index) = mapped.map_err(|_| ()).and_then(|map| Index::open(path, map).map_err(|_| ())) else { return };
    let _ = index.verify();
    let _ = index.names(|_| ());
    let _ = index.values("__name__", |_| ());
    for number in 0..64 {
        let _ = index.symbol(number);
        if let Ok((symbols, _)) = index.series(number) {
            let _ = index.labels(&symbols);
        }
    }
}

fn with_checksum(bytes: &[u8]) -> Vec<u8> {
    [bytes, &crc32fast::hash(bytes).to_le_bytes()].concat()
}
