//! Errors of the public face, one enum for each kind of operation.
//!
//! Here: what a caller can meet when opening, appending and reading.
//! Elsewhere: refusals of single samples, which are values (`batch`); errors with a path on their way here (`fs`).
//!
//! Invariant: each message names the place and, if it is known, what to do.

use std::path::PathBuf;

/// Why a directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("{path} is in use by another process; stop that one first or choose another directory")]
    Locked {
        /// The data directory.
        path: PathBuf,
    },
    /// The operating system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Its words.
        source: std::io::Error,
    },
    /// Written by a newer Cairn.
    #[error(
        "{path}: format version {found} is unknown (this program knows {known}); open it with the newer program that wrote it"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// As stored.
        found: u32,
        /// What this program writes.
        known: u32,
    },
    /// An option is out of its range.
    #[error("block length {block_ms} ms is not between one second and one year")]
    BlockLength {
        /// [`crate::Options::block_ms`].
        block_ms: i64,
    },
}

/// Why nothing of a batch was stored.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AppendError {
    /// Writing or syncing the WAL failed; what is stored stays readable.
    #[error("{path}: {message}; samples are refused until the directory is writable")]
    Wal {
        /// The segment.
        path: PathBuf,
        /// The operating system's words.
        message: String,
        /// True if there is no room.
        disk_full: bool,
    },
    /// An earlier fsync failed, so nobody knows what is on disk.
    #[error("writing is stopped after a failed fsync ({message}); reopen the database")]
    Poisoned {
        /// The earlier failure.
        message: String,
    },
}

/// Why a deletion did not happen, or not all of it: what was found before the error may be gone.
#[derive(Debug, thiserror::Error)]
pub enum DeleteError {
    /// A file could not be written.
    #[error("{path}: {source}; try again, what is deleted already stays deleted")]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// The log did not take it.
    #[error(transparent)]
    Wal(#[from] AppendError),
}

/// Why a read failed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    /// A damaged piece; its place, and what was expected.
    #[error(
        "{path}: chunk at byte {offset} is damaged (crc {found:#010x}, expected {expected:#010x}); its block will be set aside"
    )]
    Checksum {
        /// File.
        path: PathBuf,
        /// Byte offset in it.
        offset: u64,
        /// As computed.
        found: u32,
        /// As stored.
        expected: u32,
    },
}
