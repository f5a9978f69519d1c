//! The bytes of a snapshot.
//!
//! Here: the headers of its files, its frames, and what its header frame says ([`Facts`]).
//! Elsewhere: what a frame of series holds (`head::export`), the walk over frames (`wal::scan`), tables (`FORMAT.md`).
//!
//! Invariant: whatever the checksums do not cover is not believed; the length of every list is checked before memory
//! is taken for it.

use crate::block::meta::BlockId;
use crate::bytes::{Reader, put_varint};
use crate::wal::record::{FRAME_BYTES, seal_frame};

/// First bytes of a snapshot.
pub(crate) const SNAPSHOT_MAGIC: [u8; 8] = *b"CAIRNSNP";
/// First bytes of a chunk file.
pub(crate) const CHUNKS_MAGIC: [u8; 8] = *b"CAIRNHCK";
/// Version of both.
pub(crate) const VERSION: u32 = 1;
/// Two copies of magic, version, number, salt, checksum.
pub(crate) const FILE_HEADER_BYTES: usize = 64;
const HEADER_COPY_BYTES: usize = FILE_HEADER_BYTES / 2;
/// Kind of the frame that says what the snapshot stands for.
pub(crate) const KIND_FACTS: u8 = 1;
/// Kind of a frame of series.
pub(crate) const KIND_SERIES: u8 = 2;
/// Kind of the last frame.
pub(crate) const KIND_END: u8 = 3;
/// Kind of a frame of native histograms.
pub(crate) const KIND_HISTOGRAMS: u8 = 4;
/// Kind of a frame of exemplars.
pub(crate) const KIND_EXEMPLARS: u8 = 5;
/// Kind of a frame of metadata.
pub(crate) const KIND_METADATA: u8 = 6;
/// Kind of a frame of start timestamps.
pub(crate) const KIND_STARTS: u8 = 7;
/// A frame's contents follow as they are.
pub(crate) const PLAIN: u8 = 0;
/// A frame's contents follow as their length (varint) and a zstd frame.
pub(crate) const ZSTD: u8 = 1;
/// The facts stand twice at the front.
pub(crate) const FACTS_COPIES: u64 = 2;
/// No frame of 512 series comes near this; a larger claim is damage.
const CONTENTS_BYTES_MAX: u64 = 1 << 30;
const ZSTD_LEVEL: i32 = 1;

/// What either kind of file says about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FileHeader {
    /// Also in its name.
    pub(crate) number: u64,
    /// Random; part of the checksums in it.
    pub(crate) salt: u64,
}

/// Why there is no header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HeaderError {
    /// Neither copy is whole.
    Damaged,
    /// Of another version.
    Version(u32),
}

impl FileHeader {
    /// Both copies.
    pub(crate) fn encode(self, magic: [u8; 8]) -> [u8; FILE_HEADER_BYTES] {
        let mut out = [0u8; FILE_HEADER_BYTES];
        out[..8].copy_from_slice(&magic);
        out[8..12].copy_from_slice(&VERSION.to_le_bytes());
        out[12..20].copy_from_slice(&self.number.to_le_bytes());
        out[20..28].copy_from_slice(&self.salt.to_le_bytes());
        let crc = crc32fast::hash(&out[..28]);
        out[28..32].copy_from_slice(&crc.to_le_bytes());
        out.copy_within(..HEADER_COPY_BYTES, HEADER_COPY_BYTES);
        out
    }

    /// The first copy that is whole.
    pub(crate) fn decode(bytes: &[u8], magic: [u8; 8]) -> Result<FileHeader, HeaderError> {
        let copies = bytes.get(..FILE_HEADER_BYTES).unwrap_or(bytes).chunks_exact(HEADER_COPY_BYTES);
        let (version, header) =
            copies.into_iter().find_map(|copy| decode_copy(copy, magic)).ok_or(HeaderError::Damaged)?;
        if version == VERSION { Ok(header) } else { Err(HeaderError::Version(version)) }
    }
}

fn decode_copy(copy: &[u8], magic: [u8; 8]) -> Option<(u32, FileHeader)> {
    let mut r = Reader::new(copy);
    let found = r.bytes(8)?;
    let version = r.u32()?;
    let header = FileHeader { number: r.u64()?, salt: r.u64()? };
    (found == magic && r.u32()? == crc32fast::hash(copy.get(..28)?)).then_some((version, header))
}

/// A chunk file that a snapshot needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NeededFile {
    /// Its number.
    pub(crate) number: u64,
    /// Its salt.
    pub(crate) salt: u64,
    /// Its length.
    pub(crate) bytes: u64,
}

/// What a snapshot stands for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// First WAL segment to be replayed after it.
    pub(crate) segment: u64,
    /// Number of the first record in it.
    pub(crate) next_seq: u64,
    /// Number of the next new series.
    pub(crate) next_id: u64,
    /// Number of the next new block.
    pub(crate) next_block: u64,
    /// End of the last cut.
    pub(crate) cut_t: i64,
    /// When it was written, as the caller of `maintain` has it.
    pub(crate) now: i64,
    /// Series in it.
    pub(crate) series: u64,
    /// Samples in it, those in chunk files included.
    pub(crate) samples: u64,
    /// Its oldest sample.
    pub(crate) min_t: i64,
    /// Its newest sample.
    pub(crate) max_t: i64,
    /// Chunk files that it refers to.
    pub(crate) files: Vec<NeededFile>,
    /// Blocks of the cut that it ends: what they hold is not in it.
    pub(crate) blocks: Vec<BlockId>,
}

/// Bytes of the facts' payload with so many files and blocks.
pub(crate) fn facts_bytes(files: usize, blocks: usize) -> usize {
    2 + 10 * 8 + 4 + files * 24 + 4 + blocks * 8
}

impl Facts {
    /// The payload, filled up with zeros to `bytes`: it is written when all is known, at a place kept for it.
    pub(crate) fn encode(&self, bytes: usize) -> Vec<u8> {
        let mut out = vec![KIND_FACTS, PLAIN];
        for field in [self.segment, self.next_seq, self.next_id, self.next_block, self.cut_t as u64] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.now as u64, self.series, self.samples, self.min_t as u64, self.max_t as u64] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let count = |len: usize| u32::try_from(len).expect("far fewer than four billion files or blocks").to_le_bytes();
        out.extend_from_slice(&count(self.files.len()));
        for file in &self.files {
            for field in [file.number, file.salt, file.bytes] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
        out.extend_from_slice(&count(self.blocks.len()));
        self.blocks.iter().for_each(|id| out.extend_from_slice(&id.0.to_le_bytes()));
        assert!(out.len() <= bytes, "the place kept for the facts was reckoned with all files and blocks");
        out.resize(bytes, 0);
        out
    }

    /// Reads a payload.
    pub(crate) fn decode(payload: &[u8]) -> Option<Facts> {
        let mut r = Reader::new(payload.strip_prefix(&[KIND_FACTS, PLAIN])?);
        let mut facts = Facts {
            segment: r.u64()?,
            next_seq: r.u64()?,
            next_id: r.u64()?,
            next_block: r.u64()?,
            cut_t: r.i64()?,
            now: r.i64()?,
            series: r.u64()?,
            samples: r.u64()?,
            min_t: r.i64()?,
            max_t: r.i64()?,
            ..Facts::default()
        };
        for _ in 0..r.u32()? {
            facts.files.push(NeededFile { number: r.u64()?, salt: r.u64()?, bytes: r.u64()? });
        }
        for _ in 0..r.u32()? {
            facts.blocks.push(BlockId(r.u64()?));
        }
        Some(facts)
    }
}

/// Appends a frame with a payload that is ready.
pub(crate) fn put_frame(out: &mut Vec<u8>, salt: u64, seq: u64, payload: &[u8]) {
    let start = out.len();
    out.resize(start + FRAME_BYTES, 0);
    out.extend_from_slice(payload);
    seal_frame(&mut out[start..], salt, seq);
}

/// The payload of a frame of this kind, compressed if that makes it smaller.
pub(crate) fn packed_payload(kind: u8, contents: &[u8]) -> Vec<u8> {
    let mut out = vec![kind, ZSTD];
    put_varint(&mut out, contents.len() as u64);
    match zstd::bulk::compress(contents, ZSTD_LEVEL) {
        Ok(packed) if packed.len() < contents.len() => out.extend_from_slice(&packed),
        _ => {
            out.truncate(1);
            out.push(PLAIN);
            out.extend_from_slice(contents);
        }
    }
    out
}

/// A frame's kind, and its contents in `out`, which is replaced.
pub(crate) fn unpacked_contents(payload: &[u8], out: &mut Vec<u8>) -> Option<u8> {
    out.clear();
    let mut r = Reader::new(payload);
    let (kind, packing) = (r.u8()?, r.u8()?);
    if packing == PLAIN {
        out.extend_from_slice(r.bytes(r.remaining())?);
        return Some(kind);
    }
    let len = r.varint().filter(|&len| packing == ZSTD && len <= CONTENTS_BYTES_MAX)?;
    out.resize(usize::try_from(len).ok()?, 0);
    let found = zstd::bulk::decompress_to_buffer(r.bytes(r.remaining())?, out.as_mut_slice());
    (found.ok()? as u64 == len).then_some(kind)
}
