//! Network devices and sockets.
//!
//! Here: collectors `netdev` (traffic), `netclass` (properties), `netstat` (protocols) and `sockstat`.

use std::path::Path;

use procfs::net::{DeviceStatus, InterfaceDeviceStatus};

use super::text::Text;
use super::{Outcome, Roots, number, parse, read};

/// A metric's name and its count.
type Traffic = (&'static str, fn(&DeviceStatus) -> u64);

/// What `/proc/net/dev` counts, in its order.
const TRAFFIC: [Traffic; 16] = [
    ("receive_bytes", |device| device.recv_bytes),
    ("receive_packets", |device| device.recv_packets),
    ("receive_errs", |device| device.recv_errs),
    ("receive_drop", |device| device.recv_drop),
    ("receive_fifo", |device| device.recv_fifo),
    ("receive_frame", |device| device.recv_frame),
    ("receive_compressed", |device| device.recv_compressed),
    ("receive_multicast", |device| device.recv_multicast),
    ("transmit_bytes", |device| device.sent_bytes),
    ("transmit_packets", |device| device.sent_packets),
    ("transmit_errs", |device| device.sent_errs),
    ("transmit_drop", |device| device.sent_drop),
    ("transmit_fifo", |device| device.sent_fifo),
    ("transmit_colls", |device| device.sent_colls),
    ("transmit_carrier", |device| device.sent_carrier),
    ("transmit_compressed", |device| device.sent_compressed),
];

pub(super) fn netdev(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let InterfaceDeviceStatus(devices) = parse(&first_of(&roots.proc, "net/dev"))?;
    let mut devices: Vec<DeviceStatus> = devices.into_values().collect();
    devices.sort_by(|a, b| a.name.cmp(&b.name));
    for (name, count) in TRAFFIC {
        text.counter(&format!("node_network_{name}_total"), &format!("Network device statistic {name}."));
        for device in &devices {
            text.sample(&[("device", &device.name)], count(device) as f64);
        }
    }
    text.counter("node_network_receive_nohandler_total", "Network device statistic receive_nohandler.");
    for DeviceStatus { name, .. } in &devices {
        let file = roots.sys.join("class/net").join(name).join("statistics/rx_nohandler");
        if let Some(value) = read(&file).ok().and_then(|text| text.trim().parse().ok()) {
            text.sample(&[("device", name)], value);
        }
    }
    Ok(())
}

/// The network of the host, not of our own namespace, where the first process may be read.
fn first_of(proc: &Path, rest: &str) -> std::path::PathBuf {
    let host = proc.join("1").join(rest);
    if std::fs::File::open(&host).is_ok() { host } else { proc.join(rest) }
}

/// Metric's name, file in `/sys/class/net/<device>`, factor, whether it counts.
const PROPERTIES: [(&str, &str, f64, bool); 17] = [
    ("address_assign_type", "addr_assign_type", 1.0, false),
    ("carrier", "carrier", 1.0, false),
    ("carrier_changes_total", "carrier_changes", 1.0, true),
    ("carrier_up_changes_total", "carrier_up_count", 1.0, true),
    ("carrier_down_changes_total", "carrier_down_count", 1.0, true),
    ("device_id", "dev_id", 1.0, false),
    ("dormant", "dormant", 1.0, false),
    ("flags", "flags", 1.0, false),
    ("iface_id", "ifindex", 1.0, false),
    ("iface_link", "iflink", 1.0, false),
    ("iface_link_mode", "link_mode", 1.0, false),
    ("mtu_bytes", "mtu", 1.0, false),
    ("name_assign_type", "name_assign_type", 1.0, false),
    ("net_dev_group", "netdev_group", 1.0, false),
    ("protocol_type", "type", 1.0, false),
    ("transmit_queue_length", "tx_queue_len", 1.0, false),
    // Megabits per second in the file.
    ("speed_bytes", "speed", 1_000_000.0 / 8.0, false),
];

pub(super) fn netclass(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let dir = roots.sys.join("class/net");
    let entries = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut devices: Vec<String> = entries.flatten().filter_map(|e| e.file_name().into_string().ok()).collect();
    // `bonding_masters` is a file among the devices.
    devices.retain(|device| dir.join(device).is_dir());
    devices.sort();
    let file = |device: &str, name: &str| read(&dir.join(device).join(name)).ok().map(|text| text.trim().to_owned());

    text.gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.");
    for device in &devices {
        let is_up = file(device, "operstate").as_deref() == Some("up");
        text.sample(&[("device", device)], f64::from(u8::from(is_up)));
    }
    text.gauge("node_network_info", "Non-numeric data from /sys/class/net/<iface>, value is always 1.");
    for device in &devices {
        let [address, broadcast, duplex, alias, state] = ["address", "broadcast", "duplex", "ifalias", "operstate"]
            .map(|name| file(device, name).unwrap_or_default());
        let labels = [
            ("address", address),
            ("broadcast", broadcast),
            ("device", device.clone()),
            ("duplex", duplex),
            ("ifalias", alias),
            ("operstate", state),
        ];
        text.sample(&labels.each_ref().map(|(name, value)| (*name, value.as_str())), 1.0);
    }
    for (name, source, factor, counts) in PROPERTIES {
        let value = |device: &str| Some(parse_property(&file(device, source)?)? * factor);
        // A link that is down has speed -1: no value, as in node_exporter.
        let values: Vec<_> = devices
            .iter()
            .filter_map(|d| Some((d, value(d)?)))
            .filter(|(_, v)| name != "speed_bytes" || *v >= 0.0)
            .collect();
        if values.is_empty() {
            continue;
        }
        let (metric, help) = (format!("node_network_{name}"), format!("Network device property: {name}"));
        if counts {
            text.counter(&metric, &help)
        } else {
            text.gauge(&metric, &help)
        }
        for (device, value) in values {
            text.sample(&[("device", device)], value);
        }
    }
    Ok(())
}

/// Decimal or `0x` hexadecimal.
fn parse_property(text: &str) -> Option<f64> {
    match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok().map(|n| n as f64),
        None => text.parse::<i64>().ok().map(|n| n as f64),
    }
}

/// The fields that node_exporter takes of `/proc/net/{netstat,snmp,snmp6}`, by protocol.
const STATISTICS: [(&str, &[&str]); 11] = [
    ("Ip", &["Forwarding"]),
    ("Ip6", &["InOctets", "OutOctets"]),
    ("IpExt", &["InOctets", "OutOctets"]),
    ("Icmp", &["InMsgs", "OutMsgs", "InErrors"]),
    ("Icmp6", &["InMsgs", "OutMsgs", "InErrors"]),
    (
        "TcpExt",
        &[
            "ListenDrops",
            "ListenOverflows",
            "SyncookiesFailed",
            "SyncookiesRecv",
            "SyncookiesSent",
            "TCPSynRetrans",
            "TCPTimeouts",
            "TCPOFOQueue",
            "TCPRcvQDrop",
        ],
    ),
    ("Tcp", &["ActiveOpens", "InSegs", "OutSegs", "OutRsts", "PassiveOpens", "RetransSegs", "CurrEstab", "InErrs"]),
    ("Udp", &UDP),
    ("Udp6", &UDP),
    ("UdpLite", &["InErrors"]),
    ("UdpLite6", &["InErrors"]),
];
const UDP: [&str; 6] = ["InDatagrams", "OutDatagrams", "NoPorts", "InErrors", "RcvbufErrors", "SndbufErrors"];

pub(super) fn netstat(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let mut found: Vec<(String, f64)> = Vec::new();
    for file in ["net/netstat", "net/snmp"] {
        let path = first_of(&roots.proc, file);
        let table = read(&path)?;
        let lines: Vec<&str> = table.lines().collect();
        // Two lines for each protocol: `Tcp: names…` and `Tcp: values…`.
        for pair in lines.chunks_exact(2) {
            let (Some((protocol, names)), Some((_, values))) = (pair[0].split_once(':'), pair[1].split_once(':'))
            else {
                continue;
            };
            for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
                if is_wanted(protocol, name) {
                    found.push((format!("{protocol}_{name}"), number(value, &path)?));
                }
            }
        }
    }
    // `Ip6InOctets 12`; not there without IPv6.
    let path = first_of(&roots.proc, "net/snmp6");
    for line in read(&path).unwrap_or_default().lines() {
        let mut parts = line.split_ascii_whitespace();
        let (Some(key), Some(value)) = (parts.next(), parts.next()) else { continue };
        let Some((protocol, name)) = key.find('6').map(|at| key.split_at(at + 1)) else { continue };
        if is_wanted(protocol, name) {
            found.push((format!("{protocol}_{name}"), number(value, &path)?));
        }
    }
    for (name, value) in found {
        text.untyped(&format!("node_netstat_{name}"), &format!("Statistic {}.", name.replace('_', "")));
        text.sample(&[], value);
    }
    Ok(())
}

fn is_wanted(protocol: &str, name: &str) -> bool {
    STATISTICS.iter().any(|(p, names)| *p == protocol && names.contains(&name))
}

/// `TCP: inuse 3 orphan 0` becomes `node_sockstat_TCP_inuse` and so on.
pub(super) fn sockstat(roots: &Roots, text: &mut Text<'_>) -> Outcome {
    let page_bytes = rustix::param::page_size() as f64;
    for (file, required) in [("net/sockstat", true), ("net/sockstat6", false)] {
        let path = first_of(&roots.proc, file);
        let table = match read(&path) {
            Ok(table) => table,
            Err(reason) if required => return Err(reason),
            Err(_) => continue,
        };
        for line in table.lines() {
            let Some((protocol, rest)) = line.split_once(": ") else { continue };
            let parts: Vec<&str> = rest.split_ascii_whitespace().collect();
            for pair in parts.chunks_exact(2) {
                let value = number(pair[1], &path)?;
                if protocol == "sockets" {
                    text.single_gauge("node_sockstat_sockets_used", "Number of IPv4 sockets in use.", value);
                    continue;
                }
                let mut state = |state: &str, value| {
                    let help = format!("Number of {protocol} sockets in state {state}.");
                    text.single_gauge(&format!("node_sockstat_{protocol}_{state}"), &help, value);
                };
                state(pair[0], value);
                if pair[0] == "mem" {
                    state("mem_bytes", value * page_bytes);
                }
            }
        }
    }
    Ok(())
}
