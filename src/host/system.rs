//! The small ones: load, file descriptors, the operating system's name, pressure, time, uname.
//!
//! Here: collectors `loadavg`, `filefd`, `os`, `pressure`, `time`, `uname`.

use procfs::LoadAverage;

use super::text::Text;
use super::{Outcome, Roots, number, parse, read, reason};

pub(super) fn loadavg(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let load: LoadAverage = parse(&roots.proc.join("loadavg"))?;
    // The kernel writes hundredths, of which the crate has the nearest f32: 0.21 would become 0.20999999344348907.
    let hundredths = |load: f32| (f64::from(load) * 100.0).round() / 100.0;
    text.single_gauge("node_load1", "1m load average.", hundredths(load.one));
    text.single_gauge("node_load5", "5m load average.", hundredths(load.five));
    text.single_gauge("node_load15", "15m load average.", hundredths(load.fifteen));
    Ok(())
}

/// `allocated unused maximum`
pub(super) fn filefd(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let path = roots.proc.join("sys/fs/file-nr");
    let line = read(&path)?;
    let parts: Vec<&str> = line.split_ascii_whitespace().collect();
    let [allocated, _, maximum] = parts[..] else { return Err(format!("{}: expected three numbers", path.display())) };
    text.single_gauge("node_filefd_allocated", "File descriptor statistics: allocated.", number(allocated, &path)?);
    text.single_gauge("node_filefd_maximum", "File descriptor statistics: maximum.", number(maximum, &path)?);
    Ok(())
}

/// Keys of os-release, also the labels of `node_os_info` in lower case.
const OS_KEYS: [&str; 12] = [
    "BUILD_ID",
    "ID",
    "ID_LIKE",
    "IMAGE_ID",
    "IMAGE_VERSION",
    "NAME",
    "PRETTY_NAME",
    "VARIANT",
    "VARIANT_ID",
    "VERSION",
    "VERSION_CODENAME",
    "VERSION_ID",
];

/// `/etc/os-release`: lines `KEY=value`, the value perhaps in quotes.
pub(super) fn os(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let file = read(&roots.root.join("etc/os-release")).or_else(|_| read(&roots.root.join("usr/lib/os-release")))?;
    let value = |key: &str| {
        let line = file.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches(['"', '\''])).unwrap_or_default()
    };
    let names = OS_KEYS.map(str::to_ascii_lowercase);
    let labels: Vec<(&str, &str)> = OS_KEYS.iter().zip(&names).map(|(key, name)| (name.as_str(), value(key))).collect();
    text.gauge("node_os_info", &format!("A metric with a constant '1' value labeled by {}.", names.join(", ")));
    text.sample(&labels, 1.0);
    // Only `major.minor`: what follows is no number.
    let version = value("VERSION_ID");
    let second_dot = version.match_indices('.').nth(1).map_or(version.len(), |(at, _)| at);
    if let Ok(number) = version[..second_dot].parse() {
        text.gauge("node_os_version", "Metric containing the major.minor part of the OS version.");
        text.sample(&[("id", value("ID")), ("id_like", value("ID_LIKE")), ("name", value("NAME"))], number);
    }
    Ok(())
}

/// Resource, line of its file, metric, help.
const PRESSURE: [(&str, &str, &str, &str); 5] = [
    ("cpu", "some", "cpu_waiting", "Total time in seconds that processes have waited for CPU time"),
    ("io", "some", "io_waiting", "Total time in seconds that processes have waited due to IO congestion"),
    ("io", "full", "io_stalled", "Total time in seconds no process could make progress due to IO congestion"),
    ("memory", "some", "memory_waiting", "Total time in seconds that processes have waited for memory"),
    (
        "memory",
        "full",
        "memory_stalled",
        "Total time in seconds no process could make progress due to memory congestion",
    ),
];

/// Line by line: older kernels have no `full` for the CPU, without which the crate refuses the whole file.
pub(super) fn pressure(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    for (resource, line, name, help) in PRESSURE {
        let path = roots.proc.join("pressure").join(resource);
        let table = read(&path)?;
        // With what follows the word, which the crate takes for granted.
        let record = table.lines().find(|l| l.strip_prefix(line).is_some_and(|rest| rest.starts_with(' ')));
        let record = record.ok_or_else(|| format!("{}: no line {line}", path.display()))?;
        let micros = procfs::parse_pressure_record(record).map_err(|error| reason(&path, error))?.total;
        text.single_counter(&format!("node_pressure_{name}_seconds_total"), help, micros as f64 / 1e6);
    }
    Ok(())
}

pub(super) fn time(roots: &Roots, now_ms: i64, text: &mut Text<'_>) -> Outcome {
    text.single_gauge("node_time_seconds", "System time in seconds since epoch (1970).", now_ms as f64 / 1000.0);
    let dir = roots.sys.join("devices/system/clocksource/clocksource0");
    let (Ok(available), Ok(current)) =
        (read(&dir.join("available_clocksource")), read(&dir.join("current_clocksource")))
    else {
        return Ok(());
    };
    let source = "read from '/sys/devices/system/clocksource'.";
    text.gauge("node_time_clocksource_available_info", &format!("Available clocksources {source}"));
    for name in available.split_ascii_whitespace() {
        text.sample(&[("clocksource", name), ("device", "0")], 1.0);
    }
    text.gauge("node_time_clocksource_current_info", &format!("Current clocksource {source}"));
    text.sample(&[("clocksource", current.trim()), ("device", "0")], 1.0);
    Ok(())
}

pub(super) fn uname(text: &mut Text<'_>) -> Outcome {
    let uname = rustix::system::uname();
    text.gauge("node_uname_info", "Labeled system information as provided by the uname system call.");
    let labels = [
        ("domainname", uname.domainname()),
        ("machine", uname.machine()),
        ("nodename", uname.nodename()),
        ("release", uname.release()),
        ("sysname", uname.sysname()),
        ("version", uname.version()),
    ];
    let labels = labels.map(|(name, value)| (name, value.to_string_lossy()));
    text.sample(&labels.each_ref().map(|(name, value)| (*name, value.as_ref())), 1.0);
    Ok(())
}
