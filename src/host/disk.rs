//! `/proc/diskstats`: what block devices did.
//!
//! Here: collector `diskstats` with node_exporter's exclusions. Elsewhere: how full they are (`filesystem`).

use std::sync::LazyLock;

use regex::Regex;

use super::text::Text;
use super::{Outcome, Roots, number, read};

/// In sectors of this size, whatever the device's own is.
const SECTOR_BYTES: f64 = 512.0;
const MS: f64 = 0.001;

static EXCLUDED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$").expect("a constant expression compiles")
});

/// Kind, name, help, factor, in the order of the columns after the device's name.
type Column = (bool, &'static str, &'static str, f64);
const COUNTER: bool = true;
const GAUGE: bool = false;

const COLUMNS: [Column; 17] = [
    (COUNTER, "reads_completed_total", "The total number of reads completed successfully.", 1.0),
    (COUNTER, "reads_merged_total", "The total number of reads merged.", 1.0),
    (COUNTER, "read_bytes_total", "The total number of bytes read successfully.", SECTOR_BYTES),
    (COUNTER, "read_time_seconds_total", "The total number of seconds spent by all reads.", MS),
    (COUNTER, "writes_completed_total", "The total number of writes completed successfully.", 1.0),
    (COUNTER, "writes_merged_total", "The number of writes merged.", 1.0),
    (COUNTER, "written_bytes_total", "The total number of bytes written successfully.", SECTOR_BYTES),
    (COUNTER, "write_time_seconds_total", "This is the total number of seconds spent by all writes.", MS),
    (GAUGE, "io_now", "The number of I/Os currently in progress.", 1.0),
    (COUNTER, "io_time_seconds_total", "Total seconds spent doing I/Os.", MS),
    (COUNTER, "io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.", MS),
    (COUNTER, "discards_completed_total", "The total number of discards completed successfully.", 1.0),
    (COUNTER, "discards_merged_total", "The total number of discards merged.", 1.0),
    (COUNTER, "discarded_sectors_total", "The total number of sectors discarded successfully.", 1.0),
    (COUNTER, "discard_time_seconds_total", "This is the total number of seconds spent by all discards.", MS),
    (COUNTER, "flush_requests_total", "The total number of flush requests completed successfully", 1.0),
    (
        COUNTER,
        "flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        MS,
    ),
];

/// One line: `major minor name` and as many columns as the kernel has.
struct Device<'a> {
    major: &'a str,
    minor: &'a str,
    name: &'a str,
    columns: Vec<f64>,
}

pub(super) fn collect(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let path = roots.proc.join("diskstats");
    let stats = read(&path)?;
    let mut devices = Vec::new();
    for line in stats.lines() {
        let mut parts = line.split_ascii_whitespace();
        let (Some(major), Some(minor), Some(name)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if !EXCLUDED.is_match(name) {
            let columns = parts.map(|part| number(part, &path)).collect::<Result<_, _>>()?;
            devices.push(Device { major, minor, name, columns });
        }
    }
    text.gauge("node_disk_info", "Info of /sys/block/<block_device>.");
    for device in &devices {
        text.sample(&[("device", device.name), ("major", device.major), ("minor", device.minor)], 1.0);
    }
    for (i, (is_counter, name, help, factor)) in COLUMNS.iter().enumerate() {
        let values: Vec<_> = devices.iter().filter_map(|d| Some((d.name, d.columns.get(i)? * factor))).collect();
        if values.is_empty() {
            continue;
        }
        let name = format!("node_disk_{name}");
        if *is_counter {
            text.counter(&name, help)
        } else {
            text.gauge(&name, help)
        }
        for (device, value) in values {
            text.sample(&[("device", device)], value);
        }
    }
    Ok(())
}
