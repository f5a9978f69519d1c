//! The routing tree: which groups an alert belongs to.
//!
//! Here: [`Route`] and walking it. Elsewhere: reading it (`config`), what happens in a group (`dispatch`).
//!
//! Invariant: the root matches everything, so each alert has at least one route; a route's place in the tree is its key.

use std::collections::BTreeSet;

use storage::{Labels, Matcher};

use super::matchers;

/// A node of the tree.
#[derive(Debug, Clone)]
pub struct Route {
    /// All must hold; none on the root.
    pub matchers: Vec<Matcher>,
    /// Go on with the next sibling after a match.
    pub continues: bool,
    /// What applies to alerts that end here.
    pub options: RouteOptions,
    /// Tried in order; the node itself gets what no child takes.
    pub children: Vec<Route>,
    /// The matchers from the root to here, as the group key has them: `{}/{severity="critical"}`.
    pub key: String,
}

/// What a route says about its groups; a child inherits what it leaves out.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteOptions {
    /// Receiver's name.
    pub receiver: String,
    /// What makes a group.
    pub group_by: GroupBy,
    /// From the first alert to the first message, default 30 s.
    pub group_wait_ms: i64,
    /// Between messages about changes, default 5 min.
    pub group_interval_ms: i64,
    /// Between messages when nothing changed, default 4 h.
    pub repeat_interval_ms: i64,
}

/// Which labels alerts of one group share.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupBy {
    /// `...`: all of them, so each alert is its own group.
    All,
    /// These; none: one group for all.
    Labels(BTreeSet<String>),
}

impl Default for RouteOptions {
    fn default() -> Self {
        RouteOptions {
            receiver: String::new(),
            group_by: GroupBy::Labels(BTreeSet::new()),
            group_wait_ms: 30_000,
            group_interval_ms: 300_000,
            repeat_interval_ms: 4 * 3_600_000,
        }
    }
}

impl Route {
    /// A node under `parent_key` (`None`: the root).
    pub(super) fn new(parent_key: Option<&str>, mut matchers: Vec<Matcher>, options: RouteOptions) -> Self {
        matchers.sort_by(|a, b| (a.name(), a.value(), a.op() as u8).cmp(&(b.name(), b.value(), b.op() as u8)));
        let own = matchers::text(&matchers);
        let key = parent_key.map_or(own.clone(), |parent| format!("{parent}/{own}"));
        Route { matchers, continues: false, options, children: Vec::new(), key }
    }

    /// The routes whose groups an alert with these labels joins, in the tree's order.
    pub fn matching(&self, labels: &Labels) -> Vec<&Route> {
        if !self.matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or(""))) {
            return Vec::new();
        }
        let mut found = Vec::new();
        for child in &self.children {
            let matched = child.matching(labels);
            let stops = !matched.is_empty() && !child.continues;
            found.extend(matched);
            if stops {
                break;
            }
        }
        if found.is_empty() {
            found.push(self);
        }
        found
    }
}

impl RouteOptions {
    /// The labels that name the group of an alert with these labels.
    pub fn group_labels(&self, labels: &Labels) -> Labels {
        match &self.group_by {
            GroupBy::All => labels.clone(),
            GroupBy::Labels(names) => labels.filter(|name| names.contains(name)),
        }
    }
}

/// Alertmanager's group key: `{}:{alertname="X"}`.
pub(super) fn group_key(route: &Route, group: &Labels) -> String {
    let pairs: Vec<String> = group.iter().map(|(n, v)| format!("{n}={}", crate::template::quoted(v))).collect();
    format!("{}:{{{}}}", route.key, pairs.join(", "))
}
