//! Where the samples of a script lie when it is evaluated.
//!
//! Here: cutting and merging what was loaded. Elsewhere: how (`storage`).
//!
//! Invariant: an answer does not depend on it.

use storage::{Db, Options};

use super::run::NOW;
use super::script::Command;

/// A part of the database, or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Placement {
    /// As they came, in memory.
    Head,
    /// All in files of blocks, cut and merged.
    Blocks,
    /// The older half in blocks, the younger one in memory.
    Both,
}

/// Blocks that the longest load is cut into, so that there is something to merge.
const BLOCKS: i64 = 8;

impl Placement {
    /// A database for what `commands` load up to the next `clear`.
    pub(super) fn storage_options(self, commands: &[Command]) -> Options {
        let loads = commands.iter().take_while(|c| !matches!(c, Command::Clear)).filter_map(|c| match c {
            Command::Load { step_ms, series, .. } => {
                let steps = series.iter().map(|loaded| loaded.points.len()).max().unwrap_or(0);
                Some(step_ms.saturating_mul(steps as i64))
            }
            _ => None,
        });
        let default = Options::default();
        let block_ms = (loads.max().unwrap_or(0) / BLOCKS).clamp(1_000, 100 * 86_400_000);
        Options { block_ms: if self == Placement::Head { default.block_ms } else { block_ms }, ..default }
    }

    /// Moves what `db` holds to where it belongs. To be called after each load.
    pub(super) fn apply(self, db: &Db) {
        let Some((oldest, newest)) = db.stats().head_range else { return };
        match self {
            Placement::Head => {}
            Placement::Blocks => {
                // Each time a later one: old samples that come after a cut wait for the next.
                let now = NOW + db.stats().samples_appended as i64 * 400 * 86_400_000;
                db.maintain(now).expect("cutting works");
                let stats = db.stats();
                assert!(stats.head_samples == 0 && stats.blocks > 0, "{stats:?}");
                assert!(stats.blocks <= BLOCKS as u64, "nothing was merged: {stats:?}");
            }
            // Only once: what a script loads afterwards stays in memory, old as it may be.
            Placement::Both if db.stats().blocks > 0 => {}
            Placement::Both => db.maintain(oldest + (newest - oldest) * 5 / 8).expect("cutting works"),
        }
    }
}
