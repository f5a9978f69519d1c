//! Scraping: targets, relabelling, one loop per target, and what the targets page shows of it.
//!
//! Reading order: [`manager`] (which targets run), `target`, [`relabel`], `target_loop` (when), [`fetch`], `http`,
//! `body` (the page), `page`, `cache`, `report` (samples), [`sink`] (where they go), [`status`].
//! Elsewhere: formats (`exposition`), configuration (`config`), storing for a tenant (the server), JSON (`api`).
//!
//! The semantics are Prometheus 3's: labels, times, limits, staleness, words of errors. Where we differ, on purpose:
//! a series twice on one page is an error (`page`); a removed target's series end at its next tick (`target_loop`); a
//! page has a size limit even where none is configured (`body`).
//!
//! Invariant: nothing that a target sends ends anything but that scrape.

mod body;
mod cache;
pub mod fetch;
mod http;
pub mod manager;
mod metadata;
mod metrics;
mod page;
pub mod relabel;
mod report;
pub mod sink;
pub mod status;
mod synthesis;
mod target;
mod target_loop;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
