//! `process_*`: what the operating system says about this process, read when somebody asks.

use procfs::process::Process;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;

/// Collects the `process_*` metrics of Prometheus' client libraries.
#[derive(Debug)]
pub struct ProcessCollector;

impl Collector for ProcessCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Ok(process) = Process::myself() else { return Ok(()) };
        if let Ok(stat) = process.stat() {
            let ticks = procfs::ticks_per_second() as f64;
            let cpu = ConstCounter::new((stat.utime + stat.stime) as f64 / ticks);
            put(&mut encoder, "process_cpu_seconds", "Total user and system CPU time spent in seconds.", &cpu)?;
            let rss = ConstGauge::new((stat.rss * procfs::page_size()) as i64);
            put(&mut encoder, "process_resident_memory_bytes", "Resident memory size in bytes.", &rss)?;
            let virt = ConstGauge::new(stat.vsize as i64);
            put(&mut encoder, "process_virtual_memory_bytes", "Virtual memory size in bytes.", &virt)?;
            let threads = ConstGauge::new(stat.num_threads);
            put(&mut encoder, "process_threads", "Number of OS threads in the process.", &threads)?;
            if let Ok(boot) = procfs::boot_time_secs() {
                let start = ConstGauge::new(boot as f64 + stat.starttime as f64 / ticks);
                let help = "Start time of the process since unix epoch in seconds.";
                put(&mut encoder, "process_start_time_seconds", help, &start)?;
            }
        }
        if let Ok(count) = process.fd_count() {
            put(&mut encoder, "process_open_fds", "Number of open file descriptors.", &ConstGauge::new(count as i64))?;
        }
        if let Some(soft) = process.limits().ok().and_then(|l| match l.max_open_files.soft_limit {
            procfs::process::LimitValue::Value(n) => Some(n),
            procfs::process::LimitValue::Unlimited => None,
        }) {
            put(
                &mut encoder,
                "process_max_fds",
                "Maximum number of open file descriptors.",
                &ConstGauge::new(soft as i64),
            )?;
        }
        Ok(())
    }
}

/// Writes one metric without labels from inside a collector.
pub(crate) fn put(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    metric: &impl EncodeMetric,
) -> std::fmt::Result {
    metric.encode(encoder.encode_descriptor(name, help, None, metric.metric_type())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::Registry;

    #[test]
    fn tells_of_this_process() {
        let registry = Registry::new();
        registry.with(|r| r.register_collector(Box::new(ProcessCollector)));
        let text = registry.render();
        for name in [
            "process_cpu_seconds_total ",
            "process_resident_memory_bytes ",
            "process_open_fds ",
            "process_start_time_seconds ",
        ] {
            assert!(text.lines().any(|l| l.starts_with(name)), "{name} in\n{text}");
        }
    }
}
