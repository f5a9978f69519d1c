//! Tenants: whose samples these are.
//!
//! Here: the registry from id to open `storage::Db`, housekeeping of all of them.
//! Elsewhere: what an id may be (`config`, which has some in files), who may act for a tenant (`auth`), what is stored (`storage`).
//!
//! Invariant: one tenant is one directory under `tenants/`; nothing is shared between two of them.

mod metadata;
mod metrics;
mod registry;

pub use crate::config::{TenantId, TenantIdError};
pub use metadata::MetadataStore;
pub use metrics::StorageCollector;
pub use registry::{Tenant, TenantError, TenantOptions, Tenants};
