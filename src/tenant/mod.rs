//! Tenants: whose samples these are.
//!
//! Here: tenant ids, the registry from id to open `storage::Db`, housekeeping of all of them.
//! Elsewhere: who may act for a tenant (`auth`), what is stored (`storage`).
//!
//! Invariant: one tenant is one directory under `tenants/`; nothing is shared between two of them.

mod id;
mod metadata;
mod metrics;
mod registry;

pub use id::{TenantId, TenantIdError};
pub use metadata::MetadataStore;
pub use metrics::StorageCollector;
pub use registry::{Tenant, TenantError, TenantOptions, Tenants};
