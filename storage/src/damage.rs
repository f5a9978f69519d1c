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
/// More notes than this are counted but not kept.
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
    /// Queries that touch this are told.
    range: TimeRange,
}

impl DamageLog {
    /// An empty log of the `Db` in `dir`.
    pub(crate) fn new(fs: Arc<dyn Fs>, dir: &Path) -> Self {
        DamageLog { fs, dir: dir.join(QUARANTINE_DIR), state: Mutex::default() }
    }

    /// Counts one piece, and tells queries that touch `range`.
    pub(crate) fn add(&self, range: TimeRange, text: String) {
        let mut state = self.lock();
        state.count += 1;
        if state.notes.len() < NOTES_MAX {
            state.notes.push(Note { text, range });
        }
    }

    /// Counts one piece that queries are told about by other means.
    pub(crate) fn count_one(&self) {
        self.lock().count += 1;
    }

    /// Takes back one [`DamageLog::count_one`], before the same piece is added with its note.
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
        self.lock().notes.iter().filter(|n| n.range.overlaps(&range)).map(|n| n.text.clone()).collect()
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
