//! Writing a snapshot.
//!
//! Here: the walk over the head's pages, publishing, letting go of what is no longer needed.
//! Elsewhere: why the order of steps is right (`snapshot`), when (`db`, `cut`).
//!
//! Invariant: the head's lock is held for one page at a time, the writer's only to begin a segment. Memory: one page
//! and two write buffers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use super::chunks::{ChunkFile, ChunkWriter, WRITE_BYTES};
use super::extras::{Gatherer, chunks_of};
use super::format::{
    FACTS_COPIES, FILE_HEADER_BYTES, Facts, FileHeader, KIND_END, KIND_SERIES, NeededFile, PLAIN, SNAPSHOT_MAGIC,
    facts_bytes, packed_payload, put_frame,
};
use super::{HEAD_DIR, KEPT, Kept, Name, Since, SnapshotNumbers, Snapshots, parse_name, snapshot_name, temp_name};
use crate::block::meta::BlockId;
use crate::chunk::ChunkBytes;
use crate::db::{Db, MaintainState, lock};
use crate::fs::{AtPath, Fs, FsFile, IoAt};
use crate::head::export::{Exported, Exporter, Files, Moved, Place};
use crate::index::SeriesRef;
use crate::starts::Changes;
use crate::wal::random_u64;
use crate::wal::record::FRAME_BYTES;
use crate::{Exemplar, Labels};

/// A chunk file of which less than this part is in use is written anew.
const SPARSE_PART: u64 = 2;
/// Open chunks of so many bytes are ended and go into the chunk file, where both kept snapshots find them: as open ones
/// they would be in each. Shorter ones cost more as finished chunks than they save.
const LONG_BYTES: usize = 192;
/// Chunks moved off the heap under one hold of the head's lock.
const MOVED_PORTION: usize = 512;
/// Series whose histograms are copied under one hold of the head's lock.
const HISTOGRAM_PORTION: usize = 64;
/// Series whose starts are copied under one hold of the head's lock.
const STARTS_PORTION: usize = 4096;

/// What the caller knows about the snapshot to be.
#[derive(Debug)]
pub(crate) struct Order {
    /// The caller's time.
    pub(crate) now: i64,
    /// End of the last cut, the running one included.
    pub(crate) cut_t: i64,
    /// Blocks of the running cut.
    pub(crate) blocks: Vec<BlockId>,
    /// Whether the head goes on: then its chunks move to the file.
    pub(crate) head_stays: bool,
}

impl Db {
    /// Writes a snapshot if the WAL since the last one is long or old enough.
    pub(crate) fn snapshot_if_due(&self, state: &mut MaintainState, now: i64) -> Result<(), IoAt> {
        let (bytes, _) = self.wal_since_snapshot(state);
        if !state.snapshots.is_due(now, self.since_snapshot(bytes)) {
            return Ok(());
        }
        self.snapshot_as_is(state, now)
    }

    /// Writes a snapshot of the head as it is, whatever the time.
    pub(crate) fn snapshot_as_is(&self, state: &mut MaintainState, now: i64) -> Result<(), IoAt> {
        let order = Order { now, cut_t: state.cut_t, blocks: Vec::new(), head_stays: true };
        self.write_snapshot(state, order)
    }

    /// What came since the newest snapshot, with so many bytes of WAL.
    pub(crate) fn since_snapshot(&self, bytes: u64) -> Since {
        let samples = self.appended().saturating_sub(lock(&self.snapshot).samples_before);
        Since { bytes, samples, series: self.head().series_count() }
    }

    /// Writes the snapshot that makes the next start quick, unless the last one says it all.
    pub(crate) fn snapshot_at_close(&self, state: &mut MaintainState) -> Result<(), IoAt> {
        let (_, records) = self.wal_since_snapshot(state);
        if records == 0 && !state.snapshots.is_due {
            return Ok(());
        }
        let now = state.snapshots.last.as_ref().map_or(state.now, |last| last.now.max(state.now));
        let order = Order { now, cut_t: state.cut_t, blocks: Vec::new(), head_stays: false };
        self.write_snapshot(state, order)
    }

    /// Writes a snapshot whatever the time.
    #[cfg(test)]
    pub(crate) fn snapshot_now(&self, now: i64) -> Result<(), IoAt> {
        self.snapshot_as_is(&mut self.maintaining(), now)
    }

    /// Bytes and records of the WAL that the newest snapshot does not stand for.
    fn wal_since_snapshot(&self, state: &MaintainState) -> (u64, u64) {
        let writer = lock(&self.writer);
        let (segment, next_seq) = state.snapshots.last.as_ref().map_or((0, 0), |last| (last.segment, last.next_seq));
        let bytes = writer.log.segments().iter().filter(|s| s.number >= segment).map(|s| s.bytes).sum();
        (bytes, writer.log.next_seq().saturating_sub(next_seq))
    }

    /// Writes one now. After an error the state is as before, but for files that the next one removes.
    pub(crate) fn write_snapshot(&self, state: &mut MaintainState, order: Order) -> Result<(), IoAt> {
        let start = Instant::now();
        let dir = self.dir.join(HEAD_DIR);
        self.blocks.name_more(&order.blocks);
        self.make_room(self.expected_bytes(state))?;
        let number = state.snapshots.next_number.max(1);
        state.snapshots.next_number = number + 1;
        let samples_before = self.appended();
        let run = Run::begin(self, &dir, number, &state.snapshots.files, &state.snapshots.sparse, order)?;
        let written = run.write()?;
        let snapshots = &mut state.snapshots;
        snapshots.kept.push(Kept::new(number, &written.facts));
        let surplus = snapshots.kept.len().saturating_sub(KEPT);
        snapshots.kept.drain(..surplus);
        snapshots.is_due = false;
        snapshots.sparse = sparse(&written.facts.files, &written.live);
        let t = Some(written.facts.now);
        if written.head_stays {
            let new = written.facts.files.iter().find(|f| f.number == number);
            let opened = new.map(|new| ChunkFile::open(self.fs.as_ref(), &dir, number, new.salt)).transpose();
            // If the new file cannot be mapped, its chunks stay where they are, on the heap or in a sparse file, and go into
            // the next one.
            if let Ok(opened) = opened {
                snapshots.files.retain(|number, _| written.facts.files.iter().any(|f| f.number == *number));
                if let Some(file) = opened {
                    let file = snapshots.add_file(file);
                    self.map_chunks(&written.moved, &file);
                }
            }
        }
        snapshots.last = Some(written.facts);
        *lock(&self.snapshot) = SnapshotNumbers { t, took: start.elapsed(), bytes: written.bytes, samples_before };
        self.drop_unneeded(state, &dir)
    }

    /// About what a snapshot adds: as much as the last one, and chunks of what is in the log since.
    fn expected_bytes(&self, state: &MaintainState) -> u64 {
        lock(&self.snapshot).bytes.saturating_add(self.wal_since_snapshot(state).0)
    }

    fn map_chunks(&self, moved: &[Moved], file: &Arc<ChunkFile>) {
        for portion in moved.chunks(MOVED_PORTION) {
            self.head_mut().map_chunks(portion, file);
        }
    }

    /// Removes what none of the kept snapshots needs: other snapshots, chunk files, segments.
    fn drop_unneeded(&self, state: &mut MaintainState, dir: &std::path::Path) -> Result<(), IoAt> {
        self.blocks.set_named(state.snapshots.named_blocks());
        let Snapshots { kept, files, .. } = &state.snapshots;
        let is_needed = |name: Name| match name {
            Name::Snapshot(n) => kept.iter().any(|k| k.number == n),
            Name::Chunks(n) => files.contains_key(&n) || kept.iter().any(|k| k.files.iter().any(|f| f.number == n)),
            Name::Temp(_) => false,
        };
        let mut removed = false;
        for entry in self.fs.list(dir).at(dir)? {
            if parse_name(&entry.name).is_some_and(|name| !is_needed(name)) {
                let path = dir.join(&entry.name);
                self.fs.remove_file(&path).at(&path)?;
                removed = true;
            }
        }
        if removed {
            self.fs.sync_dir(dir).at(dir)?;
        }
        let Some(oldest) = kept.first().filter(|_| kept.len() == KEPT) else { return Ok(()) };
        let gone: Vec<u64> = {
            let writer = lock(&self.writer);
            writer.log.segments().iter().map(|s| s.number).filter(|&n| n < oldest.segment).collect()
        };
        if !gone.is_empty() {
            self.wal.drop_segments(&gone).at(self.wal.dir())?;
            lock(&self.writer).log.forget(&gone);
        }
        Ok(())
    }
}

/// Files that are mostly air.
fn sparse(files: &[NeededFile], live: &[(u64, u64)]) -> Vec<u64> {
    let is_sparse = |file: &&NeededFile| {
        let live = live.iter().find(|(number, _)| *number == file.number).map_or(0, |(_, bytes)| *bytes);
        live.saturating_mul(SPARSE_PART) < file.bytes
    };
    files.iter().filter(is_sparse).map(|file| file.number).collect()
}

/// What was published.
struct Written {
    facts: Facts,
    /// Bytes in use of each chunk file.
    live: Vec<(u64, u64)>,
    moved: Vec<Moved>,
    head_stays: bool,
    bytes: u64,
}

/// A snapshot in the making.
struct Run<'a> {
    db: &'a Db,
    dir: &'a std::path::Path,
    number: u64,
    old_files: &'a Files,
    sparse: &'a [u64],
    head_stays: bool,
    facts: Facts,
    pages: usize,
    chunks: ChunkWriter<'a>,
    live: Vec<(u64, u64)>,
    moved: Vec<Moved>,
    file: FrameFile,
}

impl<'a> Run<'a> {
    fn begin(
        db: &'a Db,
        dir: &'a std::path::Path,
        number: u64,
        old_files: &'a Files,
        sparse: &'a [u64],
        order: Order,
    ) -> Result<Run<'a>, IoAt> {
        let (segment, next_seq, (next_id, pages)) = {
            let mut writer = lock(&db.writer);
            let segment = db.wal.rotate(&mut writer.log);
            (segment, writer.log.next_seq(), db.head().extent())
        };
        let facts = Facts {
            segment,
            next_seq,
            next_id: next_id.0,
            next_block: db.blocks.next_id().0,
            cut_t: order.cut_t,
            now: order.now,
            min_t: i64::MAX,
            max_t: i64::MIN,
            blocks: order.blocks,
            ..Facts::default()
        };
        // The chunk file of this snapshot may be one more.
        let facts_len = facts_bytes(old_files.len() + 1, facts.blocks.len());
        let temp = dir.join(temp_name(&snapshot_name(number)));
        let file = FrameFile::create(db.fs.as_ref(), temp, number, facts_len)?;
        let chunks = ChunkWriter::new(db.fs.as_ref(), dir, number);
        let head_stays = order.head_stays;
        let (live, moved) = (Vec::new(), Vec::new());
        Ok(Run { db, dir, number, old_files, sparse, head_stays, facts, pages, chunks, live, moved, file })
    }

    fn write(mut self) -> Result<Written, IoAt> {
        let path = self.dir.join(snapshot_name(self.number));
        let fs = self.db.fs.as_ref();
        if let Err(e) = self.write_files().and_then(|()| fs.rename(&self.file.temp, &path).at(&path)) {
            self.abandon();
            return Err(e);
        }
        // From here on the files must stay: after a crash the new name may be there or not, and either is right.
        fs.sync_dir(self.dir).at(self.dir)?;
        let Run { facts, live, moved, head_stays, file, .. } = self;
        Ok(Written { facts, live, moved, head_stays, bytes: file.written })
    }

    fn write_files(&mut self) -> Result<(), IoAt> {
        let mut total = Exported::default();
        let (mut exporter, mut contents) = (Exporter::default(), Vec::new());
        for page in 0..self.pages {
            let done = self.export(&mut exporter, page, &mut contents);
            if done.series > 0 {
                self.file.put(&packed_payload(KIND_SERIES, &contents));
                total.add(done);
            }
            self.file.flush(WRITE_BYTES)?;
            self.chunks.flush(WRITE_BYTES)?;
        }
        total.add(self.put_extras()?);
        self.facts.series = total.series;
        self.facts.samples = total.samples;
        (self.facts.min_t, self.facts.max_t) = total.range.unwrap_or((i64::MAX, i64::MIN));
        self.list_files()?;
        self.file.finish(&self.facts)
    }

    /// Histograms of the series that the pages hold, in portions, then their starts, exemplars and metadata.
    fn put_extras(&mut self) -> Result<Exported, IoAt> {
        let Run { db, facts, file, .. } = self;
        let mut total = Exported::default();
        let mut series: Vec<SeriesRef> =
            db.head().histograms().series().filter(|&series| u64::from(series) < facts.next_id).collect();
        series.sort_unstable();
        for portion in series.chunks(HISTOGRAM_PORTION) {
            let found = chunks_of(&db.head(), portion);
            total.add(Gatherer::new(|kind, contents| file.put(&packed_payload(kind, contents))).histograms(&found));
            file.flush(WRITE_BYTES)?;
        }
        self.put_starts()?;
        let Run { db, file, .. } = self;
        let (exemplars, metadata): (Vec<(Labels, Exemplar)>, _) = {
            let head = db.head();
            (head.exemplars().iter().map(|(l, e)| (l.clone(), e.clone())).collect(), head.metadata().list(None))
        };
        let mut gatherer = Gatherer::new(|kind, contents| file.put(&packed_payload(kind, contents)));
        gatherer.exemplars(&exemplars);
        gatherer.metadata(&metadata);
        file.flush(WRITE_BYTES)?;
        Ok(total)
    }

    /// After the pages: the starts of samples that came meanwhile are there, and nothing is trimmed while this runs.
    fn put_starts(&mut self) -> Result<(), IoAt> {
        let Run { db, facts, file, .. } = self;
        let mut series: Vec<SeriesRef> =
            db.head().starts().series().filter(|&series| u64::from(series) < facts.next_id).collect();
        series.sort_unstable();
        for portion in series.chunks(STARTS_PORTION) {
            let found: Vec<(SeriesRef, Changes)> = {
                let head = db.head();
                portion.iter().map(|&s| (s, head.starts().of(s).cloned().unwrap_or_default())).collect()
            };
            Gatherer::new(|kind, contents| file.put(&packed_payload(kind, contents))).starts(&found);
            file.flush(WRITE_BYTES)?;
        }
        Ok(())
    }

    /// One page under the head's lock.
    fn export(&mut self, exporter: &mut Exporter, page: usize, contents: &mut Vec<u8>) -> Exported {
        let Run { db, chunks, live, moved, sparse, facts, head_stays, .. } = self;
        let moved_before = moved.len();
        // At the end nothing is gained: the head goes, and open chunks are packed.
        if *head_stays {
            db.head_mut().seal_long(page, LONG_BYTES);
        }
        let place = |bytes: &ChunkBytes| match bytes {
            // Damaged bytes cannot be copied: they stay where they are, to be told about.
            ChunkBytes::Mapped { file, offset, len } if !sparse.contains(&file.number) || !bytes.is_whole() => {
                match live.iter_mut().find(|(number, _)| *number == file.number) {
                    Some((_, bytes)) => *bytes += u64::from(*len),
                    None => live.push((file.number, u64::from(*len))),
                }
                (Place { file: file.number, offset: *offset }, false)
            }
            _ => (Place { file: chunks.number, offset: chunks.put(bytes) }, true),
        };
        let done = exporter.page(&db.head(), page, facts.next_id, place, moved, contents);
        if !*head_stays {
            moved.truncate(moved_before);
        }
        done
    }

    /// Publishes the chunk file and lists those that the snapshot refers to.
    fn list_files(&mut self) -> Result<(), IoAt> {
        for (number, _) in &self.live {
            let file = self.old_files.get(number).expect("a mapped chunk's file is listed until no snapshot has it");
            self.facts.files.push(NeededFile { number: *number, salt: file.salt, bytes: file.len() });
        }
        if self.chunks.finish()? {
            let (number, salt, bytes) = (self.chunks.number, self.chunks.salt, self.chunks.len());
            self.facts.files.push(NeededFile { number, salt, bytes });
            self.live.push((number, bytes));
        }
        self.facts.files.sort_by_key(|file| file.number);
        Ok(())
    }

    /// Best effort: what is left behind goes with the next snapshot or open.
    fn abandon(&self) {
        let chunks = super::chunks_name(self.number);
        for path in [self.file.temp.clone(), self.dir.join(temp_name(&chunks)), self.dir.join(chunks)] {
            let _ = self.db.fs.remove_file(&path);
        }
    }
}

/// The snapshot's own file: header, room for the facts, frames.
struct FrameFile {
    temp: PathBuf,
    file: Arc<dyn FsFile>,
    header: FileHeader,
    facts_len: usize,
    seq: u64,
    written: u64,
    buf: Vec<u8>,
}

impl FrameFile {
    fn create(fs: &dyn Fs, temp: PathBuf, number: u64, facts_len: usize) -> Result<FrameFile, IoAt> {
        let file = fs.create(&temp).at(&temp)?;
        let written = (FILE_HEADER_BYTES + FACTS_COPIES as usize * (FRAME_BYTES + facts_len)) as u64;
        let header = FileHeader { number, salt: random_u64() };
        Ok(FrameFile { temp, file, header, facts_len, seq: FACTS_COPIES, written, buf: Vec::new() })
    }

    fn put(&mut self, payload: &[u8]) {
        put_frame(&mut self.buf, self.header.salt, self.seq, payload);
        self.seq += 1;
    }

    fn flush(&mut self, bytes_min: usize) -> Result<(), IoAt> {
        if self.buf.len() >= bytes_min {
            self.file.write_at(&self.buf, self.written).at(&self.temp)?;
            self.written += self.buf.len() as u64;
            self.buf.clear();
        }
        Ok(())
    }

    /// The end, then what stands at the front; on the disk afterwards, under its temporary name.
    fn finish(&mut self, facts: &Facts) -> Result<(), IoAt> {
        self.put(&[KIND_END, PLAIN]);
        self.flush(0)?;
        let mut front = self.header.encode(SNAPSHOT_MAGIC).to_vec();
        let payload = facts.encode(self.facts_len);
        for seq in 0..FACTS_COPIES {
            put_frame(&mut front, self.header.salt, seq, &payload);
        }
        self.file.write_at(&front, 0).at(&self.temp)?;
        self.file.sync().at(&self.temp)
    }
}
