//! Damage: what could not be read, where it was put, and who is to be told.
//!
//! Here: the log of one open `Db`, and setting pieces aside in `quarantine/`.
//! Elsewhere: noticing damage (`wal::scan`, `block`).
//!
//! Invariant: setting aside never makes things worse: if it fails (disk full), the damage is told all the same.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::TimeRange;
use crate::fs::Fs;

/// Directory below the `Db`'s for damaged pieces.
pub(crate) const QUARANTINE_DIR: &str = "quarantine";
/// More notes of either kind than this are counted but not kept: those that queries ask for, and those that are for the
/// log only.
const NOTES_MAX: usize = 64;

/// What was found damaged since open.
#[derive(Debug)]
pub(crate) struct DamageLog {
    fs: Arc<dyn Fs>,
    dir: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    count: u64,
    notes: Vec<Note>,
}

#[derive(Debug)]
struct Note {
    text: String,
    /// Queries that touch this are told; `None`: whoever meets the damage tells its query.
    range: Option<TimeRange>,
}

impl DamageLog {
    /// An empty log of the `Db` in `dir`.
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: &Path) -> Self {
        DamageLog { fs, dir: dir.join(QUARANTINE_DIR), state: Mutex::default() }
    }

    /// Counts one piece, and tells queries that touch `range`.
    pub(crate) fn add(&self, range: TimeRange, text: String) {
        self.put(Note { text, range: Some(range) });
    }

    /// Counts one piece that was met while reading, and keeps its text for the log. Queries are told each time they meet it.
    pub(crate) fn add_met(&self, text: String) {
        self.put(Note { text, range: None });
    }

    fn put(&self, note: Note) {
        let mut state = self.lock();
        state.count += 1;
        if state.notes.iter().filter(|n| n.range.is_some() == note.range.is_some()).count() < NOTES_MAX {
            state.notes.push(note);
        }
    }

    /// Counts one piece that is added with its note later.
    pub(crate) fn count_one(&self) {
        self.lock().count += 1;
    }

    /// Takes back one that was counted, before the same piece is added with its note for queries.
    pub(crate) fn forget_one(&self) {
        let mut state = self.lock();
        state.count = state.count.saturating_sub(1);
    }

    /// Pieces so far.
    pub(crate) fn count(&self) -> u64 {
        self.lock().count
    }

    /// All that is kept, from the `from`-th on: for the log, which is to say each once.
    pub(crate) fn notes_from(&self, from: usize) -> Vec<String> {
        self.lock().notes.iter().skip(from).map(|n| n.text.clone()).collect()
    }

    /// What a query over `range` must say.
    pub(crate) fn warnings(&self, range: TimeRange) -> Vec<String> {
        let state = self.lock();
        let touched = state.notes.iter().filter(|n| n.range.is_some_and(|there| there.overlaps(&range)));
        touched.map(|n| n.text.clone()).collect()
    }

    /// Copies damaged bytes to a file of this name, for a person to look at. Best effort.
    pub(crate) fn keep_copy(&self, name: &str, bytes: &[u8]) {
        let write = || {
            self.fs.create_dir_all(&self.dir)?;
            self.fs.create(&self.dir.join(name))?.write_at(bytes, 0)
        };
        // Nothing depends on the copy; the damage itself is in the log.
        let _: std::io::Result<()> = write();
    }

    /// Gives a file that does not change any more a name here, for a person to look at; it may be removed where it is.
    /// Best effort.
    pub(crate) fn keep_file(&self, from: &Path, name: &str) {
        let _: std::io::Result<()> =
            self.fs.create_dir_all(&self.dir).and_then(|()| self.fs.link(from, &self.dir.join(name)));
    }

    /// Moves a file or directory here. Best effort: whether it worked.
    pub(crate) fn move_here(&self, from: &Path, name: &str) -> bool {
        let mut to = self.dir.join(name);
        let taken: Vec<String> =
            self.fs.list(&self.dir).unwrap_or_default().into_iter().map(|entry| entry.name).collect();
        let mut n = 1;
        while taken.iter().any(|t| to.file_name().is_some_and(|f| f == t.as_str())) {
            to = self.dir.join(format!("{name}.{n}"));
            n += 1;
        }
        self.fs.create_dir_all(&self.dir).and_then(|()| self.fs.rename(from, &to)).is_ok()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::{Batch, Db, Durability, Labels, Options};

    const HOUR: i64 = 3_600_000;

    /// Changes bytes where they lie: the file is mapped.
    fn spoil(path: &Path, at: u64) {
        let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
        file.write_all_at(b"spoiled!", at).unwrap();
    }

    fn file_below(dir: &Path, part: &str) -> PathBuf {
        let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.to_str().unwrap().contains(part)).unwrap()
    }

    fn filled(dir: &Path) -> Db {
        let db = Db::open(dir, Options::default()).unwrap();
        for t in (0..12 * HOUR).step_by(15_000) {
            let mut batch = Batch::new();
            for i in ["1", "2"] {
                batch.push(Labels::from_pairs([("__name__", "m"), ("i", i)]).unwrap(), t, (t as f64).sqrt());
            }
            db.append(&mut batch, t, Durability::Written).unwrap();
        }
        db
    }

    /// What the log is to say after two queries, each of which is warned once.
    fn met(db: &Db, range: TimeRange) -> Vec<String> {
        for _ in 0..2 {
            let warnings = db.select(&[], range).unwrap().warnings;
            assert!(warnings.len() == 1 && warnings[0].contains("missing from this answer"), "{warnings:?}");
        }
        assert_eq!(db.stats().quarantined, 1);
        db.damage_from(0)
    }

    #[test]
    fn a_damaged_page_is_logged_once_when_a_query_meets_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = filled(dir.path());
        db.cut(&mut db.maintaining(), 12 * HOUR, 12 * HOUR, true).unwrap();
        let chunks = file_below(db.blocks.dir(), "b-").join("chunks");
        spoil(&chunks, 1000);
        let said = met(&db, TimeRange::new(0, 12 * HOUR));
        assert!(said.len() == 1 && said[0].contains(chunks.to_str().unwrap()), "{said:?}");
    }

    #[test]
    fn a_damaged_page_is_logged_once_when_a_merge_meets_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = filled(dir.path());
        db.cut(&mut db.maintaining(), 12 * HOUR, 12 * HOUR, true).unwrap();
        let chunks = file_below(db.blocks.dir(), "b-").join("chunks");
        spoil(&chunks, 1000);
        assert!(db.merge(&db.blocks.list()).is_err());
        let said = met(&db, TimeRange::new(0, 12 * HOUR));
        assert!(said.len() == 1 && said[0].contains(chunks.to_str().unwrap()), "{said:?}");
    }

    #[test]
    fn a_damaged_chunk_of_the_head_is_logged_once_and_again_when_its_block_misses_it() {
        let dir = tempfile::tempdir().unwrap();
        let db = filled(dir.path());
        db.snapshot_now(0).unwrap();
        let chunks = file_below(&dir.path().join("head"), "chunks-");
        spoil(&chunks, 200);
        let said = met(&db, TimeRange::new(0, 12 * HOUR));
        assert!(said.len() == 1 && said[0].contains(chunks.to_str().unwrap()), "{said:?}");
        db.cut(&mut db.maintaining(), 12 * HOUR, 12 * HOUR, true).unwrap();
        let said = db.damage_from(1);
        assert!(said.len() == 1 && said[0].contains("missing from the block of that time"), "{said:?}");
        assert_eq!(db.stats().quarantined, 1, "it is one piece");
    }

    #[test]
    fn what_is_for_the_log_does_not_crowd_out_what_queries_must_say() {
        let log = DamageLog::new(Arc::new(crate::fs::RealFs), Path::new("/nowhere"));
        (0..2 * NOTES_MAX).for_each(|i| log.add_met(format!("page {i}")));
        log.add(TimeRange::new(0, 10), "an index".to_owned());
        assert_eq!(log.warnings(TimeRange::new(5, 6)), ["an index"]);
        assert_eq!((log.notes_from(0).len(), log.count()), (NOTES_MAX + 1, 2 * NOTES_MAX as u64 + 1));
    }
}
