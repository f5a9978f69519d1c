//! `/proc/meminfo` and `/proc/vmstat`.
//!
//! Here: collectors `meminfo` and `vmstat`. Their names come from the files, so a newer kernel's fields appear by
//! themselves.

use std::collections::BTreeMap;

use procfs::VmStat;

use super::text::Text;
use super::{Outcome, Roots, number, parse, read};

/// `MemTotal:  123 kB` becomes `node_memory_MemTotal_bytes`, `Active(anon)` becomes `Active_anon`.
pub(super) fn meminfo(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let path = roots.proc.join("meminfo");
    for line in read(&path)?.lines() {
        let Some((key, rest)) = line.split_once(':') else { continue };
        let mut parts = rest.split_ascii_whitespace();
        let value = number(parts.next().unwrap_or_default(), &path)?;
        let (suffix, factor) = if parts.next() == Some("kB") { ("_bytes", 1024.0) } else { ("", 1.0) };
        let name = format!("{}{suffix}", key.trim_end_matches(')').replace('(', "_"));
        text.single_gauge(&format!("node_memory_{name}"), &format!("Memory information field {name}."), value * factor);
    }
    Ok(())
}

/// The fields that node_exporter takes: out-of-memory kills, paging, swapping, page faults.
pub(super) fn vmstat(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let VmStat(fields) = parse(&roots.proc.join("vmstat"))?;
    let wanted = |name: &str| {
        let starts = ["oom_kill", "pgpg", "pswp"].iter().any(|prefix| name.starts_with(prefix));
        starts || name.starts_with("pg") && name.contains("fault")
    };
    // In the same order each time.
    for (name, value) in fields.into_iter().filter(|(name, _)| wanted(name)).collect::<BTreeMap<_, _>>() {
        text.untyped(&format!("node_vmstat_{name}"), &format!("/proc/vmstat information field {name}."));
        text.sample(&[], value as f64);
    }
    Ok(())
}
