//! Cairn: one program that scrapes, stores, queries, alerts and draws dashboards for a small site.
//!
//! A library only so that tests, benches and fuzz targets can reach the parts; the modules are in reading order.
#![forbid(unsafe_code)]

pub mod cli;
pub mod clock;
pub mod config;
pub mod host;
pub mod ingest;
pub mod notify;
pub mod promql;
pub mod rules;
pub mod telemetry;
pub mod template;
