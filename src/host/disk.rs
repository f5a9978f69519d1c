//! `/proc/diskstats`: what block devices did.
//!
//! Here: collector `diskstats` with node_exporter's exclusions. Elsewhere: how full they are (`filesystem`).

use std::sync::LazyLock;

use procfs::{DiskStat, DiskStats};
use regex::Regex;

use super::text::Text;
use super::{Outcome, Roots, parse};

/// In sectors of this size, whatever the device's own is.
const SECTOR_BYTES: f64 = 512.0;
const MS: f64 = 0.001;

static EXCLUDED: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^(z?ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+$").expect("a constant expression compiles")
});

/// Kind, name, help, factor, in the order of the file's columns.
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

/// In the order of [`COLUMNS`]; those that the kernel does not have are missing.
fn values(disk: &DiskStat) -> [Option<u64>; COLUMNS.len()] {
    [
        Some(disk.reads),
        Some(disk.merged),
        Some(disk.sectors_read),
        Some(disk.time_reading),
        Some(disk.writes),
        Some(disk.writes_merged),
        Some(disk.sectors_written),
        Some(disk.time_writing),
        Some(disk.in_progress),
        Some(disk.time_in_progress),
        Some(disk.weighted_time_in_progress),
        disk.discards,
        disk.discards_merged,
        disk.sectors_discarded,
        disk.time_discarding,
        disk.flushes,
        disk.time_flushing,
    ]
}

pub(super) fn collect(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let DiskStats(mut disks) = parse(&roots.proc.join("diskstats"))?;
    disks.retain(|disk| !EXCLUDED.is_match(&disk.name));
    text.gauge("node_disk_info", "Info of /sys/block/<block_device>.");
    for disk in &disks {
        let (major, minor) = (disk.major.to_string(), disk.minor.to_string());
        text.sample(&[("device", &disk.name), ("major", &major), ("minor", &minor)], 1.0);
    }
    for (i, (is_counter, name, help, factor)) in COLUMNS.iter().enumerate() {
        let values: Vec<_> = disks.iter().filter_map(|d| Some((&d.name, values(d)[i]? as f64 * factor))).collect();
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
