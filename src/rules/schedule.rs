//! When a group is evaluated.
//!
//! Here: one group's task: aligned timestamps, missed evaluations, restoring after the second evaluation.
//! Elsewhere: the evaluation itself (`group`), which groups run (`manager`).
//!
//! Invariant: timestamps of a group are its offset plus whole intervals, whatever the clock does.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio_util::sync::CancellationToken;

use super::Context;
use super::group::Group;

/// Runs until `stop`. An evaluation under way is waited for; [`Group::cancel`] makes it short.
pub(super) async fn run(ctx: Arc<Context>, group: Arc<Group>, stop: CancellationToken) {
    let interval_ms = group.interval_ms;
    let mut t = slot_before(ctx.clock.now_ms(), interval_ms, &group.key) + interval_ms;
    let mut evaluations = 0u64;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = ctx.clock.sleep_until(t) => {}
        }
        let missed = (ctx.clock.now_ms() - t) / interval_ms;
        if missed > 0 && evaluations > 0 {
            ctx.metrics.count_missed(&group.key, missed as u64);
        }
        t += missed.max(0) * interval_ms;
        if !evaluate(&ctx, &group, t, evaluations, &stop).await {
            return;
        }
        evaluations += 1;
        t += interval_ms;
    }
}

/// False if the task is to end.
async fn evaluate(ctx: &Arc<Context>, group: &Arc<Group>, t: i64, before: u64, stop: &CancellationToken) -> bool {
    let permit = tokio::select! {
        () = stop.cancelled() => return false,
        permit = Arc::clone(&ctx.permits).acquire_owned() => permit,
    };
    let (ctx, group) = (Arc::clone(ctx), Arc::clone(group));
    let work = tokio::task::spawn_blocking(move || {
        group.evaluate(&ctx, t);
        // The first evaluation may find too few samples, and recording rules that alerts depend on have not run: states
        // are taken up only after a second one.
        if before > 0 && !group.is_canceled() && group.restore_pending.load(Ordering::SeqCst) {
            group.restore(&ctx);
        }
    });
    let ended = work.await;
    drop(permit);
    if let Err(e) = &ended {
        tracing::error!(error = %e, "the evaluation of a rule group ended badly");
    }
    !stop.is_cancelled()
}

/// The newest timestamp of a group at or before `now`. Groups are spread over the interval by their key.
pub(super) fn slot_before(now: i64, interval_ms: i64, key: &str) -> i64 {
    let offset = (hash(key) % interval_ms.unsigned_abs().max(1)) as i64;
    (now - offset).div_euclid(interval_ms) * interval_ms + offset
}

/// FNV-1a; any even spread that is the same after a restart would do.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100_0000_01b3))
}
