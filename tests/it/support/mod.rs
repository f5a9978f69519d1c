//! What the end-to-end tests share: starting processes and ending them, asking over HTTP, waiting for a condition.

mod cairn;
mod peer;
#[path = "../../../storage/tests/support/random.rs"]
pub mod random;
mod server;

use std::time::{Duration, Instant};

pub use cairn::Cairn;
pub use peer::{Peer, free_port, peer, prometheus};
pub use server::{Fake, Reply};

/// Longest wait for anything in these tests. They end much sooner; this is for a crowded machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `ask` gives something. There is nothing else to wait on in another process.
#[track_caller]
pub fn wait_for<T, F>(what: &str, mut ask: F) -> impl Future<Output = T>
where
    F: AsyncFnMut() -> Option<T>,
{
    let place = std::panic::Location::caller();
    async move {
        let end = Instant::now() + PATIENCE;
        let mut beat = tokio::time::interval(Duration::from_millis(50));
        loop {
            beat.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
            assert!(Instant::now() < end, "{place}: waited {PATIENCE:?} in vain for {what}");
        }
    }
}

/// `rustls` wants its provider chosen once in a process, even for plain HTTP.
pub fn http() -> reqwest::Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE).build().unwrap()
}
