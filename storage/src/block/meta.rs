//! What a block says about itself.
//!
//! Here: [`Meta`] and its file.
//! Elsewhere: the block's other files (`block::writer`, `block::index`).
//!
//! Invariant: written last; a block without a whole meta file is no block.

use crate::TimeRange;
use crate::bytes::Reader;

/// First bytes of a meta file.
pub(crate) const META_MAGIC: [u8; 8] = *b"CAIRNMET";
/// Version of the block format: meta, index and chunks together.
pub(crate) const BLOCK_VERSION: u32 = 1;
/// Name of the file.
pub(crate) const META_FILE: &str = "meta";

/// A block's number; rises from block to block of a `Db`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct BlockId(pub(crate) u64);

/// Facts of one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Its number, also in its directory's name.
    pub(crate) id: BlockId,
    /// Where two blocks disagree about a millisecond, the lower rank wins: the number of the oldest block in it.
    pub(crate) rank: u64,
    /// From the first sample to just after the last.
    pub(crate) range: TimeRange,
    /// Series in it.
    pub(crate) series: u64,
    /// Samples in it.
    pub(crate) samples: u64,
    /// Chunks in it.
    pub(crate) chunks: u64,
    /// Length of the index file.
    pub(crate) index_bytes: u64,
    /// Length of the chunks file.
    pub(crate) chunks_bytes: u64,
    /// Blocks that went into it by compaction, those of their making included.
    pub(crate) sources: Vec<BlockId>,
    /// Length of the file of start timestamps; 0 if there is none.
    pub(crate) starts_bytes: u64,
}

/// Why bytes are no meta file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MetaError {
    /// Checksum, magic or length do not hold.
    Damaged,
    /// Of another version.
    Version(u32),
}

impl Meta {
    /// The whole file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = META_MAGIC.to_vec();
        out.extend_from_slice(&BLOCK_VERSION.to_le_bytes());
        for field in [self.id.0, self.rank, self.range.min_t as u64, self.range.max_t as u64] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        for field in [self.series, self.samples, self.chunks, self.index_bytes, self.chunks_bytes] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        let count = u32::try_from(self.sources.len()).expect("a block has far fewer sources than four billion");
        out.extend_from_slice(&count.to_le_bytes());
        for source in &self.sources {
            out.extend_from_slice(&source.0.to_le_bytes());
        }
        if self.starts_bytes > 0 {
            out.extend_from_slice(&self.starts_bytes.to_le_bytes());
        }
        let crc = crc32fast::hash(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads the whole file.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Meta, MetaError> {
        let version = checked(bytes, META_MAGIC).ok_or(MetaError::Damaged)?;
        if version != BLOCK_VERSION {
            return Err(MetaError::Version(version));
        }
        Self::decode_fields(&bytes[12..bytes.len() - 4]).ok_or(MetaError::Damaged)
    }

    fn decode_fields(fields: &[u8]) -> Option<Meta> {
        let mut r = Reader::new(fields);
        let mut meta = Meta {
            id: BlockId(r.u64()?),
            rank: r.u64()?,
            range: TimeRange::new(r.i64()?, r.i64()?),
            series: r.u64()?,
            samples: r.u64()?,
            chunks: r.u64()?,
            index_bytes: r.u64()?,
            chunks_bytes: r.u64()?,
            sources: Vec::new(),
            starts_bytes: 0,
        };
        for _ in 0..r.u32()? {
            meta.sources.push(BlockId(r.u64()?));
        }
        if !r.is_at_end() {
            meta.starts_bytes = r.u64().filter(|bytes| *bytes > 0)?;
        }
        r.is_at_end().then_some(meta)
    }
}

/// The version of a small file that begins with `magic` and a version and ends with the checksum of all before it.
pub(crate) fn checked(bytes: &[u8], magic: [u8; 8]) -> Option<u32> {
    let (body, crc) = bytes.split_last_chunk::<4>()?;
    let version = body.get(8..12)?.try_into().ok().map(u32::from_le_bytes)?;
    (body.starts_with(&magic) && u32::from_le_bytes(*crc) == crc32fast::hash(body)).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meta_round_trips_and_notices_any_flip() {
        let meta = Meta {
            id: BlockId(7),
            rank: 3,
            range: TimeRange::new(-5, 5),
            series: 1,
            samples: 2,
            chunks: 3,
            index_bytes: 4,
            chunks_bytes: 5,
            sources: vec![BlockId(3), BlockId(4)],
            starts_bytes: 6,
        };
        let bytes = meta.encode();
        assert_eq!(Meta::decode(&bytes), Ok(meta));
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert_eq!(Meta::decode(&bad), Err(MetaError::Damaged));
            assert_eq!(Meta::decode(&bytes[..at]), Err(MetaError::Damaged));
        }
    }

    #[test]
    fn a_later_version_is_named() {
        let mut bytes = META_MAGIC.to_vec();
        bytes.extend_from_slice(&9u32.to_le_bytes());
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_le_bytes());
        assert_eq!(Meta::decode(&bytes), Err(MetaError::Version(9)));
    }
}
