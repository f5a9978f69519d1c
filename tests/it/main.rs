//! End to end: the real binary, real exporters and senders, over HTTP. One binary for all, one module for each question.
#![expect(clippy::unwrap_used, reason = "a test may unwrap")]

mod support;

mod alerting;
mod config;
mod durability;
mod exporter;
mod garbage;
mod http;
mod remote_write;
