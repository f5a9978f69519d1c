//! What a receiver was told about a group, so that it is not told the same again.
//!
//! Here: [`Sent`], one entry for each group and integration, and when a message is due. Elsewhere: timers (`dispatch`).
//!
//! Invariant: an entry changes only after a delivery succeeded.

use std::collections::BTreeSet;

/// The last successful message to one integration about one group.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sent {
    pub(super) at: i64,
    pub(super) firing: BTreeSet<u64>,
    pub(super) resolved: BTreeSet<u64>,
    /// When it may be forgotten.
    pub(super) expires_at: i64,
}

/// Whether there is something to say. The rules are Alertmanager's.
pub(super) fn is_due(
    last: Option<&Sent>,
    firing: &BTreeSet<u64>,
    resolved: &BTreeSet<u64>,
    sends_resolved: bool,
    repeat_interval_ms: i64,
    now: i64,
) -> bool {
    // Nobody needs to hear of an end whose beginning was never told.
    let Some(last) = last else { return !firing.is_empty() };
    if !firing.is_subset(&last.firing) {
        return true;
    }
    // Also without `send_resolved`: the entry must be emptied, else the next firing would count as known.
    if firing.is_empty() {
        return !last.firing.is_empty();
    }
    if sends_resolved && !resolved.is_subset(&last.resolved) {
        return true;
    }
    last.at < now - repeat_interval_ms
}
