//! `cairn check`: files are read as the server would read them, and the outcome is printed as promtool prints it.
//!
//! Here: walking the files and the words. Elsewhere: what makes a file right (`config`, the rules room by
//! [`RuleCheck`]).

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::config::{self, expand_glob};
use crate::promql::ParseOptions;
use crate::rules::check_rules;

/// Checks configuration files and the rule files they name; 1 if anything is wrong.
pub(super) fn configs(files: &[PathBuf], syntax: ParseOptions, out: &mut dyn Write) -> io::Result<u8> {
    let mut code = 0;
    for file in files {
        writeln!(out, "Checking {}", file.display())?;
        match config::check(file) {
            Err(error) => {
                writeln!(out, "  FAILED:\n{error}\n")?;
                code = 1;
            }
            Ok(config) => {
                for warning in &config.warnings {
                    writeln!(out, "  WARNING: {warning}")?;
                }
                let (rule_files, failed) = expand_all(&config.rule_files, out)?;
                let found = if rule_files.is_empty() {
                    String::new()
                } else {
                    format!("  SUCCESS: {} rule files found\n", rule_files.len())
                };
                writeln!(out, "{found} SUCCESS: {} is valid prometheus config file syntax\n", file.display())?;
                code |= failed | rules(&rule_files, syntax, out)?;
            }
        }
    }
    Ok(code)
}

/// Checks rule files; 1 if anything is wrong.
pub(super) fn rules(files: &[PathBuf], syntax: ParseOptions, out: &mut dyn Write) -> io::Result<u8> {
    let mut code = 0;
    for file in files {
        let checked = check_rules(file, syntax);
        writeln!(out, "{}", checked.text)?;
        if !checked.ok {
            code = 1;
        }
    }
    Ok(code)
}

/// A pattern without wildcards must name a file that is there, as promtool demands.
fn expand_all(patterns: &[PathBuf], out: &mut dyn Write) -> io::Result<(Vec<PathBuf>, u8)> {
    let (mut files, mut code) = (Vec::new(), 0);
    for pattern in patterns {
        match expand_glob(pattern) {
            Ok(found) if found.is_empty() && !has_wildcard(pattern) => {
                writeln!(out, "  FAILED: rule_files: {} does not exist", pattern.display())?;
                code = 1;
            }
            Ok(found) => files.extend(found),
            Err(error) => {
                writeln!(out, "  FAILED: rule_files: {}: {error}", pattern.display())?;
                code = 1;
            }
        }
    }
    Ok((files, code))
}

fn has_wildcard(pattern: &Path) -> bool {
    pattern.to_string_lossy().contains(['*', '?', '['])
}
