use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use super::*;

/// A machine under `testdata/host`, its clock at one second and a half.
fn machine() -> HostCollector {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/host");
    let roots = Roots { proc: dir.join("proc"), sys: dir.join("sys"), root: dir.join("root") };
    HostCollector::new(roots, Clock::manual(1_500))
}

fn render(host: &HostCollector) -> String {
    let mut text = String::new();
    host.render(&mut text);
    text
}

#[track_caller]
fn has(text: &str, line: &str) {
    assert!(text.lines().any(|l| l == line), "no line {line:?} in\n{text}");
}

#[track_caller]
fn has_not(text: &str, part: &str) {
    assert!(!text.contains(part), "{part:?} in\n{text}");
}

#[test]
fn cpus_keep_their_numbers() {
    let text = render(&machine());
    has(&text, "# HELP node_cpu_seconds_total Seconds the CPUs spent in each mode.");
    has(&text, "# TYPE node_cpu_seconds_total counter");
    has(&text, r#"node_cpu_seconds_total{cpu="0",mode="user"} 10"#);
    has(&text, r#"node_cpu_seconds_total{cpu="2",mode="idle"} 20"#);
    has(&text, r#"node_cpu_seconds_total{cpu="2",mode="softirq"} 0.04"#);
    has(&text, r#"node_cpu_guest_seconds_total{cpu="0",mode="nice"} 0.1"#);
    has_not(&text, r#"cpu="1""#);
}

#[test]
fn counters_of_the_kernel() {
    let text = render(&machine());
    has(&text, "node_intr_total 123456");
    has(&text, "node_context_switches_total 7890");
    has(&text, "node_forks_total 42");
    has(&text, "node_boot_time_seconds 1700000000");
    has(&text, "node_procs_running 3");
    has(&text, "node_procs_blocked 1");
    has(&text, "node_vmstat_pgmajfault 13");
    has(&text, "# TYPE node_vmstat_oom_kill untyped");
    has_not(&text, "nr_free_pages");
}

#[test]
fn memory_takes_every_field() {
    let text = render(&machine());
    has(&text, "node_memory_MemTotal_bytes 1024000");
    has(&text, "# HELP node_memory_MemAvailable_bytes Memory information field MemAvailable_bytes.");
    has(&text, "node_memory_Active_anon_bytes 5120");
    has(&text, "node_memory_HugePages_Total 2");
}

#[test]
fn disks_without_partitions_and_loops() {
    let text = render(&machine());
    has(&text, r#"node_disk_read_bytes_total{device="sda"} 10240"#);
    has(&text, r#"node_disk_write_time_seconds_total{device="sda"} 7"#);
    has(&text, r#"node_disk_flush_requests_time_seconds_total{device="sda"} 6"#);
    has(&text, r#"node_disk_io_now{device="vda"} 9"#);
    has(&text, r#"node_disk_info{device="vda",major="254",minor="0"} 1"#);
    has_not(&text, r#"node_disk_discards_completed_total{device="vda"}"#);
    has_not(&text, "sda1\"} 1");
    has_not(&text, "loop0");
}

#[test]
fn the_root_file_system_is_asked() {
    let text = render(&machine());
    let labels = r#"{device="/dev/sda1",fstype="ext4",mountpoint="/"}"#;
    has(&text, &format!("node_filesystem_readonly{labels} 0"));
    has(&text, &format!("node_filesystem_device_error{labels} 0"));
    let size = text.lines().find_map(|l| l.strip_prefix(&format!("node_filesystem_size_bytes{labels} "))).unwrap();
    assert!(size.parse::<f64>().unwrap() > 0.0);
}

#[test]
fn network_devices() {
    let text = render(&machine());
    has(&text, r#"node_network_receive_bytes_total{device="eth0"} 2000"#);
    has(&text, r#"node_network_transmit_compressed_total{device="eth0"} 12"#);
    has(&text, r#"node_network_receive_nohandler_total{device="eth0"} 17"#);
    has(&text, r#"node_network_up{device="eth0"} 1"#);
    has(&text, r#"node_network_up{device="lo"} 0"#);
    has(&text, r#"node_network_speed_bytes{device="eth0"} 125000000"#);
    has(&text, r#"node_network_flags{device="eth0"} 4099"#);
    has(
        &text,
        r#"node_network_info{address="02:fc:00:00:00:01",broadcast="",device="eth0",duplex="",ifalias="",operstate="up"} 1"#,
    );
    has_not(&text, r#"node_network_speed_bytes{device="lo"}"#);
    has(&text, "node_netstat_Tcp_CurrEstab 6");
    has(&text, "node_netstat_TcpExt_ListenDrops 2");
    has(&text, "node_netstat_Icmp6_InErrors 4");
    has(&text, "# HELP node_netstat_Udp6_NoPorts Statistic Udp6NoPorts.");
    has_not(&text, "node_netstat_Tcp_RtoMin");
    has(&text, "node_sockstat_sockets_used 9");
    has(&text, "node_sockstat_TCP_tw 1");
    has(&text, &format!("node_sockstat_TCP_mem_bytes {}", 2 * rustix::param::page_size()));
}

#[test]
fn the_small_ones() {
    let text = render(&machine());
    has(&text, "node_load15 1.5");
    has(&text, r#"node_os_version{id="ubuntu",id_like="debian",name="Ubuntu"} 22.04"#);
    assert!(text.contains(r#"pretty_name="Ubuntu 22.04.3 LTS""#), "{text}");
    has(&text, "node_filefd_allocated 640");
    // The shortest text of the nearest float.
    has(&text, "node_filefd_maximum 9223372036854776000");
    has(&text, "node_pressure_io_stalled_seconds_total 0.25");
    has(&text, "node_time_seconds 1.5");
    has(&text, r#"node_time_clocksource_current_info{clocksource="tsc",device="0"} 1"#);
    assert!(text.contains(r#"sysname="Linux""#), "{text}");
}

#[test]
fn every_collector_says_how_it_went() {
    let text = render(&machine());
    for (name, _) in COLLECTORS {
        has(&text, &format!("node_scrape_collector_success{{collector=\"{name}\"}} 1"));
        assert!(text.contains(&format!("node_scrape_collector_duration_seconds{{collector=\"{name}\"}} ")));
    }
}

#[test]
fn a_machine_without_files_has_only_failures() {
    let dir = tempfile::tempdir().unwrap();
    let roots = Roots { proc: dir.path().into(), sys: dir.path().into(), root: dir.path().into() };
    let text = render(&HostCollector::new(roots, Clock::manual(0)));
    has(&text, "node_scrape_collector_success{collector=\"cpu\"} 0");
    has(&text, "node_scrape_collector_success{collector=\"stat\"} 0");
    has_not(&text, "node_intr_total");
}

/// Odd content, the file it is in, the collector that has nothing to say.
const ODD: [(&str, &str, &str); 10] = [
    ("loadavg", "0.1 0.2\n", "loadavg"),
    ("loadavg", "0.1 0.2 0.3 1 1\n", "loadavg"),
    ("stat", "cpu0 1 2 3 4\nintr 1\n", "stat"),
    ("stat", "cpu 1 2 3 4\ncpu0 1 2 3 4\nctxt 1\nbtime 1\nprocesses 1\n", "stat"),
    ("vmstat", "pgfault\n", "vmstat"),
    ("diskstats", "8 0 sda 1 x\n", "diskstats"),
    ("1/net/dev", "\n\neth0: 1 2 3\n", "netdev"),
    ("1/net/dev", "\n\n:\n", "netdev"),
    ("pressure/cpu", "some", "pressure"),
    ("pressure/cpu", "some \u{20ac}\n", "pressure"),
];

fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            std::fs::write(to, std::fs::read(entry.path()).unwrap()).unwrap();
        }
    }
}

#[test]
fn odd_content_silences_one_collector() {
    for (file, content, silent) in ODD {
        let (dir, roots) = (tempfile::tempdir().unwrap(), machine().roots);
        copy_tree(&roots.proc, dir.path());
        std::fs::write(dir.path().join(file), content).unwrap();
        let text = render(&HostCollector::new(Roots { proc: dir.path().into(), ..roots }, Clock::manual(0)));
        for (name, _) in COLLECTORS {
            let success = u8::from(name != silent);
            has(&text, &format!("node_scrape_collector_success{{collector=\"{name}\"}} {success}"));
        }
    }
}

#[test]
fn kernels_without_full_pressure_of_the_cpu_have_the_rest() {
    let (dir, roots) = (tempfile::tempdir().unwrap(), machine().roots);
    copy_tree(&roots.proc, dir.path());
    std::fs::write(dir.path().join("pressure/cpu"), "some avg10=0.00 avg60=0.00 avg300=0.00 total=7000000\n").unwrap();
    let text = render(&HostCollector::new(Roots { proc: dir.path().into(), ..roots }, Clock::manual(0)));
    has(&text, "node_pressure_cpu_waiting_seconds_total 7");
    has(&text, "node_pressure_io_stalled_seconds_total 0.25");
}

#[test]
fn the_reason_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("vmstat");
    let reason = parse::<procfs::VmStat>(&path).unwrap_err();
    assert!(reason.starts_with(&format!("{}: ", path.display())), "{reason}");
    std::fs::write(&path, "pgfault x\n").unwrap();
    let reason = parse::<procfs::VmStat>(&path).unwrap_err();
    assert!(reason.starts_with(&format!("{}: ", path.display())) && reason.contains("\"x\""), "{reason}");
    assert!(!reason.contains("report"), "{reason}");
}

#[test]
fn a_family_has_one_head_and_its_samples_follow() {
    let text = render(&machine());
    let mut heads = Vec::new();
    for line in text.lines() {
        match line.strip_prefix("# TYPE ") {
            Some(rest) => heads.push(rest.split(' ').next().unwrap().to_owned()),
            None if line.starts_with('#') => {}
            None => assert_eq!(line.split(['{', ' ']).next(), heads.last().map(String::as_str)),
        }
    }
    let count = heads.len();
    heads.sort();
    heads.dedup();
    assert_eq!(heads.len(), count);
}

/// Series (name and labels without empty ones) to value.
fn series(text: &str) -> BTreeMap<String, f64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let parse = |line: &str| {
        let (name, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = name.split_once('{').unwrap_or((name, ""));
        let labels: Vec<_> =
            labels.trim_end_matches("\"}").split("\",").filter(|l| !l.is_empty() && !l.ends_with("=\"")).collect();
        (format!("{name}{{{}}}", labels.join("\",")), value.parse().unwrap())
    };
    lines.map(parse).collect()
}

/// Heads: metric to `TYPE` and `HELP`.
fn heads(text: &str) -> BTreeMap<String, Vec<String>> {
    let mut heads: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for line in text.lines().filter_map(|l| l.strip_prefix("# ")) {
        let mut parts = line.splitn(3, ' ');
        let (Some(_), Some(name), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { continue };
        heads.entry(name.to_owned()).or_default().push(rest.to_owned());
    }
    heads
}

/// The page of a real node_exporter with our collectors, or `None` where the program is not installed.
fn node_exporter_page() -> Option<String> {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("127.0.0.1:{port}");
    let mut program = std::process::Command::new("prometheus-node-exporter");
    program.args(["--collector.disable-defaults", &format!("--web.listen-address={address}")]);
    program.args(["--collector.netdev.device-exclude=^$", "--collector.netclass.ignore-invalid-speed"]);
    program
        .arg("--collector.filesystem.mount-points-exclude=^/(dev|proc|run/credentials/.+|sys|var/lib/docker/.+)($|/)");
    program.args(COLLECTORS.iter().map(|(name, _)| format!("--collector.{name}")));
    let _running =
        Running(program.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).spawn().ok()?);
    let deadline = Instant::now() + std::time::Duration::from_secs(10);
    loop {
        if let Ok(mut stream) = TcpStream::connect(&address) {
            write!(stream, "GET /metrics HTTP/1.0\r\n\r\n").unwrap();
            let mut page = String::new();
            stream.read_to_string(&mut page).unwrap();
            return page.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
        }
        assert!(Instant::now() < deadline, "node_exporter does not listen on {address}");
        std::thread::yield_now();
    }
}

/// Ends its process when the test does, however it does.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What node_exporter and we have apart from each other, and why that is right.
fn is_known_difference(name: &str) -> bool {
    const PREFIXES: [&str; 11] = [
        // Of the running process.
        "node_exporter_",
        "go_",
        "process_",
        "promhttp_",
        // How it went and how long it took.
        "node_scrape_collector",
        // What we do not take: the zone, and what the collector `cpu` finds on other machines.
        "node_time_zone_offset",
        "node_cpu_frequency",
        "node_cpu_info",
        "node_cpu_core_throttles",
        "node_cpu_package_throttles",
        "node_softnet",
    ];
    // Newer versions than Debian's do not look at compressed memory disks, and take two more statistics; so do we.
    const PARTS: [&str; 3] = ["device=\"zram", "TCPOFOQueue", "TCPRcvQDrop"];
    PREFIXES.iter().any(|prefix| name.starts_with(prefix)) || PARTS.iter().any(|part| name.contains(part))
}

#[test]
fn names_labels_types_and_values_are_those_of_node_exporter() {
    let Some(theirs) = node_exporter_page() else {
        println!("skipped: prometheus-node-exporter is not on the PATH");
        return;
    };
    let ours = render(&HostCollector::new(Roots::default(), Clock::system()));
    let (our_series, their_series) = (series(&ours), series(&theirs));
    let missing: Vec<_> =
        their_series.keys().filter(|k| !our_series.contains_key(*k) && !is_known_difference(k)).collect();
    let extra: Vec<_> =
        our_series.keys().filter(|k| !their_series.contains_key(*k) && !is_known_difference(k)).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nextra: {extra:#?}");

    let (our_heads, their_heads) = (heads(&ours), heads(&theirs));
    for (name, head) in their_heads.iter().filter(|(name, _)| !is_known_difference(name)) {
        assert_eq!(our_heads.get(name), Some(head), "{name}");
    }
    // Things that stand still are equal; things that count are near.
    for (name, theirs) in &their_series {
        let Some(ours) = our_series.get(name).filter(|_| !is_known_difference(name)) else { continue };
        let is_still = [
            "_size_bytes",
            "MemTotal_bytes",
            "boot_time",
            "node_uname_info",
            "network_mtu",
            "network_flags",
            "filefd_maximum",
        ];
        if is_still.iter().any(|part| name.contains(part)) {
            assert_eq!(ours, theirs, "{name}");
        } else if name.contains("_total{") && *theirs > 1000.0 {
            assert!((ours / theirs - 1.0).abs() < 0.5, "{name}: ours {ours}, theirs {theirs}");
        }
    }
}
