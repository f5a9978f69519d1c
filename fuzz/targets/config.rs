//! The three kinds of files that people write: prometheus.yml, rules, Alertmanager's configuration.
#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = cairn::rules::read_rule_file("rules.yml", text);
    let _ = cairn::notify::parse_config("alertmanager.yml", Path::new("/nowhere"), text);
    let path = std::env::temp_dir().join(format!("cairn-fuzz-{}.yml", std::process::id()));
    if std::fs::write(&path, text).is_ok() {
        let _ = cairn::config::check(&path);
    }
});
