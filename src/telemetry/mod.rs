//! Cairn's own logs and metrics.
//!
//! Here: the log subscriber (logfmt) and the registry that each part gets at construction.
//! Elsewhere: the metrics themselves, which live beside what they count.

mod logs;
mod process;

pub use logs::{LogError, start_logs};
pub use process::ProcessCollector;
pub(crate) use process::put;

use std::sync::{Arc, Mutex, MutexGuard};

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry as Inner;

/// The metrics registry. Clones share it. Parts register at construction, `/metrics` and the self-scrape render it.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Inner>>);

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Registers metrics: `registry.with(|r| r.register("name", "Help", metric.clone()))`. Counters get `_total` by
    /// themselves; a full stop is added to the help text.
    pub fn with<T>(&self, register: impl FnOnce(&mut Inner) -> T) -> T {
        register(&mut self.lock())
    }

    /// All metrics as OpenMetrics 1.0 text, ending with `# EOF`.
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing into a String cannot fail.
        let _ = encode(&mut text, &self.lock());
        text
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(|e| e.into_inner())
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Registry")
    }
}
