//! The stores' metrics under Prometheus' names, summed over tenants: whose series they are is nobody else's business.

use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use storage::{Refusal, Stats};

use super::Tenants;
use crate::telemetry::put;

/// Reads the statistics of all tenants when somebody asks.
#[derive(Debug)]
pub struct StorageCollector(pub Arc<Tenants>);

impl Collector for StorageCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let tenants = self.0.all();
        let stats: Vec<Stats> = tenants.iter().map(|t| t.db.stats()).collect();
        let sum = |field: fn(&Stats) -> u64| stats.iter().map(field).sum::<u64>();
        let mut gauge = |name: &str, help: &str, value: i64| put(&mut encoder, name, help, &ConstGauge::new(value));
        gauge("cairn_tenants", "Tenants with a database.", tenants.len() as i64)?;
        gauge(
            "prometheus_tsdb_head_series",
            "Total number of series in the head block.",
            sum(|s| s.head_series) as i64,
        )?;
        gauge(
            "prometheus_tsdb_head_chunks",
            "Total number of chunks in the head block.",
            sum(|s| s.head_chunks) as i64,
        )?;
        gauge("prometheus_tsdb_head_samples", "Samples in the head.", sum(|s| s.head_samples) as i64)?;
        gauge("prometheus_tsdb_blocks_loaded", "Number of currently loaded data blocks.", sum(|s| s.blocks) as i64)?;
        let help = "The number of bytes that are currently used for local storage by all blocks.";
        gauge("prometheus_tsdb_storage_blocks_bytes", help, sum(|s| s.block_bytes) as i64)?;
        gauge(
            "prometheus_tsdb_wal_storage_size_bytes",
            "Size of the write log directory.",
            sum(|s| s.wal_bytes) as i64,
        )?;
        let help = "Damaged pieces of the stores that were set aside since start.";
        gauge("cairn_storage_quarantined", help, sum(|s| s.quarantined) as i64)?;
        let help = "Bytes at the end of the write-ahead logs that were no whole record at start, and were cut.";
        gauge("cairn_storage_wal_torn_bytes", help, sum(|s| s.wal_torn_bytes) as i64)?;
        let help = "Samples of the write-ahead logs whose series' labels were lost with a damaged record.";
        gauge("cairn_storage_orphaned_samples", help, sum(|s| s.orphaned_samples) as i64)?;
        let help = "Series of blocks with samples that are deleted but still on the disk.";
        gauge("cairn_storage_tombstones", help, sum(|s| s.tombstones) as i64)?;
        let refusing = |why: Refusal| stats.iter().filter(|s| s.refuses == Some(why)).count() as i64;
        let help = "Stores that refuse samples because the disk is full.";
        gauge("cairn_storage_disk_full", help, refusing(Refusal::DiskFull))?;
        let help = "Stores that refuse samples because writing to the disk failed.";
        gauge("cairn_storage_write_failed", help, refusing(Refusal::Failed))?;
        let help = "Appends and syncs that the disk refused.";
        let failures = ConstCounter::new(sum(|s| s.append_failures));
        put(&mut encoder, "cairn_storage_append_failures", help, &failures)?;
        let help = "Snapshots asked for that lack samples which are damaged in the head.";
        let incomplete = ConstCounter::new(sum(|s| s.incomplete_copies));
        put(&mut encoder, "cairn_storage_incomplete_snapshots", help, &incomplete)?;
        let appended = ConstCounter::new(sum(|s| s.samples_appended));
        put(&mut encoder, "prometheus_tsdb_head_samples_appended", "Total number of appended samples.", &appended)
    }
}
