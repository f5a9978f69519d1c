//! End to end: the real binary, real exporters and senders, over HTTP. One binary for all, one module for each question.
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]
#![expect(unreachable_pub, reason = "a test binary has no outside; pub is what the modules share")]
#![expect(clippy::print_stdout, reason = "what was skipped and what was compared is said")]

mod support;

mod admin;
mod alerting;
mod config;
mod disk_full;
mod durability;
mod exporter;
mod garbage;
mod http;
mod kill;
mod native_histograms;
mod promql;
mod promql_cli;
mod queries;
mod remote_write;
