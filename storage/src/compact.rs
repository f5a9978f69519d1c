//! Compaction: several blocks become one.
//!
//! Here: which blocks belong together, and merging them series by series.
//! Elsewhere: merging one series' chunks (`merge`), writing (`block::writer`).
//!
//! Invariant: the new block is published and listed before the old ones go, and names them as its sources. A block with
//! damage is never merged: what could be saved from it later must not be lost now.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::block::Block;
use crate::block::index::Index;
use crate::block::meta::BlockId;
use crate::block::writer::BlockWriter;
use crate::db::{Db, MaintainState, lock};
use crate::fs::IoAt;
use crate::head::series::{Sealed, encode_run};
use crate::index::{Damage, SeriesRef};
use crate::merge::merge_chunks;
use crate::tombstone::{Tombstones, strip};
use crate::{Columns, TimeRange, chunk};

/// Lengths of merged blocks, in lengths of fresh ones: 8 h and a day for 2 h.
const LEVELS: [i64; 2] = [4, 12];
/// A window with so many blocks is merged even if one of them outweighs the others.
const BLOCKS_MAX: usize = 8;
/// Merged blocks are at most this part of retention long, so that age removes them in small steps.
const RETENTION_PARTS: i64 = 10;

/// Why a merge was not done.
pub(crate) enum Stop {
    Io(IoAt),
    Damage,
}

impl Db {
    /// Merges what belongs together, one group after the other.
    pub(crate) fn compact(&self, state: &mut MaintainState) -> Result<(), IoAt> {
        for level in LEVELS {
            let window_ms = self.options.block_ms.saturating_mul(level);
            let retention_ms = lock(&self.retention).ms.unwrap_or(i64::MAX);
            if window_ms > retention_ms / RETENTION_PARTS {
                return Ok(());
            }
            for group in groups(&self.blocks.list(), window_ms, state.cut_t, &state.never_merge) {
                if !self.has_room_for(&group)? {
                    return Ok(());
                }
                match self.merge(&group) {
                    Ok(()) => {}
                    Err(Stop::Io(e)) => return Err(e),
                    Err(Stop::Damage) => state.never_merge.extend(group.iter().map(|b| b.meta().id)),
                }
            }
        }
        Ok(())
    }

    /// For a moment old and new are both there: that must fit the limit, or retention would delete what need not go.
    fn has_room_for(&self, group: &[Arc<Block>]) -> Result<bool, IoAt> {
        let Some(bytes_max) = lock(&self.retention).bytes else { return Ok(true) };
        let new: u64 = group.iter().map(|b| b.bytes()).sum();
        Ok(self.own_bytes()?.saturating_add(new) <= bytes_max)
    }

    /// Writes the blocks of `group` as one, without what is deleted of them.
    pub(crate) fn merge(&self, group: &[Arc<Block>]) -> Result<(), Stop> {
        let sources = group.iter().map(|b| self.source(b)).collect::<Result<Vec<_>, _>>().map_err(|_| Stop::Damage)?;
        let (symbols, sources) = unite(sources).map_err(|_| Stop::Damage)?;
        let id = self.blocks.new_id();
        let mut writer = BlockWriter::new(self.fs.as_ref(), self.blocks.dir(), id, symbols).map_err(Stop::Io)?;
        if let Err(stop) = merge_series(&mut writer, sources) {
            writer.abandon();
            return Err(stop);
        }
        let rank = group.iter().map(|b| b.meta().rank).min().unwrap_or(id.0);
        let ids: Vec<BlockId> = group.iter().map(|b| b.meta().id).collect();
        let mut all: BTreeSet<BlockId> = ids.iter().copied().collect();
        all.extend(group.iter().flat_map(|b| b.meta().sources.iter().copied()));
        // None if all was deleted.
        let meta = writer.finish(rank, all.into_iter().collect()).map_err(Stop::Io)?;
        let new = meta.map(|meta| self.blocks.open_new(meta.id)).transpose().map_err(Stop::Io)?;
        self.blocks.replace(&ids, new.into_iter().collect());
        ids.iter().try_for_each(|&old| self.blocks.remove_files(old)).map_err(Stop::Io)
    }

    fn source(&self, block: &Arc<Block>) -> Result<Source, Damage> {
        let index = block.index(&self.damage)?;
        let symbols = (0..index.symbol_count()).map(|s| index.symbol(s).map(str::to_owned));
        let symbols = symbols.collect::<Result<_, _>>()?;
        let tombstones = block.tombstones();
        Ok(Source { block: block.clone(), symbols, ranks: Vec::new(), next: 0, tombstones })
    }
}

/// Blocks that lie in the same window, where the window is past and merging is worth its writing.
fn groups(blocks: &[Arc<Block>], window_ms: i64, cut_t: i64, never: &BTreeSet<BlockId>) -> Vec<Vec<Arc<Block>>> {
    let mut windows: BTreeMap<i64, Vec<Arc<Block>>> = BTreeMap::new();
    for block in blocks.iter().filter(|b| !never.contains(&b.meta().id)) {
        let range = block.meta().range;
        let window = range.min_t.div_euclid(window_ms);
        let is_inside = (range.max_t - 1).div_euclid(window_ms) == window;
        let is_past = window.checked_add(1).and_then(|w| w.checked_mul(window_ms)).is_some_and(|end| end <= cut_t);
        if is_inside && is_past {
            windows.entry(window).or_default().push(block.clone());
        }
    }
    windows.into_values().filter(|group| is_worth(group)).collect()
}

/// Late samples make small blocks beside a large one; rewriting the large one waits until they weigh something.
fn is_worth(group: &[Arc<Block>]) -> bool {
    let bytes: u64 = group.iter().map(|b| b.bytes()).sum();
    let largest = group.iter().map(|b| b.bytes()).max().unwrap_or(0);
    group.len() >= BLOCKS_MAX || (group.len() >= 2 && (bytes - largest) * 4 >= largest)
}

/// A block on its way into a merge.
struct Source {
    block: Arc<Block>,
    symbols: Vec<String>,
    /// By the block's symbol: the place in the united table.
    ranks: Vec<u32>,
    next: SeriesRef,
    tombstones: Arc<Tombstones>,
}

/// One series of a source: labels in the united table, where it is, and what of it is deleted.
struct Next {
    labels: Vec<(u32, u32)>,
    chunks: Vec<crate::block::ChunkRef>,
    gone: Option<Arc<[TimeRange]>>,
}

impl Source {
    fn index(&self) -> Result<&Index, Damage> {
        match self.block.index_damage() {
            Some(damage) => Err(damage.clone()),
            None => Ok(self.block.index_unchecked()),
        }
    }

    fn advance(&mut self) -> Result<Option<Next>, Damage> {
        if u64::from(self.next) >= self.block.meta().series {
            return Ok(None);
        }
        let (labels, chunks) = self.index()?.series(self.next)?;
        let gone = self.tombstones.of(self.next).cloned();
        self.next += 1;
        let rank = |symbol: u32| self.ranks.get(symbol as usize).copied();
        let labels = labels.iter().map(|&(n, v)| Some((rank(n)?, rank(v)?))).collect::<Option<Vec<_>>>();
        let labels = labels.ok_or_else(|| Damage("a series uses a symbol that is not there".to_owned()))?;
        Ok(Some(Next { labels, chunks, gone }))
    }
}

/// The union of the sources' symbols, and each source's places in it.
fn unite(mut sources: Vec<Source>) -> Result<(Vec<Arc<str>>, Vec<Source>), Damage> {
    let united: BTreeSet<&str> = sources.iter().flat_map(|s| s.symbols.iter().map(String::as_str)).collect();
    let united: Vec<Arc<str>> = united.into_iter().map(Arc::from).collect();
    for source in &mut sources {
        let place = |text: &String| united.binary_search_by(|there| (**there).cmp(text.as_str()));
        let ranks = std::mem::take(&mut source.symbols);
        source.ranks = ranks.iter().map(|text| place(text).map_or(0, |at| at as u32)).collect();
    }
    Ok((united, sources))
}

fn merge_series(writer: &mut BlockWriter<'_>, mut sources: Vec<Source>) -> Result<(), Stop> {
    let mut heads = Vec::with_capacity(sources.len());
    for source in &mut sources {
        heads.push(source.advance().map_err(|_| Stop::Damage)?);
    }
    while let Some(labels) = heads.iter().flatten().map(|next| &next.labels).min().cloned() {
        let mut chunks = Vec::new();
        for (head, source) in heads.iter_mut().zip(&mut sources) {
            if head.as_ref().is_none_or(|next| next.labels != labels) {
                continue;
            }
            if let Some(Next { chunks: found, gone, .. }) = head.take() {
                for chunk in found {
                    let copy = copy_chunk(&source.block, &chunk).ok_or(Stop::Damage)?;
                    chunks.extend(less(copy, gone.as_deref()).ok_or(Stop::Damage)?);
                }
            }
            *head = source.advance().map_err(|_| Stop::Damage)?;
        }
        let merged = merge_chunks(chunks).ok_or(Stop::Damage)?;
        if !merged.is_empty() {
            writer.add(&labels, &merged).map_err(Stop::Io)?;
        }
    }
    Ok(())
}

fn copy_chunk(block: &Block, chunk: &crate::block::ChunkRef) -> Option<Sealed> {
    let bytes = block.chunk_bytes(chunk).ok()?;
    Some(Sealed { min_t: chunk.min_t, max_t: chunk.max_t, count: chunk.count, is_taken: false, bytes: bytes.into() })
}

/// The chunk less what is deleted of it, which may be all: `Some(None)`. `None` if it cannot be decoded.
fn less(chunk: Sealed, gone: Option<&[TimeRange]>) -> Option<Option<Sealed>> {
    let touches = |range: &TimeRange| range.min_t <= chunk.max_t && chunk.min_t < range.max_t;
    let Some(gone) = gone.filter(|gone| gone.iter().any(touches)) else { return Some(Some(chunk)) };
    let mut found = Columns::default();
    chunk::decode_into(&chunk.bytes, chunk.count, i64::MIN, i64::MAX, &mut found)?;
    strip(gone, &mut found, 0);
    let kept: Vec<(i64, u64)> = found.t.iter().copied().zip(found.v.iter().map(|v| v.to_bits())).collect();
    Some(encode_run(&kept))
}
