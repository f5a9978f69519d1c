//! `cairn verify`: reads everything in a data directory and says what is damaged.
//!
//! Here: which databases there are, the words around the findings, the exit code. Elsewhere: reading (`storage::verify`).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use storage::{OpenError, Verified, VerifyMode};

/// All is well.
const CLEAN: u8 = 0;
/// Something is damaged, or was until it was repaired.
const DAMAGED: u8 = 1;
/// The directory cannot be read, is in use, or is none of ours.
const UNREADABLE: u8 = 2;

/// Verifies the databases in `dir`: all of `dir/tenants`, or `dir` itself.
pub(super) fn run(dir: &Path, repair: bool, out: &mut dyn Write) -> io::Result<u8> {
    let mode = if repair { VerifyMode::Repair } else { VerifyMode::Report };
    let databases = match databases(dir) {
        Ok(found) => found,
        Err(why) => {
            writeln!(out, "{}: {why}", dir.display())?;
            return Ok(UNREADABLE);
        }
    };
    let mut code = CLEAN;
    for database in databases {
        writeln!(out, "Verifying {}", database.display())?;
        let mut lines = Vec::new();
        let found = storage::verify(&database, mode, &mut |line| lines.push(format!("  {line}")));
        for line in lines {
            writeln!(out, "{line}")?;
        }
        code = code.max(conclude(found, mode, out)?);
    }
    Ok(code)
}

fn conclude(found: Result<Verified, OpenError>, mode: VerifyMode, out: &mut dyn Write) -> io::Result<u8> {
    match found {
        Err(error) => {
            writeln!(out, "  FAILED: {error}")?;
            Ok(UNREADABLE)
        }
        Ok(v) => {
            let read = format!("{} blocks, {} series, {} samples read", v.blocks, v.series, v.samples);
            match (v.is_clean(), mode) {
                (true, _) => writeln!(out, "  SUCCESS: {read}")?,
                (false, VerifyMode::Report) => {
                    writeln!(out, "  DAMAGED: {} pieces; {read}; --repair sets them aside", v.damaged)?;
                }
                (false, VerifyMode::Repair) => {
                    writeln!(out, "  REPAIRED: {} of {} damaged pieces; {read}", v.repaired, v.damaged)?;
                }
            }
            Ok(if v.is_clean() { CLEAN } else { DAMAGED })
        }
    }
}

/// The databases meant by `dir`; the words if there is none.
pub(super) fn databases(dir: &Path) -> Result<Vec<PathBuf>, String> {
    let names = |dir: &Path| -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    };
    let inside = names(dir).map_err(|e| e.to_string())?;
    if inside.iter().any(|name| name == "tenants") {
        let root = dir.join("tenants");
        let tenants = names(&root).map_err(|e| e.to_string())?;
        return Ok(tenants.iter().map(|name| root.join(name)).collect());
    }
    if inside.iter().any(|name| name == "blocks" || name == "wal") {
        return Ok(vec![dir.to_owned()]);
    }
    Err("holds neither tenants/ nor blocks/ and wal/; name the directory of --storage.tsdb.path".to_owned())
}

#[cfg(test)]
mod tests {
    use storage::{Batch, Db, Durability, Labels, Options};

    use super::*;

    fn verify(dir: &Path, repair: bool) -> (u8, String) {
        let mut out = Vec::new();
        let code = run(dir, repair, &mut out).unwrap();
        (code, String::from_utf8(out).unwrap())
    }

    fn tenant(data: &Path, name: &str) -> PathBuf {
        let dir = data.join("tenants").join(name);
        let db = Db::open(&dir, Options::default()).unwrap();
        for t in 0..100 {
            let mut batch = Batch::new();
            batch.push(Labels::from_pairs([("__name__", "m")]).unwrap(), t * 1000, t as f64);
            db.append(&mut batch, t * 1000, Durability::Written).unwrap();
        }
        db.close().unwrap();
        dir
    }

    #[test]
    fn says_what_it_read_and_what_is_in_use() {
        let data = tempfile::tempdir().unwrap();
        let dir = tenant(data.path(), "a");
        tenant(data.path(), "b");
        let (code, text) = verify(data.path(), false);
        assert_eq!(code, CLEAN, "{text}");
        assert_eq!(text.matches("SUCCESS: 0 blocks, 1 series, 100 samples read").count(), 2, "{text}");
        let _db = Db::open(&dir, Options::default()).unwrap();
        let (code, text) = verify(data.path(), true);
        assert!(code == UNREADABLE && text.contains("in use by another process"), "{text}");
        let empty = tempfile::tempdir().unwrap();
        let (code, text) = verify(empty.path(), false);
        assert!(code == UNREADABLE && text.contains("--storage.tsdb.path"), "{text}");
        assert_eq!(verify(&empty.path().join("absent"), false).0, UNREADABLE);
    }
    #[test]
    fn damage_that_costs_nothing_has_the_exit_code_of_damage() {
        let data = tempfile::tempdir().unwrap();
        let dir = tenant(data.path(), "a");
        // A second life, so that there are two snapshots.
        let db = Db::open(&dir, Options::default()).unwrap();
        let mut batch = Batch::new();
        batch.push(Labels::from_pairs([("__name__", "m")]).unwrap(), 100_000, 1.0);
        db.append(&mut batch, 100_000, Durability::Written).unwrap();
        db.close().unwrap();
        drop(db);
        let files = std::fs::read_dir(dir.join("head")).unwrap().map(|entry| entry.unwrap().path());
        let snapshots = files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("snap-"));
        let older = snapshots.min().unwrap();
        let mut bytes = std::fs::read(&older).unwrap();
        bytes.truncate(bytes.len() - 1);
        std::fs::write(older, bytes).unwrap();
        let (code, text) = verify(data.path(), false);
        assert!(code == DAMAGED && text.contains("nothing is lost, as the newest snapshot is whole"), "{text}");
        let (code, text) = verify(data.path(), true);
        assert!(code == DAMAGED && text.contains("REPAIRED: 1 of 1 damaged pieces"), "{text}");
        assert_eq!(verify(data.path(), false).0, CLEAN);
    }
}
