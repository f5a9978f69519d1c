//! The file system as this crate sees it: few calls, all behind one trait.
//!
//! Here: [`Fs`], the real one, and publishing a file by temp file and rename.
//! Elsewhere: the one that fails on demand (`fs::faulty`, tests only), memory maps (`mmap`).
//!
//! Invariant: nothing else in this crate touches the disk, so a test can fail any call.

use std::fmt::Debug;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::mmap::Mapped;

pub(crate) mod dry;
#[cfg(test)]
pub(crate) mod faulty;

/// One entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name, without the directory.
    pub(crate) name: String,
    /// Length of a file, 0 for a directory.
    pub(crate) bytes: u64,
    /// Whether it is a directory.
    pub(crate) is_dir: bool,
}

/// What the crate asks of a file system.
pub(crate) trait Fs: Debug + Send + Sync {
    /// Creates a directory and its parents.
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Creates an empty file for writing, replacing an old one.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>>;
    /// Opens a file that is there for writing.
    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn FsFile>>;
    /// All bytes of a small file.
    fn read(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// The entries of a directory, sorted by name; those whose names are not UTF-8 are not ours and left out.
    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>>;
    /// Renames a file or directory, replacing a file.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Gives a file that will not change any more a second name; a copy, durable, where the file system has no links.
    fn link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove_file(&self, path: &Path) -> io::Result<()>;
    /// Removes a directory and all in it.
    fn remove_dir_all(&self, dir: &Path) -> io::Result<()>;
    /// Makes the names in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Maps a file for reading.
    fn map(&self, path: &Path) -> io::Result<Mapped>;
    /// Takes the exclusive lock of `path`, creating it; `Ok(None)` if another holds it.
    fn try_lock(&self, path: &Path) -> io::Result<Option<File>>;
}

/// An open file. Writes say where, so there is no shared position.
pub(crate) trait FsFile: Debug + Send + Sync {
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Cuts or extends the file.
    fn set_len(&self, bytes: u64) -> io::Result<()>;
    /// Makes contents and length durable.
    fn sync(&self) -> io::Result<()>;
}

/// The operating system's file system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RealFs;

impl FsFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn set_len(&self, bytes: u64) -> io::Result<()> {
        File::set_len(self, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

impl Fs for RealFs {
    fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::create_dir_all(dir)
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(OpenOptions::new().write(true).create(true).truncate(true).open(path)?))
    }

    fn open_write(&self, path: &Path) -> io::Result<Arc<dyn FsFile>> {
        Ok(Arc::new(OpenOptions::new().write(true).open(path)?))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        std::fs::read(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(dir)? {
            let entry = entry?;
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                // Deleted between listing and asking, by our own maintenance.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            if let Ok(name) = entry.file_name().into_string() {
                let bytes = if meta.is_dir() { 0 } else { meta.len() };
                found.push(Entry { name, bytes, is_dir: meta.is_dir() });
            }
        }
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        match std::fs::hard_link(from, to) {
            Err(e) if e.kind() != io::ErrorKind::NotFound && e.kind() != io::ErrorKind::AlreadyExists => {
                std::fs::copy(from, to)?;
                File::open(to)?.sync_all()
            }
            done => done,
        }
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_dir_all(&self, dir: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        File::open(dir)?.sync_all()
    }

    fn map(&self, path: &Path) -> io::Result<Mapped> {
        Mapped::open(path)
    }

    fn try_lock(&self, path: &Path) -> io::Result<Option<File>> {
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(e)) => Err(e),
        }
    }
}

/// An I/O error with its place, on its way to a public error.
#[derive(Debug)]
pub(crate) struct IoAt {
    /// The file or directory.
    pub(crate) path: PathBuf,
    /// The operating system's words.
    pub(crate) source: io::Error,
}

/// Adds the path to an I/O error.
pub(crate) trait AtPath<T> {
    /// The same result with the place in its error.
    fn at(self, path: &Path) -> Result<T, IoAt>;
}

impl<T> AtPath<T> for io::Result<T> {
    fn at(self, path: &Path) -> Result<T, IoAt> {
        self.map_err(|source| IoAt { path: path.to_owned(), source })
    }
}

impl From<IoAt> for crate::OpenError {
    fn from(e: IoAt) -> Self {
        crate::OpenError::Io { path: e.path, source: e.source }
    }
}

/// Replaces `dir/name` as a whole: temp file, fsync, rename, fsync of the directory.
pub(crate) fn publish(fs: &dyn Fs, dir: &Path, name: &str, bytes: &[u8]) -> Result<(), IoAt> {
    let temp = dir.join(format!("{name}.tmp"));
    let file = fs.create(&temp).at(&temp)?;
    file.write_at(bytes, 0).at(&temp)?;
    file.sync().at(&temp)?;
    let path = dir.join(name);
    fs.rename(&temp, &path).at(&path)?;
    fs.sync_dir(dir).at(dir)
}

/// Bytes of all files below `dir`; what vanishes while counting counts as nothing.
pub(crate) fn tree_bytes(fs: &dyn Fs, dir: &Path) -> Result<u64, IoAt> {
    let entries = match fs.list(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        other => other.at(dir)?,
    };
    let mut bytes = 0;
    for entry in entries {
        bytes += if entry.is_dir { tree_bytes(fs, &dir.join(&entry.name))? } else { entry.bytes };
    }
    Ok(bytes)
}
