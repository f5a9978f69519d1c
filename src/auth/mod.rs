//! Who may do what: the one seam that every request passes.
//!
//! Here: [`Access`], which each route names in the route table; [`Policy`], which answers for a request; the caller's tenant.
//! Elsewhere: the route table and status codes (`api`), users and sessions (to come, behind the same [`Policy::authorize`]).
//!
//! The policy of today is simple. A *local* request (loopback listener, loopback peer, loopback `Host`, not forwarded by a
//! proxy) may do everything. Any other may read, and may push with a credential of the configuration file. Changes that a
//! web page of another site asks a browser to make are refused everywhere.
//!
//! Invariant: what is not allowed here is denied; a handler never decides about access.

mod credentials;
mod origin;

pub use credentials::{CredentialError, Credentials};
pub use origin::Origin;

use axum::http::{HeaderMap, header};

use crate::tenant::{TenantId, TenantIdError};

/// What a route lets a caller do. Each route of the table has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No tenant's data: health, static files.
    Public,
    /// Reads one tenant's data.
    Read,
    /// Stores samples.
    Push,
    /// Makes the appliance look again at what its owner wrote (reload); changes nothing by itself.
    Operate,
    /// Changes or removes something.
    Change,
}

impl Access {
    /// The word used in the documentation.
    pub fn as_str(self) -> &'static str {
        match self {
            Access::Public => "public",
            Access::Read => "read",
            Access::Push => "push",
            Access::Operate => "operate",
            Access::Change => "change",
        }
    }
}

/// The facts about a request that a decision needs.
#[derive(Debug, Clone, Copy)]
pub struct Facts<'a> {
    /// Where it came from.
    pub origin: Origin,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// The tenant in its path (`/tenant/<id>/…`).
    pub path_tenant: Option<&'a str>,
}

/// Who is asking, once it is allowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The tenant whose data it reads or writes.
    pub tenant: TenantId,
    /// The credential it showed.
    pub credential: Option<String>,
    /// Whether it is on this machine (see [`Origin::local`]).
    pub local: bool,
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// 401: a credential is needed, or the one given is wrong.
    #[error("{0}")]
    Unauthorized(&'static str),
    /// 403: not from here, credential or not.
    #[error("{0}")]
    Forbidden(&'static str),
    /// 401: multitenancy is on and the request names no tenant (Mimir's words).
    #[error("no org id")]
    NoTenant,
    /// 400: the tenant's id is not one.
    #[error(transparent)]
    BadTenant(#[from] TenantIdError),
    /// 400: a tenant in the path of an appliance that has only one.
    #[error("this appliance has a single tenant: leave /tenant/{0} out of the path, or set cairn.multitenancy: on")]
    SingleTenant(String),
}

/// Decides. Built anew at each reload of the configuration.
#[derive(Debug, Default)]
pub struct Policy {
    /// Whether requests name their tenant; otherwise everything is tenant `anonymous`.
    pub multitenancy: bool,
    /// Who may push from elsewhere.
    pub credentials: Credentials,
}

impl Policy {
    /// The caller, if it may use a route with this access.
    pub fn authorize(&self, access: Access, facts: Facts<'_>) -> Result<Caller, Denied> {
        if access == Access::Public {
            return Ok(Caller { tenant: TenantId::anonymous(), credential: None, local: facts.origin.local });
        }
        let reads = access == Access::Read;
        if !reads && facts.origin.cross_site {
            return Err(Denied::Forbidden("a page of another site asked for this change; it was refused"));
        }
        let credential = match facts.headers.get(header::AUTHORIZATION) {
            Some(shown) if !self.credentials.is_empty() => Some(
                self.credentials
                    .verify(shown)
                    .ok_or(Denied::Unauthorized("the credential is wrong or not known here"))?,
            ),
            _ => None,
        };
        let local = facts.origin.local;
        match access {
            Access::Push if credential.is_none() && !self.credentials.is_empty() => {
                return Err(Denied::Unauthorized(
                    "pushing needs a credential (cairn.credentials in the configuration file)",
                ));
            }
            Access::Push if credential.is_none() && !local => {
                return Err(Denied::Unauthorized(
                    "pushing from another machine needs a credential: define one under cairn.credentials in the configuration file",
                ));
            }
            Access::Operate if credential.is_none() && !local && !self.credentials.is_empty() => {
                return Err(Denied::Unauthorized(
                    "this needs a credential (cairn.credentials in the configuration file)",
                ));
            }
            Access::Change if !local => {
                return Err(Denied::Forbidden("changes are only taken from this machine, through a loopback listener"));
            }
            _ => {}
        }
        let bound = credential.and_then(|c| c.tenant.clone());
        let tenant = self.tenant(bound, facts)?;
        Ok(Caller { tenant, credential: credential.map(|c| c.name.clone()), local })
    }

    /// The tenant: of the credential, else of the path, else of `X-Scope-OrgID`.
    fn tenant(&self, bound: Option<TenantId>, facts: Facts<'_>) -> Result<TenantId, Denied> {
        if !self.multitenancy {
            return match facts.path_tenant {
                Some(named) if named != TenantId::ANONYMOUS => Err(Denied::SingleTenant(named.to_owned())),
                _ => Ok(TenantId::anonymous()),
            };
        }
        if let Some(tenant) = bound {
            return Ok(tenant);
        }
        let header = facts.headers.get("x-scope-orgid").map(|v| v.to_str().unwrap_or("\u{fffd}"));
        let named = facts.path_tenant.or(header).filter(|id| !id.is_empty()).ok_or(Denied::NoTenant)?;
        Ok(TenantId::parse(named)?)
    }
}

#[cfg(test)]
mod tests;
