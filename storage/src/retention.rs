//! Retention: what may go, and going no further.
//!
//! Here: removing blocks by age and by the size of the whole directory; which time age is measured from ([`Anchor`]).
//! Elsewhere: samples refused as too old (`append`), ranges not written at all (`cut`).
//!
//! Invariant: by age only blocks go whose newest sample is too old; by size the oldest go first, one at a time, and
//! none once the directory is within its limit. Room is made before something is written, not after.

use crate::damage::QUARANTINE_DIR;
use crate::db::{Db, lock};
use crate::fs::{AtPath, IoAt, tree_bytes};
use crate::hotcopy::SNAPSHOTS_DIR;

/// A clock that is further ahead than this of the last time that was believed has to say so repeatedly.
pub(crate) const STEP_MS: i64 = 600_000;
/// So many times in a row: ten minutes, at a call every half minute.
const CONFIRMATIONS: u32 = 20;

/// The time that age is measured from.
///
/// "Now" may be wrong: a clock that runs a year ahead for a moment would end everything there is. So age is measured
/// from the newest sample where that is earlier (as Prometheus does), and a jump ahead is believed only when the clock
/// stays there. That something old is kept some minutes longer after a long stop is the price.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Anchor {
    /// Believed last.
    t: i64,
    /// Calls in a row that said something much later.
    ahead: u32,
}

impl Anchor {
    /// At open, with what is stored.
    pub(crate) fn new(newest_t: Option<i64>) -> Self {
        Anchor { t: newest_t.unwrap_or(i64::MAX), ahead: 0 }
    }

    /// The time to measure from, by the clock and the newest sample.
    pub(crate) fn advance(&mut self, now: i64, newest_t: Option<i64>, future_ms_max: i64) -> i64 {
        let said = newest_t.map_or(now, |t| now.min(t.saturating_add(future_ms_max)));
        if said > self.t.saturating_add(STEP_MS) && self.ahead < CONFIRMATIONS {
            self.ahead += 1;
        } else {
            *self = Anchor { t: said, ahead: 0 };
        }
        self.t
    }
}

impl Db {
    /// Time of the newest sample anywhere; of blocks only their end is known. Cheap.
    pub fn newest_t(&self) -> Option<i64> {
        let blocks = self.blocks.list();
        let in_blocks = blocks.iter().map(|b| b.meta().range.max_t.saturating_sub(1));
        in_blocks.chain(self.head().range().map(|(_, max_t)| max_t)).max()
    }

    /// Removes what both limits end; age counts from `now`.
    pub(crate) fn retain(&self, now: i64) -> Result<(), IoAt> {
        let limits = *lock(&self.retention);
        if let Some(ms) = limits.ms {
            let oldest = now.saturating_sub(ms);
            for block in self.blocks.list().iter().filter(|b| b.meta().range.max_t <= oldest) {
                let removed = self.blocks.remove(block);
                self.touched.note(block.meta().range);
                removed?;
            }
        }
        self.make_room(0)
    }

    /// Bytes that count for the limit: the whole directory, but for copies that the server's admin API made there. They
    /// are a person's to keep and to remove.
    pub(crate) fn own_bytes(&self) -> Result<u64, IoAt> {
        let snapshots = tree_bytes(self.fs.as_ref(), &self.dir.join(SNAPSHOTS_DIR))?;
        Ok(tree_bytes(self.fs.as_ref(), &self.dir)?.saturating_sub(snapshots))
    }

    /// Before `more` bytes are written: removes the oldest blocks until they fit the limit. What counts: log, snapshots
    /// and chunk files, blocks, quarantine.
    pub(crate) fn make_room(&self, more: u64) -> Result<(), IoAt> {
        let Some(bytes_max) = lock(&self.retention).bytes else { return Ok(()) };
        let mut bytes = self.own_bytes()?.saturating_add(more);
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
            let removed = self.blocks.remove(&block);
            self.touched.note(block.meta().range);
            removed?;
            bytes = bytes.saturating_sub(block.bytes());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR: i64 = 365 * 86_400_000;

    #[test]
    fn a_jump_ahead_is_believed_when_it_stays_and_a_jump_back_at_once() {
        let mut anchor = Anchor::new(Some(0));
        assert_eq!(anchor.advance(30_000, Some(30_000), 600_000), 30_000);
        for _ in 0..CONFIRMATIONS {
            assert_eq!(anchor.advance(YEAR, Some(YEAR), 600_000), 30_000);
        }
        assert_eq!(anchor.advance(60_000, Some(YEAR), 600_000), 60_000, "it was a moment");
        for _ in 0..CONFIRMATIONS {
            assert_eq!(anchor.advance(YEAR, Some(YEAR), 600_000), 60_000);
        }
        assert_eq!(anchor.advance(YEAR, Some(YEAR), 600_000), YEAR);
        assert_eq!(anchor.advance(0, Some(YEAR), 600_000), 0);
    }

    #[test]
    fn age_does_not_grow_without_samples() {
        let mut anchor = Anchor::new(Some(0));
        for _ in 0..100 {
            assert!(anchor.advance(YEAR, Some(0), 600_000) <= 600_000);
        }
        assert_eq!(Anchor::new(None).advance(YEAR, None, 600_000), YEAR);
    }
}
