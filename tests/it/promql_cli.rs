//! `cairn promql`: a running server, its data directory while it runs, and the directory alone give the same answers.

use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use crate::durability::body;
use crate::support::Cairn;

/// Exit code and output of `cairn promql`.
fn promql(args: &[&str]) -> (i32, String) {
    let out = Command::new(env!("CARGO_BIN_EXE_cairn")).arg("promql").args(args).output().unwrap();
    assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
    (out.status.code().unwrap(), String::from_utf8(out.stdout).unwrap())
}

const BASE_S: i64 = 1_700_000_000;

/// Three samples of two series a minute apart.
async fn with_samples(dir: &Path) -> Cairn {
    let args =
        ["--no-collector.host", "--storage.tsdb.retention.time=100y", "--enable-feature=promql-experimental-functions"];
    let cairn = Cairn::start(dir, &args);
    for step in 0..3 {
        let pushed = cairn.post("/api/v1/write").body(body("m", 0..2, (BASE_S + step * 60) * 1000, step as f64 + 0.5));
        assert_eq!(pushed.send().await.unwrap().status(), 204);
    }
    cairn
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_and_its_directory_answer_the_same() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = with_samples(dir.path()).await;
    let data = dir.path().join("data").display().to_string();
    let url = ["--url", &cairn.url];
    let local = ["--data-dir", &data, "--enable-feature", "promql-experimental-functions"];
    let time = (BASE_S + 120).to_string();
    let (start, end) = (BASE_S.to_string(), time.clone());
    let window = ["--start", &start, "--end", &end];
    let check = |args: &[&str], code: i32, expected: &str| {
        for from in [&url[..], &local[..]] {
            assert_eq!(promql(&[args, from].concat()), (code, expected.to_owned()), "{args:?} {from:?}");
        }
    };

    check(&["query", "m", "--time", &time], 0, "m{i=\"0\"} => 2.5 @[1700000120]\nm{i=\"1\"} => 2.5 @[1700000120]\n");
    check(&["query", "1 + 1", "--time", "5.5"], 0, "scalar: 2 @[5.5]\n");
    check(&["query", "\"é\"", "--time", "5"], 0, "é\n");
    check(&["query", "nothing", "--time", &time], 0, "");
    check(
        &["query", "rate(m{i=\"0\"}[5m])", "--time", "2023-11-14T22:15:20Z"],
        0,
        "{i=\"0\"} => 0.008333333333333333 @[1700000120]\n# PromQL info: metric might not be a counter, name does not \
         end in _total/_sum/_count/_bucket: \"m\" (1:6)\n",
    );
    check(&["query", "limitk(1, m)", "--time", &time], 0, "m{i=\"0\"} => 2.5 @[1700000120]\n");
    check(
        &[&["range", "sum(m)", "--step", "1m"][..], &window].concat(),
        0,
        "{} =>\n1 @[1700000000]\n3 @[1700000060]\n5 @[1700000120]\n",
    );
    check(&[&["labels", "--match", "m"][..], &window].concat(), 0, "__name__\ni\n");
    check(&[&["labels", "i", "--match", "m"][..], &window].concat(), 0, "0\n1\n");
    check(&[&["series", "m{i=~\"1|2\"}"][..], &window].concat(), 0, "m{i=\"1\"}\n");

    // What the API answers, from both.
    let one = |i: &str| json!({"metric": {"__name__": "m", "i": i}, "value": [BASE_S + 120, "2.5"]});
    let expected = json!({"status": "success", "data": {"resultType": "vector", "result": [one("0"), one("1")]}});
    for from in [&url[..], &local[..]] {
        let (code, text) = promql(&[&["query", "m", "-o", "json", "--time", &time][..], from].concat());
        assert_eq!((code, serde_json::from_str::<Value>(&text).unwrap()), (0, expected.clone()), "{from:?}");
        let (code, text) = promql(&[&["query", "m +", "-o", "json"][..], from].concat());
        assert_eq!((code, &serde_json::from_str::<Value>(&text).unwrap()["errorType"]), (1, &json!("bad_data")));
        let (code, text) = promql(&[&["query", "m * on () m", "--time", &time][..], from].concat());
        assert!(code == 1 && text.starts_with("error: found duplicate series for the match group"), "{text}");
    }

    // The directory alone answers as it did under the server.
    cairn.stop();
    let (code, text) = promql(&[&["query", "sum(m)", "--time", &time][..], &local].concat());
    assert_eq!((code, text.as_str()), (0, "{} => 5 @[1700000120]\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let cairn = with_samples(dir.path()).await;
    let data = dir.path().join("data").display().to_string();
    let end = (BASE_S + 120).to_string();
    let query = "sum by (i) (rate(m[1m])) > 0";
    let expected = "\
features: promql-experimental-functions
lookback: 5m

> → instant vector
├─ sum by (i) → instant vector
│  └─ rate → instant vector
│     └─ m[1m] → range vector
│           series: 2 of {__name__=\"m\"}
│           samples: after 2023-11-14T22:14:20Z, up to 2023-11-14T22:15:20Z
└─ 0 → scalar
";
    let local = ["--data-dir", &data, "--enable-feature", "promql-experimental-functions"];
    for from in [&["--url", &cairn.url][..], &local] {
        let (code, text) = promql(&[&["explain", query, "--end", &end][..], from].concat());
        assert_eq!((code, text.as_str()), (0, expected), "{from:?}");
        let range = ["explain", "m offset 1h", "--start", "0", "--end", "100", "--step", "7s", "-o", "json"];
        let (code, text) = promql(&[&range[..], from].concat());
        let reads = &serde_json::from_str::<Value>(&text).unwrap()["data"]["plan"]["reads"];
        let window = json!({
            "matchers": ["__name__=\"m\""],
            "after": "1969-12-31T22:55:00Z",
            "last": "1969-12-31T23:01:38Z",
            "series": 0,
        });
        assert_eq!((code, reads), (0, &window), "{from:?}");
    }
    let (code, text) = promql(&["explain", "sum(", "--url", &cairn.url]);
    assert!(code == 1 && text.contains("parse error"), "{text}");
}

#[test]
fn says_what_is_wrong_in_words() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().display().to_string();
    let failed = |args: &[&str], code: i32, words: &str| {
        let (found, text) = promql(args);
        assert!(found == code && text.contains(words), "{args:?}: {found} {text}");
    };
    failed(&["query", "up", "--data-dir", &path], 2, "holds neither tenants/ nor blocks/ and wal/");
    failed(&["query", "up", "--data-dir", &format!("{path}/no")], 2, "No such file");
    for tenant in ["a", "b"] {
        std::fs::create_dir_all(dir.path().join("tenants").join(tenant)).unwrap();
    }
    failed(&["query", "up", "--data-dir", &path], 2, "name one of the tenants with --tenant: a, b");
    failed(&["query", "up", "--data-dir", &path, "--tenant", "c"], 2, "there is no tenant \"c\"; there are: a, b");
    assert_eq!(promql(&["query", "up", "--data-dir", &path, "--tenant", "a"]), (0, String::new()));
    // Nothing was made there.
    assert_eq!(std::fs::read_dir(dir.path().join("tenants/a")).unwrap().count(), 0);
    failed(&["query", "limitk(1, up)", "--data-dir", &path, "--tenant", "a"], 1, "experimental");
    failed(&["query", "up", "--url", "http://127.0.0.1:1"], 2, "http://127.0.0.1:1/api/v1/query: ");
    assert_eq!(promql(&["format", "sum(m)by(i)"]), (0, "sum by (i) (m)\n".to_owned()));
    failed(&["format", "sum("], 1, "parse error");
}
