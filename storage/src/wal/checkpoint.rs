//! Checkpoints: the labels of live series, kept when the segments that named them go.
//!
//! Here: writing one.
//! Elsewhere: reading (`wal::replay`), when (`cut`). A checkpoint is a segment by another name, without samples.
//!
//! Invariant: the old checkpoint and the segments go only after the new one is on the disk under its name.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::record::Encoder;
use super::replay::{WalFiles, checkpoint_name};
use super::scan::{Header, VERSION, encode_header};
use super::{Wal, random_u64};
use crate::fs::{AtPath, Fs, FsFile, IoAt};
use crate::{Labels, SeriesId};

/// Begins the names of checkpoints in the making.
pub(crate) const CHECKPOINT_TEMP: &str = "tmp-checkpoint";

/// A checkpoint in the making.
#[derive(Debug)]
pub(crate) struct Checkpoint<'a> {
    wal: &'a Wal,
    number: u64,
    temp: PathBuf,
    file: Arc<dyn FsFile>,
    salt: u64,
    seq: u64,
    bytes: u64,
    encoder: Encoder,
}

impl Wal {
    /// Begins the checkpoint that stands for all segments before `number`.
    pub(crate) fn begin_checkpoint(&self, number: u64) -> Result<Checkpoint<'_>, IoAt> {
        let temp = self.dir.join(CHECKPOINT_TEMP);
        let file = self.fs.create(&temp).at(&temp)?;
        let salt = random_u64();
        let header = encode_header(Header { version: VERSION, number, salt });
        file.write_at(&header, 0).at(&temp)?;
        let encoder = Encoder::new().at(&temp)?;
        Ok(Checkpoint { wal: self, number, temp, file, salt, seq: 0, bytes: header.len() as u64, encoder })
    }
}

impl Checkpoint<'_> {
    /// Adds series.
    pub(crate) fn put(&mut self, series: &[(SeriesId, Labels)]) -> Result<(), IoAt> {
        if series.is_empty() {
            return Ok(());
        }
        let mut frame = Vec::new();
        let series = series.iter().map(|(id, labels)| (*id, labels));
        self.encoder.put_batch(&mut frame, (self.salt, self.seq), series, &[]);
        self.file.write_at(&frame, self.bytes).at(&self.temp)?;
        self.bytes += frame.len() as u64;
        self.seq += 1;
        Ok(())
    }

    /// Publishes it and removes older ones; its length.
    pub(crate) fn finish(self) -> Result<u64, IoAt> {
        let (fs, dir) = (self.wal.fs.as_ref(), &self.wal.dir);
        self.file.sync().at(&self.temp)?;
        let path = dir.join(checkpoint_name(self.number));
        fs.rename(&self.temp, &path).at(&path)?;
        fs.sync_dir(dir).at(dir)?;
        self.remove_older(fs).at(dir)?;
        Ok(self.bytes)
    }

    fn remove_older(&self, fs: &dyn Fs) -> io::Result<()> {
        let files = WalFiles::list(fs, &self.wal.dir).map_err(io::Error::other)?;
        for number in files.checkpoints.into_iter().filter(|&n| n < self.number) {
            fs.remove_file(&self.wal.dir.join(checkpoint_name(number)))?;
        }
        Ok(())
    }
}
