//! Memory maps: the crate's only unsafe code.
#![expect(unsafe_code, reason = "mapping a file is unsafe by nature; the argument stands at the call")]
//!
//! Here: [`Mapped`], a whole file as bytes.
//! Elsewhere: checking those bytes (`wal`, `block`): a map is foreign input like any other.
//!
//! Invariant: what is mapped is not written or cut while the map lives.

use std::fs::File;
use std::io;
use std::path::Path;

/// A whole file, read only.
#[derive(Debug)]
pub(crate) struct Mapped(Option<memmap2::Mmap>);

impl Mapped {
    /// Maps `path` as it is now.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        if file.metadata()?.len() == 0 {
            // The kernel refuses an empty map.
            return Ok(Mapped(None));
        }
        // SAFETY: the slice must not change under its readers. Who may change the file: only the process that holds
        // the directory's lock, which is this one. Blocks are complete and synced before they get the name under
        // which they are mapped, are never written again, and leave by unlink, which keeps the mapped pages. WAL
        // segments are mapped during replay only, before the writer opens them. Should somebody else cut the file in
        // spite of the lock, reading raises SIGBUS and ends the process: no wrong value is served.
        let map = unsafe { memmap2::Mmap::map(&file)? };
        Ok(Mapped(Some(map)))
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_deref().unwrap_or_default()
    }
}
