//! Credentials of the configuration file: name and secret, perhaps bound to a tenant.
//!
//! Secrets that stand in files are read when the configuration is loaded or reloaded.

use std::path::PathBuf;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::config::{Credential, Secret};
use crate::tenant::{TenantId, TenantIdError};

/// The credentials that are accepted.
#[derive(Default)]
pub struct Credentials(Vec<Known>);

/// One of them.
pub(super) struct Known {
    pub(super) name: String,
    secret: String,
    pub(super) tenant: Option<TenantId>,
}

/// Why the configured credentials cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The secret's file cannot be read.
    #[error("cairn.credentials {name:?}: {path}: {source}")]
    File {
        /// Whose secret.
        name: String,
        /// The file.
        path: PathBuf,
        /// The operating system's words.
        source: std::io::Error,
    },
    /// An empty secret would let everyone in.
    #[error("cairn.credentials {0:?}: the secret is empty")]
    Empty(String),
    /// The tenant's id is not one.
    #[error("cairn.credentials {name:?}: {source}")]
    Tenant {
        /// Which credential.
        name: String,
        /// What is wrong with the id.
        source: TenantIdError,
    },
}

impl Credentials {
    /// Reads the secrets of the configured credentials.
    pub fn load(configured: &[Credential]) -> Result<Self, CredentialError> {
        configured.iter().map(Known::load).collect::<Result<_, _>>().map(Credentials)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The credential that an `Authorization` header shows: `Basic name:secret` or `Bearer secret`.
    pub(super) fn verify(&self, shown: &HeaderValue) -> Option<&Known> {
        let (scheme, rest) = shown.to_str().ok()?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("basic") {
            let plain = String::from_utf8(STANDARD.decode(rest.trim()).ok()?).ok()?;
            let (name, secret) = plain.split_once(':')?;
            return self.0.iter().find(|k| k.name == name).filter(|k| same(&k.secret, secret));
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            return self.0.iter().find(|k| same(&k.secret, rest.trim()));
        }
        None
    }
}

impl Known {
    fn load(configured: &Credential) -> Result<Self, CredentialError> {
        let name = configured.name.clone();
        let secret = match &configured.secret {
            Secret::Inline(text) => text.clone(),
            Secret::File(path) => std::fs::read_to_string(path)
                .map_err(|source| CredentialError::File { name: name.clone(), path: path.clone(), source })?
                .trim()
                .to_owned(),
        };
        if secret.is_empty() {
            return Err(CredentialError::Empty(name));
        }
        let parse =
            |id: &String| TenantId::parse(id).map_err(|source| CredentialError::Tenant { name: name.clone(), source });
        let tenant = configured.tenant.as_ref().map(parse).transpose()?;
        Ok(Known { name, secret, tenant })
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|k| &k.name)).finish()
    }
}

/// Compares in a time that depends on the length alone.
fn same(a: &str, b: &str) -> bool {
    a.len() == b.len() && a.bytes().zip(b.bytes()).fold(0, |diff, (x, y)| diff | (x ^ y)) == 0
}
