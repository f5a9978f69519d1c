//! The delivery log: who was told, when, and how it went.
//!
//! Here: a ring in memory, for the UI. Elsewhere: what decides about the next message (`sent`).
//!
//! Invariant: no address and no secret is in an entry.

use std::collections::VecDeque;

/// One message, sent or given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Delivery {
    /// When it was decided, milliseconds since the epoch.
    pub at: i64,
    /// When it ended.
    pub ended_at: i64,
    /// The receiver's name.
    pub receiver: String,
    /// `webhook`
    pub integration: &'static str,
    /// The group's key.
    pub group_key: String,
    /// Alert names in it, sorted, each once.
    pub alert_names: Vec<String>,
    /// Firing alerts in the message.
    pub firing: usize,
    /// Resolved alerts in it.
    pub resolved: usize,
    /// How often it was tried.
    pub attempts: u32,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a delivery ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver said yes.
    Sent,
    /// It was given up; the last error.
    Failed {
        /// One sentence, without the address.
        message: String,
    },
}

#[derive(Debug)]
pub(super) struct DeliveryLog {
    entries: VecDeque<Delivery>,
    max: usize,
}

impl DeliveryLog {
    pub(super) fn new(max: usize) -> Self {
        DeliveryLog { entries: VecDeque::new(), max }
    }

    pub(super) fn push(&mut self, delivery: Delivery) {
        if self.entries.len() >= self.max {
            self.entries.pop_front();
        }
        self.entries.push_back(delivery);
    }

    pub(super) fn newest_first(&self) -> Vec<Delivery> {
        self.entries.iter().rev().cloned().collect()
    }
}
