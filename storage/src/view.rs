//! A database that is only looked at, also while another process has it open.
//!
//! Here: [`View`]. Elsewhere: reading, which goes on as in any database (`db`); the file system that writes nothing
//! (`fs::dry`).
//!
//! Invariant: nothing on the disk changes. Files are published whole or only grow, and what a reader may still need stays for
//! a while, so a view is what a copy made now would be: all that was written when it was opened, nothing later.

use std::path::Path;
use std::sync::Arc;

use crate::fs::dry::DryFs;
use crate::{Db, Labels, Matcher, OpenError, Options, ReadError, Selection, TimeRange};

/// How often opening is tried while the process that has the directory moves files under our hands.
const ATTEMPTS_MAX: usize = 3;

/// A database as it was when it was opened. It takes the memory of an open database.
#[derive(Debug)]
pub struct View {
    db: Db,
}

impl View {
    /// Opens `dir` for reading. Takes no lock and writes nothing; what is damaged is left out and told by
    /// [`View::damage`].
    pub fn open(dir: &Path, options: Options) -> Result<View, OpenError> {
        let mut attempt = 1;
        loop {
            let opened = Db::open_with(dir, options.clone(), Arc::new(DryFs { locks: false }));
            let is_whole = opened.as_ref().is_ok_and(|db| db.stats().quarantined == 0);
            // A file that was replaced between listing and reading looks like damage, but not twice.
            if is_whole || attempt == ATTEMPTS_MAX {
                return opened.map(|db| View { db });
            }
            attempt += 1;
        }
    }

    /// As [`Db::select`].
    pub fn select(&self, matchers: &[Matcher], range: TimeRange) -> Result<Selection, ReadError> {
        self.db.select(matchers, range)
    }

    /// As [`Db::series`].
    pub fn series(&self, matchers: &[Matcher], range: TimeRange) -> Vec<Labels> {
        self.db.series(matchers, range, &|_| true).unwrap_or_default()
    }

    /// As [`Db::label_names`].
    pub fn label_names(&self, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        self.db.label_names(matchers, range)
    }

    /// As [`Db::label_values`].
    pub fn label_values(&self, name: &str, matchers: &[Matcher], range: TimeRange) -> Result<Vec<String>, ReadError> {
        self.db.label_values(name, matchers, range)
    }

    /// What was found damaged, one sentence each.
    pub fn damage(&self) -> Vec<String> {
        self.db.damage_from(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Batch, Columns, Durability, Labels};

    fn append(db: &Db, times: std::ops::Range<i64>) {
        for t in times {
            let mut batch = Batch::new();
            batch.push(Labels::from_pairs([("__name__", "m")]).unwrap(), t * 1000, t as f64);
            db.append(&mut batch, t * 1000, Durability::Written).unwrap();
        }
    }

    fn count(view: &View) -> usize {
        let found = view.select(&[], TimeRange::new(i64::MIN, i64::MAX)).unwrap();
        let mut columns = Columns::default();
        found.series.iter().for_each(|series| series.read_into(&mut columns).unwrap());
        columns.len()
    }

    fn tree(dir: &Path) -> Vec<(std::path::PathBuf, Vec<u8>)> {
        let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
        while let Some(dir) = dirs.pop() {
            for entry in std::fs::read_dir(dir).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() { dirs.push(path) } else { found.push((path.clone(), std::fs::read(&path).unwrap())) }
            }
        }
        found.sort();
        found
    }

    #[test]
    fn shows_what_an_open_database_holds_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path(), Options { block_ms: 60_000, ..Options::default() }).unwrap();
        append(&db, 0..200);
        db.maintain(200_000).unwrap();
        append(&db, 200..300);
        let before = tree(dir.path());
        let view = View::open(dir.path(), Options::default()).unwrap();
        assert_eq!((count(&view), view.damage()), (300, Vec::new()));
        assert_eq!(view.label_names(&[], TimeRange::new(0, 1)).unwrap(), ["__name__"]);
        assert_eq!(view.label_values("__name__", &[], TimeRange::new(0, 1)).unwrap(), ["m"]);
        append(&db, 300..400);
        db.maintain(400_000).unwrap();
        // What was there stays readable, also if its files were merged away meanwhile.
        assert_eq!(count(&view), 300);
        assert_eq!(count(&View::open(dir.path(), Options::default()).unwrap()), 400);
        db.close().unwrap();
        drop((db, view));
        let after = tree(dir.path());
        assert_ne!(before.len(), 0);
        drop(View::open(dir.path(), Options::default()).unwrap());
        assert_eq!(tree(dir.path()), after);
    }
}
