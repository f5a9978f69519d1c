//! Where scraped samples go.
//!
//! Here: the handle through which a scrape loop stores. Elsewhere: whose `Db` it is, and on which thread it blocks (the
//! server).

use std::future::Future;
use std::pin::Pin;

use storage::{Appended, Batch, Exemplar, SeriesId};

use crate::exposition::Kind;

/// What a [`Sink`] answers: the batch for reuse, with the ids that the append gave, and what became of the samples;
/// or why nothing was stored, in words for the targets page.
pub type AppendAnswer<'a> = Pin<Box<dyn Future<Output = Result<(Batch, Appended), String>> + Send + 'a>>;

/// Why exemplars were not stored, in words.
pub type ExemplarsAnswer<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + Send + 'a>>;

/// Takes what scrapes yield. One sink serves all loops, concurrently.
pub trait Sink: Send + Sync + 'static {
    /// Stores `batch`. Series ids in it come from earlier answers of this same sink.
    fn append(&self, batch: Batch) -> AppendAnswer<'_>;

    /// Stores exemplars of series by the ids that this sink gave. Those that the store has already or cannot take are left
    /// out: nobody is told, since pages repeat them.
    fn append_exemplars(&self, exemplars: Vec<(SeriesId, Exemplar)>) -> ExemplarsAnswer<'_>;

    /// Told when a target first says this about a metric family, and whenever it says something else.
    fn observe_metadata(&self, family: &FamilyMetadata);
}

/// What a target says about one metric family.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FamilyMetadata {
    /// The family's name as exposed.
    pub family: String,
    /// `# TYPE`; unknown if there is none.
    pub kind: Kind,
    /// `# HELP`, empty if there is none.
    pub help: String,
    /// `# UNIT`, empty if there is none.
    pub unit: String,
}
