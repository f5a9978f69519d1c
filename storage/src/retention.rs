//! Retention: what may go, and going no further.
//!
//! Here: removing blocks by age and by the size of the whole directory.
//! Elsewhere: samples refused as too old (`append`), ranges not written at all (`cut`).
//!
//! Invariant: by age only blocks go whose newest sample is too old; by size the oldest go first, one at a time, and
//! none once the directory is within its limit. Room is made before something is written, not after.

use crate::damage::QUARANTINE_DIR;
use crate::db::{Db, lock};
use crate::fs::{AtPath, IoAt, tree_bytes};

impl Db {
    /// Removes what both limits end.
    pub(crate) fn retain(&self, now: i64) -> Result<(), IoAt> {
        let limits = *lock(&self.retention);
        if let Some(ms) = limits.ms {
            let oldest = now.saturating_sub(ms);
            for block in self.blocks.list().iter().filter(|b| b.meta().range.max_t <= oldest) {
                self.blocks.remove(block)?;
            }
        }
        self.make_room(0)
    }

    /// Before `more` bytes are written: removes the oldest blocks until they fit the limit. The whole directory counts:
    /// log, snapshots and chunk files, blocks, quarantine.
    pub(crate) fn make_room(&self, more: u64) -> Result<(), IoAt> {
        let Some(bytes_max) = lock(&self.retention).bytes else { return Ok(()) };
        let mut bytes = tree_bytes(self.fs.as_ref(), &self.dir)?.saturating_add(more);
        let quarantine = self.dir.join(QUARANTINE_DIR);
        let quarantined = tree_bytes(self.fs.as_ref(), &quarantine)?;
        if bytes > bytes_max && quarantined > 0 {
            // Copies of damage are for a person to look at; samples that can be served are worth more.
            self.fs.remove_dir_all(&quarantine).at(&quarantine)?;
            bytes -= quarantined.min(bytes);
        }
        let mut blocks = self.blocks.list().to_vec();
        blocks.sort_by_key(|b| b.meta().range.max_t);
        for block in blocks {
            if bytes <= bytes_max {
                break;
            }
            self.blocks.remove(&block)?;
            bytes = bytes.saturating_sub(block.bytes());
        }
        Ok(())
    }
}
