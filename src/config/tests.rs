use std::path::{Path, PathBuf};

use super::load::load_with;
use super::*;

/// Loads `text` as `prometheus.yml` of an empty folder; the environment has `PORT` and `REGION`.
pub(super) fn load_text(text: &str) -> (tempfile::TempDir, Result<Config, ConfigError>) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prometheus.yml");
    std::fs::write(&path, text).unwrap();
    let lookup = |name: &str| match name {
        "PORT" => Some("9100".to_owned()),
        "REGION" => Some("eu".to_owned()),
        _ => None,
    };
    let loaded = load_with(&path, &lookup);
    (dir, loaded)
}

#[track_caller]
pub(super) fn good(text: &str) -> Config {
    load_text(text).1.unwrap_or_else(|error| panic!("{error}"))
}

/// `expected` has one line for each problem, the file's name left out.
#[track_caller]
pub(super) fn refused(text: &str, expected: &str) {
    let (dir, loaded) = load_text(text);
    let error = loaded.expect_err("should be refused").to_string();
    assert_eq!(error.replace(&format!("{}/prometheus.yml:", dir.path().display()), ""), expected, "{text}");
}

/// A scrape config (flow style, column 3 of line 2) that must be refused.
#[track_caller]
pub(super) fn refused_job(keys: &str, expected: &str) {
    refused(&format!("scrape_configs:\n- job_name: x\n  {keys}\n"), expected);
}

const FULL: &str = r#"
global:
  scrape_interval: 5s
  evaluation_interval: 30s
  external_labels: {site: "${REGION}-1", plain: $REGION, cost: 5$$, gone: "$NOPE"}
  sample_limit: 1000
  runtime: {gogc: 75}
rule_files: [rules/*.yml, /abs/r.yml]
alerting:
  alertmanagers:
    - static_configs:
        - targets:
          # - alertmanager:9093
storage:
  tsdb:
    retention: {time: 30d, size: 10GB}
    out_of_order_time_window: 30m
scrape_configs:
  - job_name: backend
    honor_labels: true
    honor_timestamps: no
    metrics_path: /m
    scheme: https
    params: {module: [http_2xx], n: [1, 2]}
    basic_auth: {username: u, password: pw}
    tls_config: {ca_file: ca.pem, insecure_skip_verify: true}
    body_size_limit: 10MB
    sample_limit: 7
    enable_http2: false
    follow_redirects: false
    static_configs:
      - targets: ["pluto_backend_1:${PORT}", "[::1]:80", bare]
        labels: {env: prod, zone: 3}
    relabel_configs:
      - source_labels: [__address__]
        regex: (.+):.*
        replacement: ${1}-$1
        target_label: host
      - {action: labelmap, regex: __meta_(.+)}
      - {action: hashmod, source_labels: [a, b], modulus: 8, target_label: __tmp, separator: ""}
    metric_relabel_configs:
      - {action: drop, source_labels: [__name__], regex: go_.*}
  - job_name: slow
    scrape_interval: 1m
    authorization: {credentials_file: token}
    scrape_protocols: [PrometheusProto, PrometheusText0.0.4]
    fallback_scrape_protocol: PrometheusText0.0.4
cairn:
  multitenancy: on
  self_monitoring: true
  credentials:
    - {name: sys, secret: s3cret, tenant: prod}
    - {name: other, secret_file: other.txt}
  alertmanager_config_file: alertmanager.yml
  dashboards: [dash]
  durability: interval
"#;

#[test]
fn a_full_file_is_read() {
    let (dir, config) = load_text(FULL);
    let (dir, config) = (dir.path(), config.unwrap_or_else(|error| panic!("{error}")));
    let labels: Vec<(&str, &str)> = config.global.external_labels.iter().map(|(n, v)| (&n[..], &v[..])).collect();
    assert_eq!(labels, [("cost", "5$"), ("gone", ""), ("plain", "eu"), ("site", "eu-1")]);
    assert_eq!(config.global.scrape_timeout, Duration::from_secs(5));
    assert_eq!(config.rule_files, [dir.join("rules/*.yml"), PathBuf::from("/abs/r.yml")]);
    assert_eq!(
        config.retention,
        Retention { time: Some(Duration::from_secs(30 * 86_400)), size_bytes: Some(10 << 30) }
    );
    let warnings: Vec<_> = config
        .warnings
        .iter()
        .map(|w| w.split_once("prometheus.yml:").unwrap().1.split(' ').take(2).collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(warnings, ["7:19: runtime.gogc", "17:31: storage.tsdb.out_of_order_time_window"]);

    let [backend, slow] = &config.scrape_configs[..] else { panic!("two jobs") };
    assert!(
        backend.honor_labels && !backend.honor_timestamps && backend.http.refuse_redirects && backend.http.http1_only
    );
    assert_eq!((backend.metrics_path.as_str(), backend.scheme.as_str()), ("/m", "https"));
    assert_eq!(backend.params["n"], ["1", "2"]);
    assert_eq!(backend.http.basic_auth, Some(("u".to_owned(), Secret::Inline("pw".to_owned()))));
    assert_eq!(backend.http.ca_file, Some(dir.join("ca.pem")));
    assert_eq!((backend.limits.body_bytes, backend.limits.samples), (10 << 20, 7));
    assert_eq!(backend.static_configs[0].targets, ["pluto_backend_1:9100", "[::1]:80", "bare"]);
    assert_eq!(backend.static_configs[0].labels["zone"], "3");
    assert_eq!(backend.relabel_configs[0].replacement, "${1}-$1");
    assert!(backend.relabel_configs[0].regex.is_match("a\nb:1") && !backend.relabel_configs[0].regex.is_match("ab"));
    assert_eq!(backend.relabel_configs[1].action, RelabelAction::LabelMap);
    assert_eq!((backend.relabel_configs[2].modulus, backend.relabel_configs[2].separator.as_str()), (8, ""));
    assert_eq!(backend.metric_relabel_configs[0].action, RelabelAction::Drop);

    assert_eq!((slow.scrape_interval, slow.scrape_timeout), (Duration::from_secs(60), Duration::from_secs(5)));
    assert_eq!(slow.http.authorization, Some(("Bearer".to_owned(), Secret::File(dir.join("token")))));
    assert_eq!(slow.limits.samples, 1000);
    assert_eq!(slow.scrape_protocols, [ScrapeProtocol::Proto, ScrapeProtocol::Text0]);
    assert_eq!(slow.fallback_scrape_protocol, Some(ScrapeProtocol::Text0));

    assert!(config.cairn.multitenancy && config.cairn.self_monitoring && !config.cairn.host_monitoring);
    assert!(config.cairn.durability_interval);
    assert_eq!(config.cairn.credentials[0].tenant.as_deref(), Some("prod"));
    assert_eq!(config.cairn.credentials[1].secret, Secret::File(dir.join("other.txt")));
    assert_eq!(config.cairn.dashboard_dirs, [dir.join("dash")]);
}

#[test]
fn no_secret_is_shown() {
    let config = good(FULL);
    for secret in ["pw", "s3cret"] {
        assert!(!config.yaml.contains(&format!(": {secret}")), "{}", config.yaml);
    }
    assert!(config.yaml.contains("password: <secret>") && config.yaml.contains("username: u"), "{}", config.yaml);
    assert!(config.yaml.contains("${PORT}"), "variables stay variables: {}", config.yaml);
    assert!(!format!("{config:?}").contains("s3cret"));
}

#[test]
fn defaults_are_those_of_prometheus() {
    let config = good("scrape_configs: [{job_name: x}]");
    assert_eq!(config.global, Global::default());
    let job = &config.scrape_configs[0];
    assert_eq!((job.scrape_interval, job.scrape_timeout), (Duration::from_secs(60), Duration::from_secs(10)));
    assert_eq!((job.metrics_path.as_str(), job.scheme.as_str(), job.honor_timestamps), ("/metrics", "http", true));
    assert!(!config.cairn.self_monitoring && !config.cairn.host_monitoring);
    for empty in ["", "# nothing\n", "global:\nscrape_configs:\n"] {
        assert!(good(empty).scrape_configs.is_empty(), "{empty:?}");
    }
}

#[test]
fn the_appliance_watches_itself() {
    let config = Config::default_appliance();
    assert!(config.cairn.self_monitoring && config.cairn.host_monitoring);
    assert_eq!(config.global.scrape_interval, Duration::from_secs(15));
    let shown = good(&config.yaml);
    assert_eq!(shown.global, config.global);
    assert!(shown.cairn.self_monitoring && shown.cairn.host_monitoring);
}

#[test]
fn unknown_keys_are_refused_with_the_nearest() {
    refused(
        "global:\n  scrape_intervall: 5s\n",
        r#"2:3: unknown key "scrape_intervall" in global; did you mean "scrape_interval"?"#,
    );
    refused("globl: {}\n", r#"1:1: unknown key "globl" in the configuration file; did you mean "global"?"#);
    refused("xyzzy: 1\n", r#"1:1: unknown key "xyzzy" in the configuration file"#);
    refused_job(
        "scrape-interval: 5s",
        r#"3:3: unknown key "scrape-interval" in the scrape config; did you mean "scrape_interval"?"#,
    );
    refused_job(
        "file_sd_config: []",
        r#"3:3: unknown key "file_sd_config" in the scrape config; did you mean "file_sd_configs"?"#,
    );
    refused_job("basic_auth: {user: x}", r#"3:16: unknown key "user" in basic_auth"#);
    refused_job(
        "static_configs: [{target: []}]",
        r#"3:21: unknown key "target" in the static config; did you mean "targets"?"#,
    );
    refused_job(
        "relabel_configs: [{source_label: [a], target_label: b}]",
        r#"3:22: unknown key "source_label" in the relabel config; did you mean "source_labels"?"#,
    );
}

#[test]
fn keys_of_prometheus_that_are_not_there_yet_are_named() {
    let not_yet = |pos: &str, key: &str| {
        format!("{pos}: key {key:?} of Prometheus is not supported yet by this version of Cairn; remove it")
    };
    refused("remote_write:\n  - url: http://x/\n", &not_yet("1:1", "remote_write"));
    refused("otlp: {}\n", &not_yet("1:1", "otlp"));
    refused("storage: {tsdb: {retention: {percentage: 80}}}\n", &not_yet("1:30", "percentage"));
    refused_job("kubernetes_sd_configs: [{role: pod}]", &not_yet("3:3", "kubernetes_sd_configs"));
    refused_job("file_sd_configs: []", &not_yet("3:3", "file_sd_configs"));
    refused_job("proxy_url: http://p", &not_yet("3:3", "proxy_url"));
    refused_job(
        "tls_config: {cert_file: c, key_file: k}",
        &format!("{}\n{}", not_yet("3:16", "cert_file"), not_yet("3:30", "key_file")),
    );
    refused(
        "alerting:\n  alertmanagers:\n  - static_configs:\n    - targets: [am:9093]\n",
        "3:5: sending alerts to an external Alertmanager is not supported yet by this version of Cairn; remove it and give Cairn \
         the Alertmanager's own file (cairn: alertmanager_config_file)",
    );
}

#[test]
fn times_are_checked() {
    refused_job("scrape_interval: 5", r#"3:20: scrape_interval: not a valid duration string: "5""#);
    refused_job("scrape_interval: [5s]", "3:20: scrape_interval: expected a text, found a list");
    refused(
        "scrape_configs:\n- job_name: x\n  scrape_interval: 5s\n  scrape_timeout: 6s\n",
        r#"4:19: scrape timeout greater than scrape interval for scrape config with job name "x""#,
    );
    refused("global:\n  scrape_timeout: 2m\n", "2:19: global scrape timeout greater than scrape interval");
    let config = good("global: {scrape_interval: 1m}\nscrape_configs: [{job_name: x, scrape_interval: 5s}]");
    assert_eq!(
        config.scrape_configs[0].scrape_timeout,
        Duration::from_secs(5),
        "the default timeout is lowered in silence"
    );
}

#[test]
fn job_names_are_unique_and_given() {
    refused(
        "scrape_configs:\n- job_name: x\n- job_name: x\n",
        r#"3:13: found multiple scrape configs with job name "x"; the first is at 2"#,
    );
    refused("scrape_configs:\n- metrics_path: /x\n", "2:3: job_name is empty");
    refused("scrape_configs: 3\n", "1:17: scrape_configs: expected a list, found a text");
    refused("- a\n", "1:1: the configuration file: expected a map, found a list");
}

#[test]
fn values_of_a_job_are_checked() {
    refused_job("scheme: htps", r#"3:11: scheme: unknown value "htps", expected http or https; did you mean "https"?"#);
    refused_job("honor_labels: maybe", r#"3:17: honor_labels: expected true or false, found "maybe""#);
    refused_job(
        "body_size_limit: 10XB",
        r#"3:20: body_size_limit: not a valid size: "10XB"; write it like 512MB or 10GB"#,
    );
    refused_job("sample_limit: -1", r#"3:17: sample_limit: expected a whole number of at least 0, found "-1""#);
    refused_job("params: {a: b}", "3:15: a: expected a list, found a text");
    refused_job(
        "static_configs: [{targets: ['http://x:1/m']}]",
        r#"3:31: target: "http://x:1/m" is not a valid hostname; write host:port, and put the rest into scheme and metrics_path"#,
    );
    refused_job(
        "static_configs: [{targets: ['x:99999']}]",
        r#"3:31: target: "x:99999" has no valid port; a port is a number from 0 to 65535"#,
    );
    refused_job(
        "scrape_protocols: [Text]",
        "3:21: scrape_protocols: unknown scrape protocol \"Text\", supported: OpenMetricsText0.0.1, \
         OpenMetricsText1.0.0, PrometheusProto, PrometheusText0.0.4, PrometheusText1.0.0",
    );
}

#[test]
fn credentials_do_not_contradict() {
    refused(
        "scrape_configs:\n- {job_name: x, basic_auth: {username: a, password: b}, bearer_token: c}\n",
        "2:3: at most one of basic_auth, oauth2, authorization, bearer_token & bearer_token_file must be configured",
    );
    refused_job(
        "authorization: {type: Basic, credentials: x}",
        "3:25: authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
    );
    refused_job(
        "basic_auth: {password: a, password_file: b}",
        "3:44: at most one of password & password_file must be configured",
    );
}

#[track_caller]
fn refused_step(step: &str, expected: &str) {
    refused_job(&format!("relabel_configs: [{{{step}}}]"), expected);
}

#[test]
fn relabelling_is_checked_as_prometheus_does() {
    refused_step("action: relabel", r#"3:30: action: unknown relabel action "relabel""#);
    refused_step("action: kep", r#"3:30: action: unknown relabel action "kep"; did you mean "keep"?"#);
    refused_step("source_labels: [a]", "3:21: relabel configuration for replace action requires 'target_label' value");
    refused_step(
        "action: hashmod, target_label: a",
        "3:21: relabel configuration for hashmod requires non-zero modulus",
    );
    refused_step(
        "action: lowercase, target_label: a, replacement: b",
        "3:21: 'replacement' can not be set for lowercase action",
    );
    refused_step(
        "action: keepequal, target_label: a, regex: b",
        "3:21: keepequal action requires only 'source_labels' and 'target_label', and no other fields",
    );
    refused_step(
        "action: labeldrop, regex: a, target_label: b",
        "3:21: labeldrop action requires only 'regex', and no other fields",
    );
    let (_dir, loaded) =
        load_text("scrape_configs:\n- job_name: x\n  relabel_configs: [{regex: '(', target_label: a}]\n");
    let error = loaded.unwrap_err();
    assert_eq!(error.problems.len(), 1);
    assert_eq!(error.problems[0].pos.map(|p| p.to_string()).as_deref(), Some("3:29"));
    assert!(error.problems[0].message.contains("unclosed group"), "{error}");
}

#[test]
fn all_problems_are_reported_in_order() {
    refused(
        "global: {scrape_interval: x}\nfoo: 1\nscrape_configs:\n- job_name: a\n  scheme: ftp\n- job_name: a\n",
        "1:27: scrape_interval: not a valid duration string: \"x\"\n\
         2:1: unknown key \"foo\" in the configuration file\n\
         5:11: scheme: unknown value \"ftp\", expected http or https\n\
         6:13: found multiple scrape configs with job name \"a\"; the first is at 4",
    );
}

#[test]
fn variables_must_be_set() {
    refused_job(
        "metrics_path: /${NOPE}",
        "3:17: environment variable NOPE is not set; set it, or write $${NOPE} if this is no variable",
    );
}

#[test]
fn own_settings_are_checked() {
    refused("cairn: {multitenant: on}\n", r#"1:9: unknown key "multitenant" in cairn; did you mean "multitenancy"?"#);
    refused("cairn: {durability: fsync}\n", r#"1:21: durability: unknown value "fsync", expected ack or interval"#);
    refused("cairn: {credentials: [{name: a}]}\n", r#"1:23: credential "a" needs a secret or a secret_file"#);
    refused(
        "cairn: {credentials: [{name: a, secret: b, tenant: a/b}]}\n",
        r#"1:52: tenant: tenant id "a/b" contains unsupported character '/'"#,
    );
}

#[test]
fn scrape_config_files_are_included() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).unwrap();
    write(
        "prometheus.yml",
        "global: {scrape_interval: 7s}\nscrape_config_files: [more_*.yml]\nscrape_configs: [{job_name: a}]\n",
    );
    write("more_1.yml", "scrape_configs: [{job_name: b}]\n");
    write("more_2.yml", "scrape_configs:\n- job_name: c\n");
    let path = dir.path().join("prometheus.yml");
    let config = load(&path).unwrap();
    let jobs: Vec<(&str, u64)> =
        config.scrape_configs.iter().map(|c| (&c.job_name[..], c.scrape_interval.as_secs())).collect();
    assert_eq!(jobs, [("a", 7), ("b", 7), ("c", 7)]);
    write("more_2.yml", "scrape_configs:\n- job_name: b\n  foo: 1\n");
    let error = load(&path).unwrap_err().to_string().replace(&format!("{}/", dir.path().display()), "");
    assert_eq!(
        error,
        "more_2.yml:2:13: found multiple scrape configs with job name \"b\"; the first is at more_1.yml:1\n\
         more_2.yml:3:3: unknown key \"foo\" in the scrape config"
    );
}

#[test]
fn files_that_are_missing_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("prometheus.yml");
    let missing = load(&path).unwrap_err().to_string();
    assert_eq!(missing, format!("{}: No such file or directory (os error 2)", path.display()));
    std::fs::write(&path, "scrape_configs:\n- job_name: x\n  tls_config: {ca_file: ca.pem}\n").unwrap();
    assert!(load(&path).is_ok());
    let missing = check(&path).unwrap_err().to_string();
    let ca = dir.path().join("ca.pem");
    assert_eq!(
        missing,
        format!("{}: ca_file {}: No such file or directory (os error 2)", path.display(), ca.display())
    );
}

/// Files that promtool and we must judge alike; a job's keys stand alone.
const JUDGED_ALIKE: [&str; 52] = [
    "",
    "global:",
    "global: {scrape_interval: 0s}",
    "global: {scrape_interval: 1m 30s}",
    "global: {scrape_interval: 90}",
    "global: {scrape_timeout: 61s}",
    "global: {evaluation_interval: 1h30m}",
    "global: {evaluation_interval: 30m1h}",
    "global: {external_labels: {a: b, c: 1, d: null}}",
    "global: {external_labels: [a]}",
    "global: {external_labels: {'': a}}",
    "globals: {}",
    "- a",
    "rule_files: []\nscrape_configs:",
    "rule_files: x",
    "scrape_configs: {}",
    "scrape_configs: [{}]",
    "scrape_configs: [{job_name: ''}]",
    "scrape_configs: [{job_name: a}, {job_name: a}]",
    "scrape_configs: [{job_name: 12, static_configs: [{targets: [1], labels: {a: true, b: 1.50, c: null}}]}]",
    "alerting: {alertmanagers: [{static_configs: [{targets: }]}]}",
    "job: scrape_timeout: 2m",
    "job: scrape_interval: 5s",
    "job: scrape_interval: 5s, scrape_timeout: 5s",
    "job: metrics_path: ''",
    "job: params: {x: [1, true]}",
    "job: params: {x: 1}",
    "job: honor_labels: yes",
    "job: honor_labels: 1",
    "job: sample_limit: 1e3",
    "job: sample_limit: -1",
    "job: sample_limit: x",
    "job: body_size_limit: 10M",
    "job: body_size_limit: 10MB",
    "job: body_size_limit: 1.5GiB",
    "job: basic_auth: {}",
    "job: authorization: {type: basic}",
    "job: basic_auth: {username: a}, bearer_token: b",
    "job: bearer_token: a, bearer_token_file: b",
    "job: static_configs: [{targets: ['http://x/']}]",
    "job: static_configs: [{targets: [x_y:1, '[::1]:80', z]}]",
    "job: relabel_configs: [{action: Keep, source_labels: [x], regex: 9100}]",
    "job: relabel_configs: [{action: labeldrop, regex: x, separator: ','}]",
    "job: relabel_configs: [{action: labelkeep, regex: x}]",
    "job: relabel_configs: [{action: hashmod, target_label: x}]",
    "job: relabel_configs: [{action: hashmod, target_label: x, modulus: 0}]",
    "job: relabel_configs: [{action: lowercase, source_labels: [a]}]",
    "job: relabel_configs: [{action: lowercase, source_labels: [a], target_label: b, replacement: c}]",
    "job: relabel_configs: [{action: keepequal, source_labels: [a], target_label: b}]",
    "job: relabel_configs: [{action: keepequal, source_labels: [a], target_label: b, regex: c}]",
    "job: relabel_configs: [{source_labels: [a], regex: '(', target_label: b}]",
    "job: relabel_configs: [{replacement: '', target_label: x, regex: }]",
];

#[test]
fn promtool_judges_alike() {
    let dir = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (i, judged) in JUDGED_ALIKE.iter().enumerate() {
        let text = match judged.strip_prefix("job: ") {
            Some(keys) => format!("scrape_configs: [{{job_name: a, {keys}}}]"),
            None => (*judged).to_owned(),
        };
        files.push(dir.path().join(format!("{i}.yml")));
        std::fs::write(&files[i], text).unwrap();
    }
    let Ok(theirs) = std::process::Command::new("promtool").args(["check", "config"]).args(&files).output() else {
        println!("skipped: promtool is not there");
        return;
    };
    let words = String::from_utf8_lossy(&theirs.stdout).into_owned() + &String::from_utf8_lossy(&theirs.stderr);
    for (file, judged) in files.iter().zip(JUDGED_ALIKE) {
        let ours = load(file).map(|_| ()).map_err(|error| error.to_string());
        let refused = words.contains(&format!("FAILED: parsing YAML file {}:", file.display()));
        let taken = words.contains(&format!("SUCCESS: {} is valid", file.display()));
        assert!(refused != taken, "{words}");
        assert_eq!(ours.is_ok(), taken, "{judged}\nours: {ours:?}\ntheirs: {words}");
    }
}

/// The YAML blocks of the sites' documents that are Prometheus configurations load, or are refused for what is named.
#[test]
fn blocks_of_the_sites_documents_load_or_name_what_is_missing() {
    let seeds = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/spec/seeds"));
    let Ok(files) = std::fs::read_dir(seeds) else {
        println!("skipped: {} is not there", seeds.display());
        return;
    };
    let mut seen = 0;
    for file in files {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for block in yaml_blocks(&text) {
            let tops = ["global:", "scrape_configs:", "remote_write:", "storage:", "rule_files:"];
            if !tops.iter().any(|top| block.starts_with(top)) {
                continue;
            }
            seen += 1;
            if let Err(error) = load_text(&block).1 {
                for problem in error.problems {
                    assert!(
                        problem.message.contains("is not supported yet by this version of Cairn"),
                        "{problem}\n{block}"
                    );
                }
            }
        }
    }
    assert!(seen >= 2, "the documents have at least two such blocks, found {seen}");
}

fn yaml_blocks(text: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    for part in text.split("```yaml\n").skip(1) {
        blocks.extend(part.split("```").next().map(str::to_owned));
    }
    blocks
}

proptest::proptest! {
    #[test]
    fn no_damage_to_a_file_panics(at in 0..FULL.len(), length in 0..12usize, put in "[-a-z0-9:{}\\[\\]&*'\"$ \n]{0,4}") {
        let at = (0..=at).rev().find(|at| FULL.is_char_boundary(*at)).unwrap_or(0);
        let end = (at + length..=FULL.len()).find(|end| FULL.is_char_boundary(*end)).unwrap_or(FULL.len());
        let mut text = FULL.to_owned();
        text.replace_range(at..end, &put);
        if let Err(error) = load_text(&text).1 {
            proptest::prop_assert!(!error.problems.is_empty());
        }
    }
}
