//! The built-in host collector: this machine's metrics without an exporter.
//!
//! Here: reading `/proc` and `/sys` and writing node_exporter's metrics: its names, labels, types and help texts, so
//! that every dashboard and rule for it works. Elsewhere: when it runs and where the text goes (the scrape room).
//!
//! `/proc` is parsed by the `procfs` crate. By hand is only what its typed view would lose of node_exporter's metrics:
//! - `cpu`: the crate lists the CPUs without their numbers, which have holes where one is switched off.
//! - `stat`: the count of interrupts alone; the crate has no such field.
//! - `meminfo`: names are made of the file's fields, also of those newer than the crate, which would drop them.
//! - `netstat`: the crate does not read `netstat`, and refuses `snmp` and `snmp6` of a kernel without UDP-Lite.
//! - `sockstat`, os-release and `/sys`: the crate does not read them.
//! - `filefd`: the crate reads it only in `/proc`, not where a container has the host's.
//!
//! Invariant: a collector that fails leaves no half of its output, only `node_scrape_collector_success` 0.

mod cpu;
mod disk;
mod filesystem;
mod memory;
mod network;
mod system;
mod text;

use std::path::{Path, PathBuf};
use std::time::Instant;

use procfs::{FromRead, ProcError};

use crate::clock::Clock;
use text::Text;

/// Where the machine's files are: the defaults, or where a container has the host's mounted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// `/proc`
    pub proc: PathBuf,
    /// `/sys`
    pub sys: PathBuf,
    /// `/`: mount points are below it.
    pub root: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Roots { proc: "/proc".into(), sys: "/sys".into(), root: "/".into() }
    }
}

/// Reads the machine's state each time it is asked. One for the whole process; may be shared between threads.
#[derive(Debug)]
pub struct HostCollector {
    roots: Roots,
    clock: Clock,
    cpu: cpu::Cpu,
    filesystem: filesystem::Filesystem,
}

/// Why a collector has nothing to say: a file that is missing or not as expected.
type Outcome = Result<(), String>;

/// A collector's name in `node_scrape_collector_success` and what it does.
type Collector = (&'static str, fn(&HostCollector, &mut Text<'_>) -> Outcome);

const COLLECTORS: [Collector; 16] = [
    ("cpu", |host, text| host.cpu.collect(&host.roots, text)),
    ("diskstats", |host, text| disk::collect(&host.roots, text)),
    ("filefd", |host, text| system::filefd(&host.roots, text)),
    ("filesystem", |host, text| host.filesystem.collect(&host.roots, text)),
    ("loadavg", |host, text| system::loadavg(&host.roots, text)),
    ("meminfo", |host, text| memory::meminfo(&host.roots, text)),
    ("netclass", |host, text| network::netclass(&host.roots, text)),
    ("netdev", |host, text| network::netdev(&host.roots, text)),
    ("netstat", |host, text| network::netstat(&host.roots, text)),
    ("os", |host, text| system::os(&host.roots, text)),
    ("pressure", |host, text| system::pressure(&host.roots, text)),
    ("sockstat", |host, text| network::sockstat(&host.roots, text)),
    ("stat", |host, text| cpu::stat(&host.roots, text)),
    ("time", |host, text| system::time(&host.roots, host.clock.now_ms(), text)),
    ("uname", |_, text| system::uname(text)),
    ("vmstat", |host, text| memory::vmstat(&host.roots, text)),
];

impl HostCollector {
    /// A collector that reads below `roots`.
    pub fn new(roots: Roots, clock: Clock) -> Self {
        HostCollector { roots, clock, cpu: cpu::Cpu::default(), filesystem: filesystem::Filesystem::default() }
    }

    /// Appends all metrics in Prometheus' text format 0.0.4. Blocks for a few milliseconds; a file system that hangs
    /// costs two seconds once and is skipped while it hangs. What fails is in `node_scrape_collector_success`.
    pub fn render(&self, out: &mut String) {
        let mut outcomes = Vec::with_capacity(COLLECTORS.len());
        for (name, collect) in COLLECTORS {
            let (begun, length) = (Instant::now(), out.len());
            let outcome = collect(self, &mut Text::new(out));
            if let Err(reason) = &outcome {
                out.truncate(length);
                tracing::debug!(collector = name, reason, "host collector has nothing to say");
            }
            outcomes.push((name, begun.elapsed().as_secs_f64(), outcome.is_ok()));
        }
        let mut text = Text::new(out);
        text.gauge("node_scrape_collector_duration_seconds", "node_exporter: Duration of a collector scrape.");
        for (name, seconds, _) in &outcomes {
            text.sample(&[("collector", name)], *seconds);
        }
        text.gauge("node_scrape_collector_success", "node_exporter: Whether a collector succeeded.");
        for (name, _, success) in &outcomes {
            text.sample(&[("collector", name)], f64::from(u8::from(*success)));
        }
    }
}

/// The text of a file, or a reason that names it.
fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// What the crate makes of a file, or a reason that names it.
fn parse<T: FromRead>(path: &Path) -> Result<T, String> {
    T::from_read(read(path)?.as_bytes()).map_err(|error| reason(path, error))
}

/// The crate's reason without its call to report odd content as a bug, with the file's name.
fn reason(path: &Path, error: ProcError) -> String {
    let what = match error {
        ProcError::InternalError(error) => error.msg,
        error => error.to_string(),
    };
    format!("{}: {what}", path.display())
}

/// `text` as a number, or a reason that names the file.
fn number(text: &str, path: &Path) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{}: expected a number, found {text:?}", path.display()))
}

#[cfg(test)]
mod tests;
