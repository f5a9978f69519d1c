//! Dashboard documents: where they come from and where saved ones go.
//!
//! Here: the three sources (built into the binary, folders of the configuration, the users' own in `meta.db`) as one list.
//! Elsewhere: drawing them (the web UI reads the JSON as it is), HTTP (`api`).
//!
//! Invariant: a document is kept as it came; nothing but its `uid` and `title` is ever looked at here. A user's document hides
//! a file's of the same uid, and a file's hides a built-in one.

mod document;
mod store;

pub use document::{DocumentError, Meta, Origin};
pub use store::{Dashboards, DashboardsError};
