//! Pages: the unit of compression and of damage, in both files of a block.
//!
//! Here: sections put into a page and taken out again, with the checksum over it.
//! Elsewhere: what the sections hold (`data`, `index`), keeping pages that were taken apart (`cache`).
//!
//! Invariant: nothing of a page is interpreted before its checksum held, and nothing is allocated beyond the named limits.

use std::cell::RefCell;

use zstd::bulk::{Compressor, Decompressor};

use crate::bytes::{Reader, put_varint};

/// Length of the body and checksum of length and body.
pub(crate) const PAGE_HEADER_BYTES: usize = 8;
/// A page ends with the item that brings its raw contents to this size.
pub(crate) const PAGE_RAW_BYTES: usize = 64 << 10;
/// No section is larger than this when taken apart. One list of series or one chunk of histograms may be long.
pub(crate) const SECTION_BYTES_MAX: usize = 64 << 20;
/// More effort costs writing time and saves little: planes are mostly noise and zeros.
pub(crate) const ZSTD_LEVEL: i32 = 3;
/// Sections of one page: a head and up to eight planes.
const SECTIONS_MAX: usize = 16;
/// What zstd adds to a section is not worth it below this size.
const COMPRESS_FROM_BYTES: usize = 24;

/// What a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PageKind {
    /// Values of chunks.
    Values = 1,
    /// Columns of times.
    Times = 2,
    /// Records of opaque bytes.
    Blobs = 3,
    /// Entries of series.
    Series = 4,
    /// Lists of series.
    Lists = 5,
    /// Label pairs.
    Pairs = 6,
    /// Where the other pages are.
    Directory = 7,
    /// Start timestamps.
    Starts = 8,
}

/// Checksums found and expected; both 0 if there was nothing to compare.
pub(crate) type BadPage = (u32, u32);

/// Compresses sections; one for each writer.
pub(crate) struct Packer(Compressor<'static>);

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

impl Packer {
    /// Fails only for want of memory.
    pub(crate) fn new() -> std::io::Result<Packer> {
        Ok(Packer(Compressor::new(ZSTD_LEVEL)?))
    }

    /// Appends a page of these sections to `out`.
    pub(crate) fn put(&mut self, kind: PageKind, sections: &[&[u8]], out: &mut Vec<u8>) -> std::io::Result<()> {
        assert!(sections.len() <= SECTIONS_MAX, "a page has few sections");
        let start = out.len();
        out.extend_from_slice(&[0; PAGE_HEADER_BYTES]);
        out.extend_from_slice(&[kind as u8, sections.len() as u8]);
        let mut stored = Vec::new();
        for section in sections {
            if section.len() > SECTION_BYTES_MAX {
                return Err(std::io::Error::new(std::io::ErrorKind::FileTooLarge, "a section of a page is too large"));
            }
            put_varint(out, section.len() as u64);
            let packed = if section.len() < COMPRESS_FROM_BYTES { None } else { Some(self.0.compress(section)?) };
            let best = packed.as_deref().filter(|p| p.len() < section.len()).unwrap_or(section);
            put_varint(out, best.len() as u64);
            stored.extend_from_slice(best);
        }
        out.extend_from_slice(&stored);
        let len = ((out.len() - start - PAGE_HEADER_BYTES) as u32).to_le_bytes();
        let crc = page_crc(len, &out[start + PAGE_HEADER_BYTES..]);
        out[start..start + 4].copy_from_slice(&len);
        out[start + 4..start + PAGE_HEADER_BYTES].copy_from_slice(&crc.to_le_bytes());
        Ok(())
    }
}

/// Checksum of a page: its length and its body.
fn page_crc(len: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&len);
    hasher.update(body);
    hasher.finalize()
}

/// The body of the page at `at`, if its checksum holds.
pub(crate) fn verified(file: &[u8], at: u64) -> Result<&[u8], BadPage> {
    let (len, expected, body) = parts(file, at).ok_or((0, 0))?;
    let found = page_crc(len, body);
    if found == expected { Ok(body) } else { Err((found, expected)) }
}

/// The body of the page at `at`, which was verified before.
pub(crate) fn body(file: &[u8], at: u64) -> Result<&[u8], BadPage> {
    parts(file, at).map(|(_, _, body)| body).ok_or((0, 0))
}

fn parts(file: &[u8], at: u64) -> Option<([u8; 4], u32, &[u8])> {
    let rest = file.get(usize::try_from(at).ok()?..)?;
    let len: [u8; 4] = rest.get(..4)?.try_into().ok()?;
    let expected = Reader::new(rest.get(4..)?).u32()?;
    let body = rest.get(PAGE_HEADER_BYTES..)?.get(..u32::from_le_bytes(len) as usize)?;
    Some((len, expected, body))
}

/// The sections of a body, unpacked.
pub(crate) fn sections(body: &[u8], kind: PageKind) -> Option<Vec<Vec<u8>>> {
    let mut r = Reader::new(body);
    if r.u8()? != kind as u8 {
        return None;
    }
    let count = usize::from(r.u8()?);
    if count > SECTIONS_MAX {
        return None;
    }
    let mut lens = Vec::with_capacity(count);
    for _ in 0..count {
        lens.push((usize::try_from(r.varint()?).ok()?, usize::try_from(r.varint()?).ok()?));
    }
    let mut out = Vec::with_capacity(count);
    for (raw, stored) in lens {
        out.push(unpack(r.bytes(stored)?, raw)?);
    }
    r.is_at_end().then_some(out)
}

fn unpack(stored: &[u8], raw: usize) -> Option<Vec<u8>> {
    thread_local! {
        static UNPACKER: RefCell<Option<Decompressor<'static>>> = const { RefCell::new(None) };
    }
    if stored.len() == raw {
        return Some(stored.to_vec());
    }
    // Its own size must agree before memory is taken for it.
    if raw > SECTION_BYTES_MAX || Decompressor::upper_bound(stored)? < raw {
        return None;
    }
    UNPACKER.with_borrow_mut(|unpacker| {
        if unpacker.is_none() {
            *unpacker = Some(Decompressor::new().ok()?);
        }
        let found = unpacker.as_mut()?.decompress(stored, raw).ok()?;
        (found.len() == raw).then_some(found)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_come_back_and_any_flip_is_noticed() {
        let sections_in: [&[u8]; 3] = [b"head", &[7; 500], &[]];
        let mut file = vec![9; 5];
        Packer::new().unwrap().put(PageKind::Values, &sections_in, &mut file).unwrap();
        let found = sections(verified(&file, 5).unwrap(), PageKind::Values).unwrap();
        assert_eq!(found, sections_in);
        assert!(sections(verified(&file, 5).unwrap(), PageKind::Times).is_none());
        for at in 5..file.len() {
            let mut bad = file.clone();
            bad[at] ^= 0x10;
            assert!(verified(&bad, 5).is_err(), "at {at}");
            assert!(verified(&file[..at], 5).is_err());
        }
    }
}
