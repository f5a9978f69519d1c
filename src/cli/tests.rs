use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::config::Limits;

#[track_caller]
fn serve(args: &[&str]) -> (Flags, Vec<String>) {
    match parse(std::iter::once(&"cairn").chain(args)).unwrap_or_else(|error| panic!("{error}")) {
        Invocation::Serve { flags, warnings } => (*flags, warnings),
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refused(args: &[&str], expected: &str) {
    let error = parse(std::iter::once(&"cairn").chain(args)).expect_err("should be refused").to_string();
    assert!(error.contains(expected), "{error}");
}

fn output(command: &Command) -> (u8, String) {
    let mut out = Vec::new();
    let code = run(command, &mut out).unwrap();
    (code, String::from_utf8(out).unwrap())
}

#[test]
fn defaults() {
    let (flags, warnings) = serve(&[]);
    assert_eq!(flags.listen_addresses, ["127.0.0.1:9090"]);
    assert_eq!((flags.lookback_delta, flags.query_timeout), (Duration::from_secs(300), None));
    assert_eq!((flags.query_samples_max, flags.query_concurrency_max), (None, None));
    assert_eq!(flags.as_map(&Limits::default())["query.max-samples"], "50000000");
    assert_eq!(flags.data_dir, Path::new("./data"));
    assert_eq!((flags.retention_time, flags.retention_bytes, flags.config_file.as_ref()), (None, None, None));
    assert_eq!((flags.enable_lifecycle(), flags.multitenancy(), flags.host_monitoring()), (true, None, None));
    assert_eq!(flags.route_prefix(), "");
    assert!(warnings.is_empty());
}

#[test]
fn a_start_line_of_prometheus_works() {
    let (flags, warnings) = serve(&[
        "--config.file=/etc/prometheus/prometheus.yml",
        "--storage.tsdb.path=/prometheus",
        "--web.console.libraries=/usr/share/prometheus/console_libraries",
        "--web.console.templates",
        "/usr/share/prometheus/consoles",
        "--storage.tsdb.retention.time=30d",
        "--storage.tsdb.retention.size=10GB",
        "--web.enable-lifecycle",
        "--web.enable-admin-api",
        "--no-storage.tsdb.wal-compression",
        "--web.listen-address=:9090",
        "--listen",
        "0.0.0.0:3000",
        "--log.level=warn",
    ]);
    assert_eq!(flags.listen_addresses, [":9090", "0.0.0.0:3000"]);
    assert_eq!((flags.retention_time, flags.retention_bytes), (Some(Duration::from_secs(30 * 86_400)), Some(10 << 30)));
    assert_eq!(flags.log_level, LogLevel::Warn);
    let named = |name: &str| format!("flag --{name} of Prometheus is accepted and has no effect");
    assert_eq!(
        warnings,
        [
            named("web.console.libraries"),
            named("web.console.templates"),
            named("no-storage.tsdb.wal-compression"),
            named("web.enable-admin-api")
        ]
    );
}

#[test]
fn features_have_prometheus_names() {
    let (flags, warnings) = serve(&["--enable-feature=promql-experimental-functions,promql-binop-fill-modifiers"]);
    let syntax = flags.syntax();
    assert!(syntax.experimental_functions && syntax.binop_fill_modifiers && syntax.duration_expr);
    assert!(!syntax.extended_range_selectors && !flags.delayed_name_removal() && warnings.is_empty());
    assert_eq!(
        flags.as_map(&Limits::default())["enable-feature"],
        "promql-experimental-functions,promql-binop-fill-modifiers"
    );
    let (flags, warnings) = serve(&[
        "--enable-feature=promql-delayed-name-removal",
        "--enable-feature=promql-duration-expr,native-histogram,exemplar-storage",
        "--enable-feature=created-timestamp-zero-ingestion,native-histograms",
    ]);
    assert!(flags.delayed_name_removal() && flags.stores_zeros() && !flags.stores_starts());
    let expected = [
        "feature promql-duration-expr of --enable-feature is now permanently enabled and therefore a no-op",
        "unknown option for --enable-feature: native-histogram",
        "feature exemplar-storage of Prometheus is accepted and has no effect",
        "feature native-histograms of --enable-feature is a no-op: set scrape_native_histograms in the configuration",
    ];
    assert_eq!(warnings, expected);
}

#[test]
fn ports_of_compose_files_are_understood() {
    let listen = |args: &[&str], variables: &[(&str, &str)]| {
        let lookup = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
        match parse_with(std::iter::once(&"cairn").chain(args), &lookup).unwrap() {
            Invocation::Serve { flags, .. } => flags.listen_addresses,
            other => panic!("{other:?}"),
        }
    };
    let site = [("PROMETHEUS_PORT", "9091"), ("GRAFANA_PORT", "3030")];
    assert_eq!(listen(&[], &site), ["127.0.0.1:9091", "127.0.0.1:3030"]);
    assert_eq!(listen(&["--listen=:1"], &site), [":1"]);
    assert_eq!(listen(&[], &[("GRAFANA_PORT", "tcp://10.0.0.1:3000")]), ["127.0.0.1:9090"]);
    assert_eq!(bind_candidates(":9"), ["[::]:9", "0.0.0.0:9"]);
    assert_eq!(bind_candidates("h:9"), ["h:9"]);
}

#[test]
fn switches_turn_both_ways() {
    assert!(!serve(&["--no-web.enable-lifecycle"]).0.enable_lifecycle());
    assert!(!serve(&["--web.enable-lifecycle=false"]).0.enable_lifecycle());
    assert!(serve(&["--web.enable-lifecycle"]).0.enable_lifecycle());
    assert_eq!(serve(&["--auth.multitenancy-enabled"]).0.multitenancy(), Some(true));
    assert_eq!(serve(&["--auth.multitenancy-enabled=false"]).0.multitenancy(), Some(false));
    assert_eq!(serve(&["--no-collector.host"]).0.host_monitoring(), Some(false));
    assert_eq!(serve(&["--collector.host"]).0.host_monitoring(), Some(true));
}

#[test]
fn wrong_flags_are_refused_in_words() {
    refused(
        &["--web.config.file=x"],
        "flag --web.config.file of Prometheus is not supported yet by this version of Cairn; remove it",
    );
    refused(&["--web.listen-addres=x"], "--web.listen-address");
    refused(&["--query.timeout=2"], "not a valid duration string: \"2\"");
    refused(&["--web.listen-address=localhost"], "write host:port or :port");
    refused(&["--query.max-concurrency=0"], "at least 1");
    refused(&["--web.external-url=/prometheus"], "invalid value");
    refused(&["--log.level=loud"], "debug, info, warn, error");
}

#[test]
fn the_prefix_follows_the_external_url() {
    let prefix = |args: &[&str]| serve(args).0.route_prefix();
    assert_eq!(prefix(&["--web.external-url=https://x/prom/"]), "/prom");
    assert_eq!(prefix(&["--web.external-url=https://x/prom/", "--web.route-prefix=/"]), "");
    assert_eq!(prefix(&["--web.route-prefix=a/b/"]), "/a/b");
}

#[test]
fn the_map_of_flags_has_prometheus_names() {
    let (flags, _) = serve(&["--storage.tsdb.retention.time=15d", "--web.external-url=http://u:p@h/x"]);
    let map = flags.as_map(&Limits::default());
    assert_eq!(map["storage.tsdb.retention.time"], "15d");
    assert_eq!(map["query.timeout"], "2m");
    assert_eq!(map["web.enable-lifecycle"], "true");
    assert_eq!(map["web.external-url"], "http://u:xxxxx@h/x");
    assert_eq!(map["web.route-prefix"], "/x/");
}

#[test]
fn version_is_printed() {
    let (code, text) = output(&Command::Version);
    assert_eq!((code, text), (0, format!("{}\n", version())));
    let error = parse(["cairn", "--version"]).unwrap_err();
    assert_eq!((error.exit_code(), error.to_string()), (0, format!("cairn {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn check_config_prints_as_promtool_does() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(dir.path().join(name), text).unwrap();
        dir.path().join(name)
    };
    let good = file("good.yml", "rule_files: [r*.yml]\n");
    let rule = file("r1.yml", "groups: [{name: g, rules: [{record: a, expr: up}]}]\n");
    let bad = file("bad.yml", "globl: {}\n");
    let gone = file("gone.yml", "rule_files: [nothing.yml]\n");
    let command = |files: &[&PathBuf]| Command::Check {
        what: Check::Config { files: files.iter().map(|f| (*f).clone()).collect(), features: Vec::new() },
    };

    let (code, text) = output(&command(&[&good]));
    let (good, rule) = (good.display(), rule.display());
    let expected = format!(
        "Checking {good}\n  SUCCESS: 1 rule files found\n SUCCESS: {good} is valid prometheus config file syntax\n\n\
         Checking {rule}\n  SUCCESS: 1 rules found\n\n"
    );
    assert_eq!((code, text), (0, expected));

    let (code, text) = output(&command(&[&bad]));
    let bad = bad.display();
    let expected = format!(
        "Checking {bad}\n  FAILED:\n{bad}:1:1: unknown key \"globl\" in the configuration file; did you mean \"global\"?\n\n"
    );
    assert_eq!((code, text), (1, expected));

    let (code, text) = output(&command(&[&gone]));
    assert_eq!(code, 1);
    assert!(text.contains("nothing.yml does not exist"), "{text}");
}

#[test]
fn check_rules_prints_what_is_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.yml");
    std::fs::write(&path, "groups: [{name: g, rules: [{record: a, expr: 'up('}]}]\n").unwrap();
    let (code, text) =
        output(&Command::Check { what: Check::Rules { files: vec![path.clone()], features: Vec::new() } });
    assert_eq!(code, 1);
    assert!(text.starts_with(&format!("Checking {0}\n  FAILED:\n  {0}:1:46: ", path.display())), "{text}");
    let expected =
        Invocation::Once(Command::Check { what: Check::Rules { files: vec!["a.yml".into()], features: Vec::new() } });
    assert_eq!(parse(["cairn", "check", "rules", "a.yml"]).unwrap(), expected);
    refused(&["check", "rules"], "required");
}

/// Answers one request with `status` on a free port of the loopback.
fn answering(status: &'static str) -> (String, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/-/healthy", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = [0; 512];
        let n = stream.read(&mut request).unwrap();
        stream.write_all(format!("HTTP/1.0 {status}\r\n\r\n").as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..n]).into_owned()
    });
    (url, server)
}

#[test]
fn healthcheck_says_yes_and_no() {
    let (url, server) = answering("200 OK");
    assert_eq!(output(&Command::Healthcheck { url: url.clone() }), (0, format!("{url}: healthy\n")));
    assert!(server.join().unwrap().starts_with("GET /-/healthy HTTP/1.0\r\n"));
    let (url, server) = answering("503 Service Unavailable");
    let (code, text) = output(&Command::Healthcheck { url });
    assert_eq!(code, 1);
    assert!(text.contains("503"), "{text}");
    server.join().unwrap();
}

#[test]
fn healthcheck_of_nobody_fails() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (code, text) = output(&Command::Healthcheck { url: format!("http://{free}/") });
    assert_eq!(code, 1);
    assert!(text.contains("refused"), "{text}");
    assert_eq!(output(&Command::Healthcheck { url: "https://x/".to_owned() }).0, 1);
    assert_eq!(output(&Command::Healthcheck { url: "nonsense".to_owned() }).0, 1);
}
