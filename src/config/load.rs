//! From a file to a [`Config`]: read, expand, check, or say everything that is wrong.
//!
//! Here: the top level of `prometheus.yml`, the files it includes, and the appliance's defaults without a file.
//! Elsewhere: each section (the files beside this one).

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::scrape::{ScrapeDefaults, Source};
use super::yaml::{self, FileProblem, Map, Node, Problem, Problems};
use super::{CairnConfig, Config, Global, HttpClientConfig, Retention, Secret, env, global, mask, own, scrape};

/// Everything that is wrong with a configuration, one line for each problem: `file:line:column: message`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError {
    /// At least one, those of a file in its order.
    pub problems: Vec<FileProblem>,
}

impl Config {
    /// What runs without a configuration file: itself and its host, watched every 15 s.
    pub fn default_appliance() -> Self {
        let every = Duration::from_secs(15);
        Config {
            global: Global { scrape_interval: every, evaluation_interval: every, ..Global::default() },
            scrape_configs: Vec::new(),
            rule_files: Vec::new(),
            retention: Retention::default(),
            cairn: CairnConfig { self_monitoring: true, host_monitoring: true, ..CairnConfig::default() },
            warnings: Vec::new(),
            yaml: "global:\n  scrape_interval: 15s\n  scrape_timeout: 10s\n  evaluation_interval: 15s\n\
                   cairn:\n  self_monitoring: true\n  host_monitoring: true\n"
                .to_owned(),
        }
    }
}

/// Loads the file at `path` (and the scrape config files it names), with the process's environment variables.
pub fn load(path: &Path) -> Result<Config, ConfigError> {
    load_with(path, &|name| std::env::var(name).ok())
}

/// Like [`load`], then also opens the files that the configuration points at (passwords, certificates, Alertmanager's
/// file): what `cairn check config` does.
pub fn check(path: &Path) -> Result<Config, ConfigError> {
    let config = load(path)?;
    let mut problems = Vec::new();
    for (key, file) in referenced_files(&config) {
        if let Err(error) = std::fs::File::open(&file) {
            let message = format!("{key} {}: {error}", file.display());
            problems.push(FileProblem { file: path.display().to_string(), pos: None, message });
        }
    }
    if problems.is_empty() { Ok(config) } else { Err(ConfigError { problems }) }
}

pub(super) fn load_with(path: &Path, lookup: env::Lookup<'_>) -> Result<Config, ConfigError> {
    let file = path.display().to_string();
    let whole =
        |message: String| ConfigError { problems: vec![FileProblem { file: file.clone(), pos: None, message }] };
    let text = std::fs::read_to_string(path).map_err(|error| whole(error.to_string()))?;
    let absolute = std::path::absolute(path).map_err(|error| whole(error.to_string()))?;
    let dir = absolute.parent().unwrap_or(Path::new("/"));
    Loader { file: &file, dir, lookup, seen: HashMap::new(), problems: Vec::new() }.load(&text)
}

struct Loader<'a> {
    file: &'a str,
    dir: &'a Path,
    lookup: env::Lookup<'a>,
    /// Job name to where it was first seen.
    seen: HashMap<String, String>,
    problems: Vec<FileProblem>,
}

impl Loader<'_> {
    fn load(mut self, text: &str) -> Result<Config, ConfigError> {
        let mut root = match yaml::parse(text) {
            Ok(root) => root,
            Err(problem) => return Err(ConfigError { problems: vec![in_file(self.file, problem)] }),
        };
        let mut shown = root.clone();
        mask::mask(&mut shown);
        let problems = Problems::new();
        env::expand(&mut root, self.lookup, &problems);
        let (mut config, defaults, more) = self.read_top(&root, &problems);
        config.warnings.extend(problems.take_warnings(self.file).iter().map(ToString::to_string));
        self.problems.extend(problems.in_file(self.file));
        for pattern in more {
            self.include(&pattern, &defaults, &mut config);
        }
        config.yaml = yaml::emit(&shown);
        if self.problems.is_empty() { Ok(config) } else { Err(ConfigError { problems: self.problems }) }
    }

    /// The top level; also gives the patterns of `scrape_config_files`.
    fn read_top(&mut self, root: &Node, problems: &Problems) -> (Config, ScrapeDefaults, Vec<PathBuf>) {
        let mut config = Config::default_appliance();
        let mut map = Map::new(root, "the configuration file", problems);
        map.not_yet("Prometheus", &["remote_write", "remote_read", "tracing", "otlp"]);
        let (global, defaults) = global::read_global(map.take("global"), self.dir, problems);
        config.global = global;
        if let Some(node) = map.take("runtime") {
            global::read_runtime(node, problems);
        }
        if let Some(node) = map.take("alerting") {
            global::read_alerting(node, problems);
        }
        if let Some(node) = map.take("storage") {
            config.retention = global::read_storage(node, problems);
        }
        config.cairn = map.take("cairn").map(|node| own::read(node, self.dir, problems)).unwrap_or_default();
        config.rule_files = self.paths(map.list("rule_files"), "rule_files", problems);
        let source = Source { file: self.file, dir: self.dir };
        config.scrape_configs =
            scrape::read_all(map.list("scrape_configs"), &defaults, source, &mut self.seen, problems);
        let more = self.paths(map.list("scrape_config_files"), "scrape_config_files", problems);
        map.finish();
        (config, defaults, more)
    }

    fn paths(&self, nodes: &[Node], what: &str, problems: &Problems) -> Vec<PathBuf> {
        nodes
            .iter()
            .filter_map(|node| problems.read(what, node, |n| n.text().map(|text| self.dir.join(text))))
            .collect()
    }

    /// The scrape configs of the files that `pattern` matches; no match is fine, as in Prometheus.
    fn include(&mut self, pattern: &Path, defaults: &ScrapeDefaults, config: &mut Config) {
        let files = match super::expand_glob(pattern) {
            Ok(files) => files,
            Err(error) => return self.fail(&pattern.display().to_string(), error.to_string()),
        };
        for path in files {
            let file = path.display().to_string();
            match std::fs::read_to_string(&path) {
                Ok(text) => self.include_file(
                    Source { file: &file, dir: path.parent().unwrap_or(self.dir) },
                    &text,
                    defaults,
                    config,
                ),
                Err(error) => self.fail(&file, error.to_string()),
            }
        }
    }

    fn include_file(&mut self, source: Source<'_>, text: &str, defaults: &ScrapeDefaults, config: &mut Config) {
        let mut root = match yaml::parse(text) {
            Ok(root) => root,
            Err(problem) => return self.problems.push(in_file(source.file, problem)),
        };
        let problems = Problems::new();
        env::expand(&mut root, self.lookup, &problems);
        let mut map = Map::new(&root, "the scrape config file", &problems);
        let nodes = map.list("scrape_configs");
        map.finish();
        config.scrape_configs.extend(scrape::read_all(nodes, defaults, source, &mut self.seen, &problems));
        config.warnings.extend(problems.take_warnings(source.file).iter().map(ToString::to_string));
        self.problems.extend(problems.in_file(source.file));
    }

    fn fail(&mut self, file: &str, message: String) {
        self.problems.push(FileProblem { file: file.to_owned(), pos: None, message });
    }
}

fn in_file(file: &str, problem: Problem) -> FileProblem {
    FileProblem { file: file.to_owned(), pos: Some(problem.pos), message: problem.message }
}

fn referenced_files(config: &Config) -> Vec<(&'static str, PathBuf)> {
    let mut files: Vec<(&str, PathBuf)> =
        config.scrape_configs.iter().flat_map(|scrape| http_files(&scrape.http)).collect();
    files.extend(config.cairn.alertmanager_config_file.iter().map(|file| ("alertmanager_config_file", file.clone())));
    let secrets = config.cairn.credentials.iter().filter_map(|credential| secret_file(&credential.secret));
    files.extend(secrets.map(|file| ("secret_file", file)));
    files
}

fn http_files(http: &HttpClientConfig) -> Vec<(&'static str, PathBuf)> {
    let mut files = Vec::new();
    files.extend(http.ca_file.iter().map(|file| ("ca_file", file.clone())));
    let secrets = [("password_file", &http.basic_auth), ("credentials_file", &http.authorization)];
    files.extend(secrets.into_iter().filter_map(|(key, auth)| Some((key, secret_file(&auth.as_ref()?.1)?))));
    files
}

fn secret_file(secret: &Secret) -> Option<PathBuf> {
    match secret {
        Secret::File(file) => Some(file.clone()),
        Secret::Inline(_) => None,
    }
}
