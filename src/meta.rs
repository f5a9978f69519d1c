//! The SQLite file `meta.db`: all state that is neither samples nor configuration.
//!
//! Here: the connection and its migrations. Elsewhere: the queries, which each owner of a table keeps.
//!
//! Invariant: one connection writes; a migration runs in a transaction and is never changed once it has shipped.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;

/// Schema steps in order; `PRAGMA user_version` counts those that ran.
const MIGRATIONS: &[&str] = &[
    // Dashboards that were imported or saved by users. `json` is the document as it came.
    "CREATE TABLE dashboards (
        tenant TEXT NOT NULL, uid TEXT NOT NULL, title TEXT NOT NULL, folder TEXT NOT NULL,
        json TEXT NOT NULL, updated_ms INTEGER NOT NULL, PRIMARY KEY (tenant, uid)) STRICT",
];

/// Handle to the open file. Clones share the connection; calls block on disk.
#[derive(Clone, Debug)]
pub struct Meta(Arc<Mutex<Connection>>);

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// SQLite's own words.
    #[error("{path}: {source}")]
    Sqlite {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Written by a later version.
    #[error(
        "{path} was written by a later version of Cairn (schema {found}, this one knows {known}); use that version"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema.
        found: usize,
        /// Ours.
        known: usize,
    },
}

impl Meta {
    /// Opens or creates the file and brings its schema up to date.
    pub fn open(path: &Path) -> Result<Self, MetaError> {
        let wrap = |source| MetaError::Sqlite { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(wrap)?;
        connection.pragma_update(None, "journal_mode", "WAL").map_err(wrap)?;
        connection.pragma_update(None, "synchronous", "FULL").map_err(wrap)?;
        connection.pragma_update(None, "cache_size", -256).map_err(wrap)?;
        let version = |c: &Connection| c.query_row("PRAGMA user_version", [], |row| row.get::<_, i64>(0));
        let done = version(&connection).map_err(wrap)? as usize;
        if done > MIGRATIONS.len() {
            return Err(MetaError::Newer { path: path.to_owned(), found: done, known: MIGRATIONS.len() });
        }
        for (index, step) in MIGRATIONS.iter().enumerate().skip(done) {
            let transaction = connection.transaction().map_err(wrap)?;
            transaction.execute_batch(step).map_err(wrap)?;
            transaction.pragma_update(None, "user_version", (index + 1) as i64).map_err(wrap)?;
            transaction.commit().map_err(wrap)?;
        }
        Ok(Meta(Arc::new(Mutex::new(connection))))
    }

    /// Runs `work` on the connection. Not from an async thread.
    pub fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> rusqlite::Result<T> {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrates_once_and_refuses_a_later_schema() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.db");
        drop(Meta::open(&path).unwrap());
        let again = Meta::open(&path).unwrap();
        again.with(|c| c.pragma_update(None, "user_version", 99)).unwrap();
        drop(again);
        let refused = Meta::open(&path).unwrap_err().to_string();
        assert!(refused.contains("later version of Cairn (schema 99"), "{refused}");
    }
}
