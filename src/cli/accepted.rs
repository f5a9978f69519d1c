//! Flags of Prometheus that Cairn has no use for, or not yet.
//!
//! Here: three lists. The first two are accepted with a warning, so that a start line written for Prometheus keeps
//! working; the third would change what Cairn does, so ignoring it would be wrong. Elsewhere: the flags that do
//! something (`flags`).

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// With a value.
const WITH_VALUE: [&str; 12] = [
    "storage.tsdb.head-chunks-write-queue-size",
    "storage.tsdb.max-block-chunk-segment-size",
    "storage.tsdb.max-block-duration",
    "storage.tsdb.min-block-duration",
    "storage.tsdb.samples-per-chunk",
    "storage.tsdb.wal-segment-size",
    "web.console.libraries",
    "web.console.templates",
    "web.max-connections",
    "web.max-notifications-subscribers",
    "web.page-title",
    "web.read-timeout",
];

/// On or off, each also as `no-…`.
const SWITCHES: [[&str; 2]; 9] = [
    ["auto-gomaxprocs", "no-auto-gomaxprocs"],
    ["auto-gomemlimit", "no-auto-gomemlimit"],
    ["storage.tsdb.allow-overlapping-blocks", "no-storage.tsdb.allow-overlapping-blocks"],
    ["storage.tsdb.allow-overlapping-compaction", "no-storage.tsdb.allow-overlapping-compaction"],
    ["storage.tsdb.no-lockfile", "no-storage.tsdb.no-lockfile"],
    ["storage.tsdb.wal-compression", "no-storage.tsdb.wal-compression"],
    ["web.enable-admin-api", "no-web.enable-admin-api"],
    ["web.enable-otlp-receiver", "no-web.enable-otlp-receiver"],
    ["web.enable-remote-write-receiver", "no-web.enable-remote-write-receiver"],
];

/// Refused by name.
pub(super) const NOT_YET: [&str; 15] = [
    "agent",
    "alertmanager.drain-notification-queue-on-shutdown",
    "alertmanager.notification-queue-capacity",
    "rules.alert.for-grace-period",
    "rules.alert.for-outage-tolerance",
    "rules.alert.resend-delay",
    "rules.max-concurrent-evals",
    "scrape.adjust-timestamps",
    "scrape.timestamp-tolerance",
    "storage.remote.flush-deadline",
    "storage.remote.read-concurrent-limit",
    "storage.remote.read-sample-limit",
    "web.config.file",
    "web.cors.origin",
    "web.user-assets",
];

/// Adds the flags that are accepted without effect, hidden from the help.
pub(super) fn augment(parser: Command) -> Command {
    let with_value = WITH_VALUE.map(|name| Arg::new(name).long(name).action(ArgAction::Append).hide(true));
    let switches = SWITCHES.map(|[on, off]| {
        let value = Arg::new(on).long(on).num_args(0..=1).require_equals(true).default_missing_value("true");
        [value.action(ArgAction::Append).hide(true), Arg::new(off).long(off).action(ArgAction::Count).hide(true)]
    });
    parser.args(with_value).args(switches.into_iter().flatten())
}

/// One sentence for each such flag that was given.
pub(super) fn warnings(matches: &ArgMatches) -> Vec<String> {
    let names = WITH_VALUE.into_iter().chain(SWITCHES.into_iter().flatten());
    let given = names.filter(|name| matches.value_source(name) == Some(ValueSource::CommandLine));
    given.map(|name| format!("flag --{name} of Prometheus is accepted and has no effect")).collect()
}
