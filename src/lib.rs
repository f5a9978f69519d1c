//! Cairn: one program that scrapes, stores, queries, alerts and draws dashboards for a small site.
//!
//! A library only so that tests, benches and fuzz targets can reach the parts; the modules are in reading order.
#![forbid(unsafe_code)]

pub mod clock;
pub mod telemetry;
pub mod wire;

pub mod config;
mod http_client;
pub mod meta;
pub mod template;

pub mod exposition;
pub mod host;
pub mod notify;
pub mod promql;
pub mod tenant;
pub mod ui;

pub mod auth;
pub mod dashboards;
pub mod ingest;
pub mod query;
pub mod rules;
pub mod scrape;

pub mod api;
pub mod cli;
pub mod server;
