//! `/proc/stat`: time of the CPUs and the kernel's counters.
//!
//! Here: collectors `cpu` and `stat`. Elsewhere: load averages (`system`).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use procfs::{FromReadSI, KernelStats};

use super::text::Text;
use super::{Outcome, Roots, number, read, reason};

/// The kernel reports to user space in this unit on every architecture (its USER_HZ), as node_exporter assumes, too.
const TICKS_PER_SECOND: f64 = 100.0;
/// Idle time that falls by more than this is a CPU that was switched off and on again, not the kernel's rounding.
const IDLE_FALL_SECONDS_MAX: f64 = 3.0;

/// In the order of the columns.
const MODES: [&str; 8] = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal"];
const IDLE: usize = 3;
const GUEST: usize = 8;
const COLUMNS: usize = 10;

type Times = [f64; COLUMNS];

/// Remembers the last times: the kernel lets idle and iowait fall by a tick now and then, which would look like a
/// counter that was reset and give a huge rate.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    last: Mutex<BTreeMap<u32, Times>>,
}

impl Cpu {
    pub(super) fn collect(&self, roots: &Roots, text: &mut Text<'_>) -> Outcome {
        let path = roots.proc.join("stat");
        let now = parse_cpus(&read(&path)?, &path)?;
        let mut last = self.last.lock().unwrap_or_else(|e| e.into_inner());
        *last = now
            .into_iter()
            .map(|(cpu, times)| (cpu, last.get(&cpu).map_or(times, |before| rising(before, times))))
            .collect();
        text.counter("node_cpu_guest_seconds_total", "Seconds the CPUs spent in guests (VMs) for each mode.");
        for (cpu, times) in &*last {
            text.sample(&[("cpu", &cpu.to_string()), ("mode", "user")], times[GUEST]);
            text.sample(&[("cpu", &cpu.to_string()), ("mode", "nice")], times[GUEST + 1]);
        }
        text.counter("node_cpu_seconds_total", "Seconds the CPUs spent in each mode.");
        for (cpu, times) in &*last {
            for (mode, seconds) in MODES.iter().zip(times) {
                text.sample(&[("cpu", &cpu.to_string()), ("mode", mode)], *seconds);
            }
        }
        Ok(())
    }
}

fn rising(before: &Times, now: Times) -> Times {
    if before[IDLE] - now[IDLE] > IDLE_FALL_SECONDS_MAX {
        return now;
    }
    std::array::from_fn(|i| before[i].max(now[i]))
}

/// Lines `cpu0 1 2 3 …`; the line `cpu` is their sum. Older kernels have fewer columns.
fn parse_cpus(stat: &str, path: &Path) -> Result<BTreeMap<u32, Times>, String> {
    let mut cpus = BTreeMap::new();
    for line in stat.lines() {
        let mut columns = line.split_ascii_whitespace();
        let Some(cpu) = columns.next().and_then(|name| name.strip_prefix("cpu")?.parse().ok()) else { continue };
        let mut times = [0.0; COLUMNS];
        for (time, column) in times.iter_mut().zip(columns) {
            *time = number(column, path)? / TICKS_PER_SECOND;
        }
        cpus.insert(cpu, times);
    }
    if cpus.is_empty() { Err(format!("{}: no line of a CPU", path.display())) } else { Ok(cpus) }
}

/// The counters of `/proc/stat` that are not times.
pub(super) fn stat(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let path = roots.proc.join("stat");
    let file = read(&path)?;
    let stats =
        KernelStats::from_read(file.as_bytes(), procfs::current_system_info()).map_err(|error| reason(&path, error))?;
    // Their sum is the first number of the line.
    let interrupts = file.lines().find_map(|line| line.strip_prefix("intr ")?.split_ascii_whitespace().next());
    let interrupts = number(interrupts.unwrap_or_default(), &path)?;
    let required = |count: Option<u32>| count.ok_or_else(|| format!("{}: no count of processes", path.display()));
    let (running, blocked) = (required(stats.procs_running)?, required(stats.procs_blocked)?);
    text.single_counter("node_intr_total", "Total number of interrupts serviced.", interrupts);
    text.single_counter("node_context_switches_total", "Total number of context switches.", stats.ctxt as f64);
    text.single_counter("node_forks_total", "Total number of forks.", stats.processes as f64);
    text.single_gauge("node_boot_time_seconds", "Node boot time, in unixtime.", stats.btime as f64);
    text.single_gauge("node_procs_running", "Number of processes in runnable state.", running.into());
    let help = "Number of processes blocked waiting for I/O to complete.";
    text.single_gauge("node_procs_blocked", help, blocked.into());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_back_is_held_and_a_new_life_is_believed() {
        let mut before = [10.0; COLUMNS];
        let mut now = [11.0; COLUMNS];
        now[IDLE] = 9.99;
        before[4] = 12.0;
        let held = rising(&before, now);
        assert_eq!((held[0], held[IDLE], held[4]), (11.0, 10.0, 12.0));
        now[IDLE] = 0.5;
        assert_eq!(rising(&before, now), now);
    }

    #[test]
    fn odd_files_are_refused() {
        let path = Path::new("stat");
        assert_eq!(parse_cpus("", path), Err("stat: no line of a CPU".to_owned()));
        assert_eq!(parse_cpus("cpu0 1 x", path), Err("stat: expected a number, found \"x\"".to_owned()));
        assert_eq!(parse_cpus("cpu 9\ncpu7 100 200", path).unwrap()[&7][..3], [1.0, 2.0, 0.0]);
    }
}
