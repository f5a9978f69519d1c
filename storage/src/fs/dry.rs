//! A file system that reads what is there and writes nothing.
//!
//! Here: [`DryFs`], over the real one.
//! Elsewhere: what it is for (`verify`, `view`): a database is opened as always, and the disk stays as it was.
//!
//! Invariant: nothing on the disk changes; whoever writes is told that it worked.

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Entry, Fs, FsFile, RealFs};
use crate::mmap::Mapped;

/// See the module's head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DryFs {
    /// Whether a directory that another process has is refused.
    pub(crate) locks: bool,
}

#[derive(Debug)]
struct DryFile;

impl FsFile for DryFile {
    fn write_at(&self, _bytes: &[u8], _offset: u64) -> io::Result<()> {
        Ok(())
    }

    fn set_len(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }
}

impl Fs for DryFs {
    fn create_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, _path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(DryFile))
    }

    fn open_write(&self, _path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(DryFile))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        RealFs.read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        match RealFs.list(dir) {
            // It would have been created a moment ago.
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            other => other,
        }
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove_file(&self, _path: &Path) -> io::Result<()> {
        Ok(())
    }

    fn remove_dir_all(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_dir(&self, _dir: &Path) -> io::Result<()> {
        Ok(())
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        RealFs.map(path)
    }

    /// The real lock, if its file is there; a directory without one (a copy, a snapshot) has no user.
    fn try_lock(&self, path: &Path) -> io::Result<Option<File>> {
        if !self.locks {
            return File::open("/dev/null").map(Some);
        }
        match File::open(path) {
            Ok(file) => match file.try_lock() {
                Ok(()) => Ok(Some(file)),
                Err(std::fs::TryLockError::WouldBlock) => Ok(None),
                Err(std::fs::TryLockError::Error(e)) => Err(e),
            },
            // A handle to something that is there, since the caller keeps one.
            Err(e) if e.kind() == io::ErrorKind::NotFound => File::open("/dev/null").map(Some),
            Err(e) => Err(e),
        }
    }
}
