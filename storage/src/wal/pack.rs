//! Sections of WAL records: compressed where that helps.
//!
//! Here: zstd with contexts that are kept, and the declared length that bounds what a reader allocates.
//! Elsewhere: what is in a section (`wal::record`).
//!
//! Invariant: a reader allocates at most [`PACKED_MAX`] bytes for a section, whatever it claims.

use std::fmt;
use std::io;

use zstd::bulk::{Compressor, Decompressor};
use zstd::zstd_safe::CParameter;

use crate::bytes::{Reader, put_varint};

/// Smaller sections are stored as they are: a zstd frame costs ten bytes and two microseconds.
pub(crate) const PACKED_MIN: usize = 64;
/// Larger sections are stored as they are: it bounds what a reader allocates for a few bytes.
pub(crate) const PACKED_MAX: usize = 4 << 20;
/// Speed counts: this runs for each push.
const LEVEL: i32 = 1;

/// The writer's context.
pub(crate) struct Packer {
    zstd: Compressor<'static>,
    packed: Vec<u8>,
}

/// The reader's context.
pub(crate) struct Unpacker {
    zstd: Decompressor<'static>,
}

impl fmt::Debug for Packer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Packer").finish_non_exhaustive()
    }
}

impl fmt::Debug for Unpacker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unpacker").finish_non_exhaustive()
    }
}

impl Packer {
    /// A context; an error means that there is no memory for it.
    pub(crate) fn new() -> io::Result<Self> {
        let mut zstd = Compressor::new(LEVEL)?;
        // The section has its length before it.
        zstd.set_parameter(CParameter::ContentSizeFlag(false))?;
        // Short matches between codes are chance and cost more than the codes themselves.
        zstd.set_parameter(CParameter::MinMatch(7))?;
        Ok(Packer { zstd, packed: Vec::new() })
    }

    /// Appends a section: its length; its packed length, 0 if it is stored as it is; its bytes.
    pub(crate) fn put_section(&mut self, out: &mut Vec<u8>, raw: &[u8]) {
        put_varint(out, raw.len() as u64);
        if (PACKED_MIN..=PACKED_MAX).contains(&raw.len()) {
            self.packed.clear();
            self.packed.reserve(zstd::zstd_safe::compress_bound(raw.len()));
            let len = self.zstd.compress_to_buffer(raw, &mut self.packed);
            if len.is_ok_and(|len| len > 0 && len < raw.len()) {
                put_varint(out, self.packed.len() as u64);
                out.extend_from_slice(&self.packed);
                return;
            }
        }
        out.push(0);
        out.extend_from_slice(raw);
    }
}

impl Unpacker {
    /// A context; an error means that there is no memory for it.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Unpacker { zstd: Decompressor::new()? })
    }

    /// The next section: part of the payload, or unpacked into `room`.
    pub(crate) fn section<'a>(&mut self, r: &mut Reader<'a>, room: &'a mut Vec<u8>) -> Option<&'a [u8]> {
        let raw_len = usize::try_from(r.varint()?).ok()?;
        let packed_len = r.count(1)?;
        if packed_len == 0 {
            return r.bytes(raw_len);
        }
        if raw_len > PACKED_MAX {
            return None;
        }
        room.clear();
        room.reserve_exact(raw_len);
        let len = self.zstd.decompress_to_buffer(r.bytes(packed_len)?, room).ok()?;
        (len == raw_len).then_some(room.as_slice())
    }
}
