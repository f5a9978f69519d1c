//! The list of all dashboards of one appliance, and the users' own ones.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use rusqlite::params;
use rust_embed::RustEmbed;

use super::document::{DocumentError, Meta, Origin};
use crate::clock::Clock;
use crate::meta;
use crate::tenant::TenantId;

/// Files deeper than this below a configured folder are not looked at.
const FOLDER_DEPTH_MAX: usize = 4;

#[derive(RustEmbed)]
#[folder = "web/dashboards"]
struct BuiltIn;

/// All dashboards. Every method blocks on disk.
#[derive(Debug)]
pub struct Dashboards {
    meta: meta::Meta,
    clock: Clock,
    dirs: RwLock<Vec<PathBuf>>,
}

/// Why a dashboard cannot be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum DashboardsError {
    /// No such uid.
    #[error("there is no dashboard with uid {0:?}")]
    NotFound(String),
    /// Not a dashboard.
    #[error(transparent)]
    Document(#[from] DocumentError),
    /// It is not a user's.
    #[error("dashboard {0:?} comes with the program or from a file; it cannot be deleted here")]
    ReadOnly(String),
    /// There is one with that uid already.
    #[error("there is already a dashboard with uid {0:?}; say overwrite to replace it")]
    Taken(String),
    /// The file or database cannot be used.
    #[error("{0}")]
    State(String),
}

impl From<rusqlite::Error> for DashboardsError {
    fn from(e: rusqlite::Error) -> Self {
        DashboardsError::State(format!("meta.db: {e}"))
    }
}

/// A document and what the list says of it.
type Found = (Meta, String);

impl Dashboards {
    /// Users' dashboards are kept in `meta`.
    pub fn new(meta: meta::Meta, clock: Clock, dirs: Vec<PathBuf>) -> Self {
        Dashboards { meta, clock, dirs: RwLock::new(dirs) }
    }

    /// The configured folders changed.
    pub fn set_dirs(&self, dirs: Vec<PathBuf>) {
        *self.dirs.write().unwrap_or_else(PoisonError::into_inner) = dirs;
    }

    /// What `tenant` sees, by folder and title.
    pub fn list(&self, tenant: &TenantId) -> Result<Vec<Meta>, DashboardsError> {
        let mut all: Vec<Meta> = self.collect(tenant)?.into_values().map(|(meta, _)| meta).collect();
        all.sort_by(|a, b| (&a.folder, &a.title).cmp(&(&b.folder, &b.title)));
        Ok(all)
    }

    /// One document, as it came.
    pub fn get(&self, tenant: &TenantId, uid: &str) -> Result<(Meta, String), DashboardsError> {
        self.collect(tenant)?.remove(uid).ok_or_else(|| DashboardsError::NotFound(uid.to_owned()))
    }

    /// Keeps a user's document and gives its uid.
    pub fn put(&self, tenant: &TenantId, json: &str, folder: &str, overwrite: bool) -> Result<String, DashboardsError> {
        let meta = Meta::of(json, folder, Origin::User)?;
        if !overwrite && self.collect(tenant)?.contains_key(&meta.uid) {
            return Err(DashboardsError::Taken(meta.uid));
        }
        let now = self.clock.now_ms();
        self.meta.with(|c| {
            c.execute(
                "INSERT OR REPLACE INTO dashboards (tenant, uid, title, folder, json, updated_ms) VALUES (?, ?, ?, ?, ?, ?)",
                params![tenant.as_str(), meta.uid, meta.title, folder, json, now],
            )
        })?;
        Ok(meta.uid)
    }

    /// Removes a user's document.
    pub fn delete(&self, tenant: &TenantId, uid: &str) -> Result<(), DashboardsError> {
        let gone = self.meta.with(|c| {
            c.execute("DELETE FROM dashboards WHERE tenant = ? AND uid = ?", params![tenant.as_str(), uid])
        })?;
        match gone {
            0 if self.collect(tenant)?.contains_key(uid) => Err(DashboardsError::ReadOnly(uid.to_owned())),
            0 => Err(DashboardsError::NotFound(uid.to_owned())),
            _ => Ok(()),
        }
    }

    fn collect(&self, tenant: &TenantId) -> Result<BTreeMap<String, Found>, DashboardsError> {
        let mut all = BTreeMap::new();
        for name in BuiltIn::iter().filter(|name| name.ends_with(".json")) {
            if let Some(file) = BuiltIn::get(&name) {
                keep(&mut all, &String::from_utf8_lossy(&file.data), "", Origin::BuiltIn);
            }
        }
        for dir in self.dirs.read().unwrap_or_else(PoisonError::into_inner).iter() {
            read_folder(dir, "", FOLDER_DEPTH_MAX, &mut all);
        }
        let saved = self.meta.with(|c| {
            let mut query = c.prepare("SELECT folder, json FROM dashboards WHERE tenant = ?")?;
            let rows =
                query.query_map([tenant.as_str()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
            rows.collect::<Result<Vec<_>, _>>()
        })?;
        for (folder, json) in saved {
            keep(&mut all, &json, &folder, Origin::User);
        }
        Ok(all)
    }
}

fn keep(all: &mut BTreeMap<String, Found>, json: &str, folder: &str, origin: Origin) {
    match Meta::of(json, folder, origin.clone()) {
        Ok(meta) => {
            all.insert(meta.uid.clone(), (meta, json.to_owned()));
        }
        Err(e) => tracing::warn!(component = "dashboards", ?origin, error = %e, "a dashboard is left out"),
    }
}

fn read_folder(dir: &Path, folder: &str, depth: usize, all: &mut BTreeMap<String, Found>) {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) => {
            tracing::warn!(component = "dashboards", path = %dir.display(), error = %e, "a dashboard folder cannot be read");
            return;
        }
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).collect();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && depth > 0 {
            let inner = if folder.is_empty() { name } else { format!("{folder}/{name}") };
            read_folder(&path, &inner, depth - 1, all);
        } else if path.extension().is_some_and(|e| e == "json") {
            match std::fs::read_to_string(&path) {
                Ok(json) => keep(all, &json, folder, Origin::File(path)),
                Err(e) => {
                    tracing::warn!(component = "dashboards", path = %path.display(), error = %e, "a dashboard is left out")
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: &str = r#"{ "uid": "x",  "title": "Mine", "tags": ["t"], "panels": [] }"#;

    fn store(dir: &Path, dirs: Vec<PathBuf>) -> Dashboards {
        Dashboards::new(meta::Meta::open(&dir.join("meta.db")).unwrap(), Clock::manual(5), dirs)
    }

    #[test]
    fn keeps_a_document_byte_for_byte_and_for_its_tenant_alone() {
        let dir = tempfile::tempdir().unwrap();
        let all = store(dir.path(), Vec::new());
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        assert_eq!(all.put(&a, DOC, "F", false).unwrap(), "x");
        assert!(matches!(all.put(&a, DOC, "F", false), Err(DashboardsError::Taken(_))));
        let (meta, json) = all.get(&a, "x").unwrap();
        assert_eq!((json.as_str(), meta.folder.as_str(), meta.tags), (DOC, "F", vec!["t".to_owned()]));
        assert!(matches!(all.get(&b, "x"), Err(DashboardsError::NotFound(_))));
        all.delete(&a, "x").unwrap();
        assert!(matches!(all.delete(&a, "x"), Err(DashboardsError::NotFound(_))));
    }

    #[test]
    fn files_are_found_in_folders_and_hidden_by_the_users_own() {
        let dir = tempfile::tempdir().unwrap();
        let boards = dir.path().join("boards");
        std::fs::create_dir_all(boards.join("Linux")).unwrap();
        std::fs::write(boards.join("Linux/a.json"), DOC).unwrap();
        std::fs::write(boards.join("broken.json"), "{").unwrap();
        let all = store(dir.path(), vec![boards]);
        let t = TenantId::anonymous();
        let (meta, _) = all.get(&t, "x").unwrap();
        assert_eq!(meta.folder, "Linux");
        assert!(matches!(meta.origin, Origin::File(_)));
        assert!(matches!(all.delete(&t, "x"), Err(DashboardsError::ReadOnly(_))));
        all.put(&t, DOC, "", true).unwrap();
        assert_eq!(all.get(&t, "x").unwrap().0.origin, Origin::User);
    }
}
