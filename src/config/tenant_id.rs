//! Tenant ids, by Mimir's rules.

use std::fmt;
use std::sync::Arc;

/// Longest id in bytes (Mimir's figure).
const TENANT_ID_BYTES_MAX: usize = 150;

/// A valid tenant id; safe as a directory name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantId(Arc<str>);

/// Why a text is not a tenant id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TenantIdError {
    /// Nothing was given.
    #[error("tenant id is empty")]
    Empty,
    /// Over [`TENANT_ID_BYTES_MAX`].
    #[error("tenant id is too long: max {TENANT_ID_BYTES_MAX} characters")]
    TooLong,
    /// A character outside of Mimir's set.
    #[error("tenant id {id:?} contains unsupported character {found:?}")]
    Character {
        /// As it came.
        id: String,
        /// The first bad one.
        found: char,
    },
    /// `.`, `..` or a name that Mimir keeps for itself.
    #[error("tenant id {0:?} is not allowed")]
    Reserved(String),
}

impl TenantId {
    /// The tenant of everything while multitenancy is off.
    pub const ANONYMOUS: &'static str = "anonymous";

    /// The tenant of everything while multitenancy is off.
    pub fn anonymous() -> Self {
        TenantId(Arc::from(Self::ANONYMOUS))
    }

    /// Checks `text`: letters, digits and `!-_.*'()`, at most 150 of them, neither `.` nor `..`.
    pub fn parse(text: &str) -> Result<Self, TenantIdError> {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "!-_.*'()".contains(c);
        if text.is_empty() {
            return Err(TenantIdError::Empty);
        }
        if text.len() > TENANT_ID_BYTES_MAX {
            return Err(TenantIdError::TooLong);
        }
        if let Some(found) = text.chars().find(|&c| !allowed(c)) {
            return Err(TenantIdError::Character { id: text.to_owned(), found });
        }
        if matches!(text, "." | ".." | "__mimir_cluster") {
            return Err(TenantIdError::Reserved(text.to_owned()));
        }
        Ok(TenantId(Arc::from(text)))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_mimir_accepts() {
        for ok in ["prod", "a", "A-b_c.d!e*f'g(h)", "...", &"x".repeat(150)] {
            assert!(TenantId::parse(ok).is_ok(), "{ok}");
        }
    }

    #[test]
    fn refuses_the_rest() {
        for bad in ["", ".", "..", "a/b", "a|b", "a b", "é", "a%2e", "__mimir_cluster", "a\\b", &"x".repeat(151)] {
            assert!(TenantId::parse(bad).is_err(), "{bad}");
        }
    }
}
