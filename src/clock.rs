//! Time, handed in: the real clock for the server, a hand-turned one for tests.
//!
//! Here: "now" and sleeping until a moment. Elsewhere: what anyone does with it.
//!
//! Invariant: nothing but this file asks the operating system for wall-clock time.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Notify;

/// A source of wall-clock time in milliseconds since the epoch. Clones share the same hands.
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    System,
    Manual(Arc<Manual>),
}

#[derive(Debug)]
struct Manual {
    now_ms: AtomicI64,
    moved: Mutex<Arc<Notify>>,
}

impl Clock {
    /// The machine's clock.
    pub fn system() -> Self {
        Clock(Hands::System)
    }

    /// A clock that stands at `now_ms` until [`Clock::advance`] or [`Clock::set`] moves it.
    pub fn manual(now_ms: i64) -> Self {
        Clock(Hands::Manual(Arc::new(Manual { now_ms: AtomicI64::new(now_ms), moved: Mutex::default() })))
    }

    /// Milliseconds since the epoch.
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Hands::System => system_now_ms(),
            Hands::Manual(m) => m.now_ms.load(Ordering::SeqCst),
        }
    }

    /// Moves a manual clock forward and wakes its sleepers. Does nothing to the machine's clock.
    pub fn advance(&self, by: Duration) {
        self.set(self.now_ms() + by.as_millis() as i64);
    }

    /// Sets a manual clock and wakes its sleepers. Does nothing to the machine's clock.
    pub fn set(&self, now_ms: i64) {
        if let Hands::Manual(m) = &self.0 {
            m.now_ms.store(now_ms, Ordering::SeqCst);
            let sleepers = std::mem::take(&mut *m.moved.lock().unwrap_or_else(|e| e.into_inner()));
            sleepers.notify_waiters();
        }
    }

    /// Waits until the clock shows at least `t_ms`. The machine's clock is read again at least every minute, so that a
    /// jump of the clock (suspend, NTP) delays a sleeper by no more than that.
    pub async fn sleep_until(&self, t_ms: i64) {
        const LONGEST_NAP_MS: i64 = 60_000;
        loop {
            match &self.0 {
                Hands::System => {
                    let left = t_ms - system_now_ms();
                    if left <= 0 {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(left.min(LONGEST_NAP_MS) as u64)).await;
                }
                Hands::Manual(m) => {
                    let sleepers = m.moved.lock().unwrap_or_else(|e| e.into_inner()).clone();
                    let notified = sleepers.notified();
                    tokio::pin!(notified);
                    notified.as_mut().enable();
                    let was_replaced = !Arc::ptr_eq(&sleepers, &m.moved.lock().unwrap_or_else(|e| e.into_inner()));
                    if m.now_ms.load(Ordering::SeqCst) >= t_ms {
                        return;
                    }
                    if !was_replaced {
                        notified.await;
                    }
                }
            }
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the machine's clock")]
fn system_now_ms() -> i64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_manual_clock_wakes_its_sleepers() {
        let clock = Clock::manual(1_000);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move {
                clock.sleep_until(3_000).await;
                clock.now_ms()
            }
        });
        tokio::task::yield_now().await;
        clock.advance(Duration::from_secs(1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_secs(1));
        assert_eq!(sleeper.await.unwrap(), 3_000);
    }
}
