//! `cairn check rules FILE...`
//!
//! Here: reading files and saying what was found, in promtool's words. Elsewhere: the command line (`cli`), exit codes.

use std::collections::BTreeMap;
use std::path::Path;

use super::file::{GroupConfig, read_rule_file_with};
use super::{RuleFileError, RuleKind};
use crate::promql::ParseOptions;

/// What a check of one file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RulesChecked {
    /// Lines to print, as promtool does.
    pub text: String,
    /// False: the file would be refused.
    pub ok: bool,
}

/// Checks one rule file as a server whose queries may use `syntax` would read it.
pub fn check_rules(path: &Path, syntax: ParseOptions) -> RulesChecked {
    let head = format!("Checking {}\n", path.display());
    match load_with(path, syntax) {
        Ok(groups) => {
            let rules: usize = groups.iter().map(|g| g.rules.len()).sum();
            RulesChecked { text: format!("{head}  SUCCESS: {rules} rules found\n{}", duplicates(&groups)), ok: true }
        }
        Err(errors) => {
            let lines: String = errors.iter().map(|e| format!("  {e}\n")).collect();
            RulesChecked { text: format!("{head}  FAILED:\n{lines}"), ok: false }
        }
    }
}

/// How many rules a file has, or what is wrong in it, one line each: for a check of a whole configuration.
pub fn count_rules(path: &Path) -> Result<usize, Vec<String>> {
    let groups = load(path).map_err(|errors| errors.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    Ok(groups.iter().map(|g| g.rules.len()).sum())
}

/// Reads the groups of one file, in the stable language.
pub(super) fn load(path: &Path) -> Result<Vec<GroupConfig>, Vec<RuleFileError>> {
    load_with(path, ParseOptions::default())
}

/// Reads the groups of one file; expressions may use what `syntax` allows.
pub(super) fn load_with(path: &Path, syntax: ParseOptions) -> Result<Vec<GroupConfig>, Vec<RuleFileError>> {
    let file = path.display().to_string();
    match std::fs::read_to_string(path) {
        Ok(text) => read_rule_file_with(&file, &text, syntax),
        Err(e) => Err(vec![RuleFileError { file, pos: None, message: e.to_string() }]),
    }
}

/// The same metric or alert with the same labels twice works, but one of them is probably a mistake.
fn duplicates(groups: &[GroupConfig]) -> String {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for rule in groups.iter().flat_map(|g| &g.rules) {
        let kind = if matches!(rule.kind, RuleKind::Recording) { "Metric" } else { "Alert" };
        let labels: String = rule.label_texts().iter().map(|(n, v)| format!("\t{n}: {v}\n")).collect();
        *seen.entry(format!("{kind}: {}\nLabel(s):\n{labels}", rule.name)).or_default() += 1;
    }
    let twice: Vec<&String> = seen.iter().filter(|(_, count)| **count > 1).map(|(text, _)| text).collect();
    match twice.is_empty() {
        true => String::new(),
        false => {
            let list: String = twice.iter().map(|t| t.as_str()).collect();
            format!(
                "{} duplicate rule(s) found.\n{list}Might cause inconsistency while recording expressions\n",
                twice.len()
            )
        }
    }
}
