//! How targets fare: what the targets page shows.
//!
//! Here: the shared state of a running target and the plain copies that leave this room.
//! Elsewhere: JSON (`api`).

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use storage::Labels;

use super::sink::FamilyMetadata;
use super::target::Target;

/// Whether a target answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Health {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape was good.
    Up,
    /// The last scrape failed.
    Down,
}

impl Health {
    /// As the API spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Health::Unknown => "unknown",
            Health::Up => "up",
            Health::Down => "down",
        }
    }
}

/// A target that is scraped, at one moment.
#[derive(Debug, Clone)]
pub struct ActiveTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// After it.
    pub labels: Labels,
    /// The job's name.
    pub scrape_pool: String,
    /// Where it is scraped.
    pub scrape_url: String,
    /// The same as seen from elsewhere: a loopback host replaced by the external one.
    pub global_url: String,
    /// Why the last scrape failed; empty if it did not.
    pub last_error: String,
    /// When the last scrape began, milliseconds since the epoch; `None` before the first.
    pub last_scrape_ms: Option<i64>,
    /// How long it took.
    pub last_scrape_duration: Duration,
    /// Whether it answers.
    pub health: Health,
    /// How often it is scraped.
    pub interval: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
    /// Samples on the last page.
    pub last_samples: u64,
}

/// A target that relabelling dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTarget {
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// The job's name.
    pub scrape_pool: String,
}

/// All targets at one moment.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Sorted by pool, then labels.
    pub active: Vec<ActiveTarget>,
    /// Sorted by pool, then in the order of the configuration.
    pub dropped: Vec<DroppedTarget>,
    /// Per pool, sorted, pools without any included.
    pub dropped_counts: Vec<(String, usize)>,
}

/// What one target says about its metric families.
#[derive(Debug, Clone)]
pub struct TargetMetadata {
    /// The target's labels.
    pub labels: Labels,
    /// Its families, sorted by name.
    pub families: Arc<[FamilyMetadata]>,
}

/// How the server is reached from elsewhere, for [`ActiveTarget::global_url`].
#[derive(Debug, Clone, Default)]
pub struct External {
    /// `http` or `https`.
    pub scheme: String,
    /// `host:port` of the external URL.
    pub host: String,
    /// The port that we listen on.
    pub listen_port: u16,
}

impl External {
    /// `url` as Prometheus shows it: our own loopback address becomes the external URL's, another loopback address the
    /// external URL's host.
    pub(crate) fn global_url(&self, url: &str) -> String {
        let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
        let (address, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let Some((host, port)) = address.rsplit_once(':') else { return url.to_owned() };
        if self.host.is_empty() || !matches!(host, "localhost" | "127.0.0.1" | "[::1]") {
            return url.to_owned();
        }
        if port.parse() == Ok(self.listen_port) {
            return format!("{}://{}{path}", self.scheme, self.host);
        }
        let external_host = self.host.rsplit_once(':').map_or(self.host.as_str(), |(host, _)| host);
        format!("{scheme}://{external_host}:{port}{path}")
    }
}

/// A running target: what it is, and how it fares. Written by its loop, read by anyone.
#[derive(Debug)]
pub(crate) struct Running {
    pub(crate) target: Target,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Differs from the target's own if a reload found it elsewhere.
    discovered: Option<Labels>,
    last: Option<LastScrape>,
    families: Arc<[FamilyMetadata]>,
}

/// The outcome of a scrape.
#[derive(Debug, Clone)]
pub(crate) struct LastScrape {
    pub(crate) at_ms: i64,
    pub(crate) took: Duration,
    pub(crate) samples: u64,
    pub(crate) error: Option<String>,
}

impl Running {
    pub(crate) fn new(target: Target) -> Self {
        Running { target, state: Mutex::default() }
    }

    pub(crate) fn set_discovered(&self, discovered: Labels) {
        self.lock().discovered = Some(discovered);
    }

    pub(crate) fn set_last(&self, last: LastScrape) {
        self.lock().last = Some(last);
    }

    pub(crate) fn set_families(&self, families: Arc<[FamilyMetadata]>) {
        self.lock().families = families;
    }

    /// Takes over what a predecessor with other settings was last seen doing, so that a reload does not blank the page.
    pub(crate) fn inherit(&self, predecessor: &Running) {
        let (last, families) = {
            let old = predecessor.lock();
            (old.last.clone(), old.families.clone())
        };
        let mut state = self.lock();
        (state.last, state.families) = (last, families);
    }

    pub(crate) fn metadata(&self) -> TargetMetadata {
        TargetMetadata { labels: self.target.labels.clone(), families: self.lock().families.clone() }
    }

    pub(crate) fn snapshot(&self, external: &External) -> ActiveTarget {
        let state = self.lock();
        let target = &self.target;
        let last = state.last.as_ref();
        ActiveTarget {
            discovered_labels: state.discovered.as_ref().unwrap_or(&target.discovered).clone(),
            labels: target.labels.clone(),
            scrape_pool: target.job_name.clone(),
            scrape_url: target.url.clone(),
            global_url: external.global_url(&target.url),
            last_error: last.and_then(|l| l.error.clone()).unwrap_or_default(),
            last_scrape_ms: last.map(|l| l.at_ms),
            last_scrape_duration: last.map_or(Duration::ZERO, |l| l.took),
            health: match last {
                None => Health::Unknown,
                Some(l) if l.error.is_none() => Health::Up,
                Some(_) => Health::Down,
            },
            interval: target.interval,
            timeout: target.timeout,
            last_samples: last.map_or(0, |l| l.samples),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_becomes_the_external_host() {
        let external = External { scheme: "https".to_owned(), host: "site.example:443".to_owned(), listen_port: 9090 };
        let check = |url: &str, expected: &str| assert_eq!(external.global_url(url), expected);
        check("http://localhost:9090/metrics", "https://site.example:443/metrics");
        check("http://127.0.0.1:9100/metrics?a=b", "http://site.example:9100/metrics?a=b");
        check("http://[::1]:9100/m", "http://site.example:9100/m");
        check("http://node:9100/metrics", "http://node:9100/metrics");
        check("http://localhost/metrics", "http://localhost/metrics");
        check("builtin://host", "builtin://host");
    }
}
