//! Blocks.
use crate::*;
#[derive(Debug)]
pub(crate) struct Block;
#[derive(Debug, Clone)]
pub(crate) struct ChunkRef { pub(crate) min_t: i64, pub(crate) max_t: i64 }
impl Block {
    pub(crate) fn read_chunk(&self, _c: &ChunkRef, _r: TimeRange, _o: &mut Columns) -> Result<(), ReadError> { Ok(()) }
}
