//! The write-ahead log: numbered segments of records.
//!
//! Here: appending, rotating, group commit, dropping old segments.
//! Elsewhere: bytes of a record (`wal::record`, `values`, `names`, `runs`, `pack`), walking segments (`wal::scan`), rebuilding the head (`wal::replay`).
//!
//! Invariant: when [`Wal::append`] returns, the record is with the operating system as a whole or not at all; when
//! [`Wal::sync_to`] returns, everything up to that position is on the disk. After a failed fsync nobody knows what
//! is on the disk, so nothing is written any more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use self::record::{Encoder, Record, WalSample};
use self::scan::{Header, VERSION, encode_header};
use crate::fs::{Fs, FsFile};
use crate::{AppendError, Labels, SeriesId};

mod ahead;
pub(crate) mod fuzzing;
mod names;
pub(crate) mod pack;
pub(crate) mod record;
pub(crate) mod replay;
mod runs;
pub(crate) mod scan;
mod starts;
pub(crate) mod values;

/// A segment that reaches this size is followed by a new one. Each segment states every value of its series once
/// (about 4 bytes), so small ones cost: 3 % at 100 k series, a quarter at 1 M. Large ones cost when a whole file is
/// lost, not when a part of it is damaged: what follows proves itself.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 16 << 20;

/// The record's buffer keeps so much memory; a larger one is for a rare batch.
const BUFFER_BYTES_KEPT: usize = 1 << 20;

/// Position in the log: bytes written since open.
pub(crate) type Lsn = u64;

/// A segment that is complete or being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Rises by one.
    pub(crate) number: u64,
    /// Its length.
    pub(crate) bytes: u64,
}

/// The log of one `Db`. Lock order: the appender's state (outside, in `db`) before [`Commit`].
#[derive(Debug)]
pub(crate) struct Wal {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    commit: Mutex<Commit>,
    synced: Condvar,
}

/// The single appender's state; whoever holds it mutably is the only writer.
#[derive(Debug)]
pub(crate) struct Appender {
    segments: Vec<Segment>,
    current: Option<Current>,
    next_number: u64,
    next_seq: u64,
    written: Lsn,
    buf: Vec<u8>,
    encoder: Encoder,
}

#[derive(Debug)]
struct Current {
    path: Arc<Path>,
    file: Arc<dyn FsFile>,
    salt: u64,
}

/// What is written and what is synced.
#[derive(Debug, Default)]
struct Commit {
    written: Lsn,
    synced: Lsn,
    /// Files with bytes that no finished fsync covers.
    dirty: Dirty,
    /// An empty list, kept for its memory: appending allocates nothing.
    spare: Dirty,
    /// A segment was created since the directory was synced.
    dir_dirty: bool,
    /// Somebody is in fsync; the others wait and share the next one.
    running: bool,
    poison: Option<String>,
}

type Dirty = Vec<(Arc<Path>, Arc<dyn FsFile>)>;

/// The name of segment `number`.
pub(crate) fn segment_name(number: u64) -> String {
    format!("{number:08}.wal")
}

impl Wal {
    /// A log that goes on after `segments`, the last of which may still need an fsync.
    pub(crate) fn new(
        fs: Arc<dyn Fs>,
        dir: &Path,
        segments: Vec<Segment>,
        next_number: u64,
        next_seq: u64,
    ) -> io::Result<(Wal, Appender)> {
        let mut commit = Commit::default();
        if let Some(last) = segments.last() {
            let path = dir.join(segment_name(last.number));
            let file = fs.open_write(&path)?;
            commit.dirty.push((path.into(), file));
            commit.dir_dirty = true;
            commit.written = 1;
        }
        let written = commit.written;
        let wal = Wal { fs, dir: dir.to_owned(), commit: Mutex::new(commit), synced: Condvar::new() };
        let encoder = Encoder::new()?;
        let appender = Appender { segments, current: None, next_number, next_seq, written, buf: Vec::new(), encoder };
        Ok((wal, appender))
    }

    /// Writes a batch as one record. On error nothing of it stays in the log, and a later call may succeed.
    pub(crate) fn append<'a>(
        &self,
        at: &mut Appender,
        series: impl ExactSizeIterator<Item = (SeriesId, &'a Labels)> + Clone,
        samples: &[WalSample],
    ) -> Result<Lsn, AppendError> {
        self.write(at, |encoder, buf, place| encoder.put_batch(buf, place, series, samples))
    }

    /// Writes a record of another kind; as [`Wal::append`].
    pub(crate) fn append_record(&self, at: &mut Appender, record: Record<'_>) -> Result<Lsn, AppendError> {
        self.write(at, |encoder, buf, place| encoder.put_record(buf, place, record))
    }

    /// Writes what `put` makes of the segment's salt and the record's number.
    fn write(
        &self,
        at: &mut Appender,
        put: impl FnOnce(&mut Encoder, &mut Vec<u8>, (u64, u64)),
    ) -> Result<Lsn, AppendError> {
        self.check()?;
        if at.current.is_none() || at.last_bytes() >= SEGMENT_BYTES_MAX {
            self.start_segment(at)?;
        }
        let current = at.current.as_ref().expect("a segment was just started");
        let segment = at.segments.last_mut().expect("the current segment is listed");
        at.buf.clear();
        put(&mut at.encoder, &mut at.buf, (current.salt, at.next_seq));
        if let Err(e) = current.file.write_at(&at.buf, segment.bytes) {
            let error = wal_error(&current.path, &e);
            // No later record may differ from one that is not there.
            at.encoder.clear();
            if current.file.set_len(segment.bytes).is_err() {
                // The torn record stays; it is skipped at replay, and the next record goes to a new segment.
                at.current = None;
            }
            return Err(error);
        }
        segment.bytes += at.buf.len() as u64;
        at.next_seq += 1;
        at.written += at.buf.len() as u64;
        at.buf.shrink_to(BUFFER_BYTES_KEPT);
        let mut commit = self.lock();
        commit.written = at.written;
        if commit.dirty.last().is_none_or(|(path, _)| !Arc::ptr_eq(path, &current.path)) {
            commit.dirty.push((current.path.clone(), current.file.clone()));
        }
        Ok(at.written)
    }

    /// Ends the current segment: the next record starts a new one. Returns the number that one will have.
    pub(crate) fn rotate(&self, at: &mut Appender) -> u64 {
        at.current = None;
        at.next_number
    }

    fn start_segment(&self, at: &mut Appender) -> Result<(), AppendError> {
        let path: Arc<Path> = self.dir.join(segment_name(at.next_number)).into();
        let salt = random_u64();
        let header = encode_header(Header { version: VERSION, number: at.next_number, salt });
        let file = self.fs.create(&path).map_err(|e| wal_error(&path, &e))?;
        if let Err(e) = file.write_at(&header, 0) {
            // Best effort: replay passes over a segment without records.
            let _ = self.fs.remove_file(&path);
            return Err(wal_error(&path, &e));
        }
        self.lock().dir_dirty = true;
        at.segments.push(Segment { number: at.next_number, bytes: header.len() as u64 });
        at.next_number += 1;
        at.encoder.clear();
        at.current = Some(Current { path, file, salt });
        Ok(())
    }

    /// Waits until everything up to `lsn` is on the disk. Callers that come while an fsync runs share the next one.
    pub(crate) fn sync_to(&self, lsn: Lsn) -> Result<(), AppendError> {
        let mut commit = self.lock();
        loop {
            if let Some(message) = &commit.poison {
                return Err(AppendError::Poisoned { message: message.clone() });
            }
            if commit.synced >= lsn {
                return Ok(());
            }
            if commit.running {
                commit = self.synced.wait(commit).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            commit = self.run_sync(commit);
        }
    }

    /// Leads one fsync of everything written so far.
    fn run_sync<'a>(&'a self, mut commit: MutexGuard<'a, Commit>) -> MutexGuard<'a, Commit> {
        commit.running = true;
        let target = commit.written;
        let spare = std::mem::take(&mut commit.spare);
        let mut dirty = std::mem::replace(&mut commit.dirty, spare);
        let dir_dirty = std::mem::take(&mut commit.dir_dirty);
        drop(commit);
        let result = self.sync_files(&dirty, dir_dirty);
        dirty.clear();
        let mut commit = self.lock();
        commit.spare = dirty;
        commit.running = false;
        match result {
            Ok(()) => commit.synced = commit.synced.max(target),
            Err(message) => commit.poison = Some(message),
        }
        self.synced.notify_all();
        commit
    }

    fn sync_files(&self, dirty: &[(Arc<Path>, Arc<dyn FsFile>)], dir_dirty: bool) -> Result<(), String> {
        for (path, file) in dirty {
            file.sync().map_err(|e| format!("{}: {e}", path.display()))?;
        }
        if dir_dirty {
            self.fs.sync_dir(&self.dir).map_err(|e| format!("{}: {e}", self.dir.display()))?;
        }
        Ok(())
    }

    /// Everything written so far.
    pub(crate) fn written(&self) -> Lsn {
        self.lock().written
    }

    /// Refuses once an fsync has failed.
    pub(crate) fn check(&self) -> Result<(), AppendError> {
        match &self.lock().poison {
            Some(message) => Err(AppendError::Poisoned { message: message.clone() }),
            None => Ok(()),
        }
    }

    /// Forgets a failed fsync: the caller made everything that was ever written durable by other means, and ended the
    /// current segment. Callers that still wait for their part are right to go on.
    pub(crate) fn heal(&self) {
        let mut commit = self.lock();
        commit.poison = None;
        commit.dirty.clear();
        commit.synced = commit.written;
    }

    /// Removes segments.
    pub(crate) fn drop_segments(&self, numbers: &[u64]) -> io::Result<()> {
        for &number in numbers {
            match self.fs.remove_file(&self.dir.join(segment_name(number))) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
        }
        self.fs.sync_dir(&self.dir)
    }

    /// The log's directory.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn lock(&self) -> MutexGuard<'_, Commit> {
        self.commit.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Appender {
    /// All segments, oldest first.
    pub(crate) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// Forgets segments that are gone from the disk.
    pub(crate) fn forget(&mut self, numbers: &[u64]) {
        self.segments.retain(|s| !numbers.contains(&s.number));
    }

    /// The segment that the next record goes to.
    pub(crate) fn next_segment(&self) -> u64 {
        let current = self.segments.last().filter(|_| self.current.is_some());
        current.filter(|s| s.bytes < SEGMENT_BYTES_MAX).map_or(self.next_number, |s| s.number)
    }

    /// The number of the next record.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.iter().map(|s| s.bytes).sum()
    }

    fn last_bytes(&self) -> u64 {
        self.segments.last().map_or(0, |s| s.bytes)
    }
}

fn wal_error(path: &Path, e: &io::Error) -> AppendError {
    let disk_full = matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    AppendError::Wal { path: path.to_owned(), message: e.to_string(), disk_full }
}

/// A number nobody can guess, from the operating system by way of the standard library's hash keys.
pub(crate) fn random_u64() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}
