//! Which blocks there are.
//!
//! Here: finding them at open, numbering new ones, adding, replacing and removing.
//! Elsewhere: one block (`block`), when they are made and go (`cut`, `compact`, `retention`).
//!
//! Invariant: the list is replaced as a whole; whoever took it keeps its blocks, also when they are removed. Blocks
//! leave by a rename first, so a directory with a block's name is always meant to be one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::block::cache::{CACHE_BYTES_MAX, PageCache};
use crate::block::meta::{BLOCK_VERSION, BlockId};
use crate::block::{BLOCK_PREFIX, Block, BlockError, BlockPaths, TEMP_PREFIX};
use crate::damage::DamageLog;
use crate::db::lock;
use crate::fs::{AtPath, Fs, IoAt};
use crate::index::Damage;
use crate::{OpenError, TimeRange};

/// Directory of the blocks, below the `Db`'s.
pub(crate) const BLOCKS_DIR: &str = "blocks";
/// Begins the names of empty files that stand for blocks which retention or a deletion removed: a snapshot that relies on such a block
/// is whole without it.
const GONE_PREFIX: &str = "gone-";

/// The blocks of one `Db`.
#[derive(Debug)]
pub(crate) struct Blocks {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    /// By rising rank.
    list: RwLock<Arc<Vec<Arc<Block>>>>,
    next_id: AtomicU64,
    /// Shared by all blocks.
    cache: Arc<PageCache>,
    named: Mutex<Named>,
}

/// Blocks that kept snapshots name: without them these would not be whole.
#[derive(Debug, Default)]
struct Named {
    by_snapshots: BTreeSet<BlockId>,
    /// Those that were removed on purpose since; each has an empty file that says so.
    gone: BTreeSet<BlockId>,
}

impl Blocks {
    /// Opens all blocks in `dir`. Damaged ones are set aside; what an interrupted write or removal left is removed.
    pub(crate) fn open(fs: Arc<dyn Fs>, dir: &Path, damage: &DamageLog) -> Result<Blocks, OpenError> {
        fs.create_dir_all(dir).at(dir)?;
        let mut list = Vec::new();
        let mut next_id = 1;
        let cache = Arc::new(PageCache::new(CACHE_BYTES_MAX));
        let mut named = Named::default();
        for entry in fs.list(dir).at(dir)? {
            let path = dir.join(&entry.name);
            if !entry.is_dir {
                named.gone.extend(id_in(&entry.name, GONE_PREFIX));
            } else if entry.name.starts_with(TEMP_PREFIX) {
                fs.remove_dir_all(&path).at(&path)?;
            } else if let Some(id) = id_in(&entry.name, BLOCK_PREFIX) {
                next_id = next_id.max(id.0 + 1);
                match Block::open(fs.as_ref(), &path, &cache) {
                    Ok(block) => {
                        if let Some(what) = block.tombstone_damage() {
                            let text = format!("{}; samples that were deleted may be in this answer again", what.0);
                            damage.add(block.meta().range, text);
                        }
                        if let Some(what) = block.starts_damage() {
                            let text = format!("{}; start timestamps are missing from this answer", what.0);
                            damage.add(block.meta().range, text);
                        }
                        list.push(Arc::new(block));
                    }
                    Err(BlockError::Version(path, found)) => {
                        return Err(OpenError::Version { path, found, known: BLOCK_VERSION });
                    }
                    Err(BlockError::Damaged(what)) => set_aside(damage, &path, &entry.name, TimeRange::ALL, &what),
                }
            }
        }
        list.sort_by_key(|b| b.meta().rank);
        Ok(Blocks {
            fs,
            dir: dir.to_owned(),
            list: RwLock::new(Arc::new(list)),
            next_id: AtomicU64::new(next_id),
            cache,
            named: Mutex::new(named),
        })
    }

    /// The directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// A number that no block has had.
    pub(crate) fn new_id(&self) -> BlockId {
        BlockId(self.next_id.fetch_add(1, Ordering::Relaxed))
    }

    /// The number that the next block gets.
    pub(crate) fn next_id(&self) -> BlockId {
        BlockId(self.next_id.load(Ordering::Relaxed))
    }

    /// Makes sure that no number before `next` is given out any more.
    pub(crate) fn skip_ids(&self, next: BlockId) {
        self.next_id.fetch_max(next.0, Ordering::Relaxed);
    }

    /// The blocks now, by rising rank.
    pub(crate) fn list(&self) -> Arc<Vec<Arc<Block>>> {
        self.list.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Opens a block that was just published.
    pub(crate) fn open_new(&self, id: BlockId) -> Result<Arc<Block>, IoAt> {
        let paths = BlockPaths::new(&self.dir, id);
        match Block::open(self.fs.as_ref(), &paths.dir, &self.cache) {
            Ok(block) => Ok(Arc::new(block)),
            Err(e) => Err(std::io::Error::new(
                std::io::ErrorKind::InvalidData,
                format!("a block that was just written cannot be read: {e:?}"),
            ))
            .at(&paths.dir),
        }
    }

    /// Takes blocks out and puts others in, in one step for readers. Files are not touched.
    pub(crate) fn replace(&self, gone: &[BlockId], new: Vec<Arc<Block>>) {
        let mut list = self.list.write().unwrap_or_else(PoisonError::into_inner);
        let mut next: Vec<_> = list.iter().filter(|b| !gone.contains(&b.meta().id)).cloned().collect();
        next.extend(new);
        next.sort_by_key(|b| b.meta().rank);
        *list = Arc::new(next);
    }

    /// Takes a block out for good and removes its files. Queries that hold it go on reading.
    pub(crate) fn remove(&self, block: &Block) -> Result<(), IoAt> {
        self.note_gone(block);
        self.replace(&[block.meta().id], Vec::new());
        self.remove_files(block.meta().id)
    }

    /// Says that snapshots are whole without this block, which is about to go for good.
    ///
    /// Best effort: on a full disk removing is worth more than the note, without which the next open says that a snapshot
    /// misses the block.
    pub(crate) fn note_gone(&self, block: &Block) {
        let mut named = lock(&self.named);
        let ids = block.meta().sources.iter().chain([&block.meta().id]);
        let gone: Vec<BlockId> = ids.filter(|id| named.by_snapshots.contains(id)).copied().collect();
        for id in gone {
            if self.fs.create(&self.gone_path(id)).is_ok() {
                named.gone.insert(id);
            }
        }
    }

    /// Says that the snapshot in the making names these blocks, too.
    pub(crate) fn name_more(&self, ids: &[BlockId]) {
        lock(&self.named).by_snapshots.extend(ids);
    }

    /// Says which blocks the kept snapshots name; notes about others go.
    pub(crate) fn set_named(&self, ids: BTreeSet<BlockId>) {
        let mut named = lock(&self.named);
        let idle: Vec<BlockId> = named.gone.difference(&ids).copied().collect();
        for id in idle {
            // Left behind it does no harm: its number is never given again.
            let _ = self.fs.remove_file(&self.gone_path(id));
            named.gone.remove(&id);
        }
        named.by_snapshots = ids;
    }

    fn gone_path(&self, id: BlockId) -> PathBuf {
        self.dir.join(format!("{GONE_PREFIX}{:016x}", id.0))
    }

    /// Removes the files of a block that is not in the list.
    pub(crate) fn remove_files(&self, id: BlockId) -> Result<(), IoAt> {
        let paths = BlockPaths::new(&self.dir, id);
        self.fs.rename(&paths.dir, &paths.temp).at(&paths.dir)?;
        self.fs.remove_dir_all(&paths.temp).at(&paths.temp)?;
        self.fs.sync_dir(&self.dir).at(&self.dir)
    }

    /// Sets blocks aside whose index was found damaged; their ranges.
    pub(crate) fn quarantine(&self, damage: &DamageLog) -> Vec<TimeRange> {
        let mut gone = Vec::new();
        for block in self.list().iter() {
            if let Some(what) = block.index_damage() {
                self.replace(&[block.meta().id], Vec::new());
                let name = block.dir().file_name().and_then(|n| n.to_str()).unwrap_or("block");
                block.uncount_damage(damage);
                set_aside(damage, block.dir(), name, block.meta().range, what);
                gone.push(block.meta().range);
            }
        }
        gone
    }

    /// Numbers of the blocks, of those that went into them, and of those that are gone on purpose.
    pub(crate) fn known_ids(&self) -> BTreeSet<BlockId> {
        let list = self.list();
        let own = list.iter().map(|b| b.meta().id);
        let mut known = lock(&self.named).gone.clone();
        known.extend(own.chain(list.iter().flat_map(|b| b.meta().sources.iter().copied())));
        known
    }

    /// Bytes of all blocks.
    pub(crate) fn bytes(&self) -> u64 {
        self.list().iter().map(|b| b.bytes()).sum()
    }
}

/// The block's number in the name of a file or directory.
fn id_in(name: &str, prefix: &str) -> Option<BlockId> {
    name.strip_prefix(prefix).and_then(|n| u64::from_str_radix(n, 16).ok()).map(BlockId)
}

fn set_aside(damage: &DamageLog, path: &Path, name: &str, range: TimeRange, what: &Damage) {
    let is_moved = damage.move_here(path, name);
    let place = if is_moved { format!("moved to quarantine/{name}") } else { "left where it is".to_owned() };
    damage.add(range, format!("{}; its block is not served ({place})", what.0));
}
