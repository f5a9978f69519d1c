//! File patterns: `rules/*.yml`, as `rule_files` and `scrape_config_files` have them.
//!
//! Here: `*`, `?` and `[a-z]` within a path component, as Go's `filepath.Glob`. Elsewhere: reading the files.

use std::io;
use std::path::{Component, Path, PathBuf};

/// The existing paths that `pattern` matches, sorted. A pattern that matches nothing gives none. Folders that cannot be
/// read are errors: silence there would drop rules.
pub fn expand_glob(pattern: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for component in pattern.components() {
        found = match component {
            Component::Normal(part) if part.to_str().is_some_and(|p| p.contains(['*', '?', '['])) => {
                let part = part.to_str().unwrap_or_default();
                let mut deeper = Vec::new();
                for dir in &found {
                    matching_children(dir, part, &mut deeper)?;
                }
                deeper
            }
            other => found.into_iter().map(|path| path.join(other)).collect(),
        };
    }
    found.retain(|path| path.try_exists().unwrap_or(true));
    found.sort();
    Ok(found)
}

fn matching_children(dir: &Path, pattern: &str, found: &mut Vec<PathBuf>) -> io::Result<()> {
    let dir_or_here = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let children = match std::fs::read_dir(dir_or_here) {
        Ok(children) => children,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        Err(error) => return Err(error),
    };
    for child in children {
        let name = child?.file_name();
        if name.to_str().is_some_and(|name| matches_name(pattern.as_bytes(), name.as_bytes())) {
            found.push(dir.join(name));
        }
    }
    Ok(())
}

/// `*` any run, `?` one byte, `[a-c]` and `[^a-c]` one of a set, `\x` the character x. Linear in the name for each
/// star.
fn matches_name(mut pattern: &[u8], mut name: &[u8]) -> bool {
    let mut retry: Option<(&[u8], &[u8])> = None;
    loop {
        if let Some((b'*', rest)) = pattern.split_first() {
            (pattern, retry) = (rest, Some((rest, name)));
            continue;
        }
        match (name.split_first(), match_one(pattern, name.first().copied())) {
            (None, _) if pattern.is_empty() => return true,
            (Some((_, rest)), Some(after)) => (pattern, name) = (after, rest),
            _ => match retry {
                Some((after_star, [_, from @ ..])) => {
                    (pattern, name, retry) = (after_star, from, Some((after_star, from)))
                }
                _ => return false,
            },
        }
    }
}

/// The rest of the pattern if its first piece takes `byte`.
fn match_one(pattern: &[u8], byte: Option<u8>) -> Option<&[u8]> {
    let byte = byte?;
    match pattern {
        [b'?', rest @ ..] => Some(rest),
        [b'\\', literal, rest @ ..] => (*literal == byte).then_some(rest),
        [b'[', set @ ..] => {
            let (negated, set) = set.strip_prefix(b"^").map_or((false, set), |set| (true, set));
            let end = set.iter().position(|b| *b == b']')?;
            let (mut set, rest) = (&set[..end], &set[end + 1..]);
            let mut inside = false;
            while let [low, after @ ..] = set {
                let (high, after) = if let [b'-', high, after @ ..] = after { (high, after) } else { (low, after) };
                inside |= (*low..=*high).contains(&byte);
                set = after;
            }
            (inside != negated).then_some(rest)
        }
        [literal, rest @ ..] => (*literal == byte).then_some(rest),
        [] => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(pattern: &str, name: &str, expected: bool) {
        assert_eq!(matches_name(pattern.as_bytes(), name.as_bytes()), expected, "{pattern} {name}");
    }

    #[test]
    fn names_match_as_in_go() {
        check("*.yml", "a.yml", true);
        check("*.yml", "a.yaml", false);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b", "aab.b", true);
        check("?.yml", "a.yml", true);
        check("?.yml", ".yml", false);
        check("r[0-9x].yml", "r7.yml", true);
        check("r[^0-9].yml", "r7.yml", false);
        check("\\*.yml", "*.yml", true);
        check("[a", "a", false);
        check("", "", true);
        check("*", "", true);
        check("a", "ab", false);
        check(&"*a".repeat(30), &"a".repeat(200).replace("aa", "ab"), false);
    }

    #[test]
    fn folders_are_searched() {
        let dir = tempfile::tempdir().unwrap();
        for file in ["x/b.yml", "x/a.yml", "y/c.yml", "x/d.txt"] {
            let path = dir.path().join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let found = |pattern: &str| {
            let found = expand_glob(&dir.path().join(pattern)).unwrap();
            found.iter().map(|p| p.strip_prefix(dir.path()).unwrap().display().to_string()).collect::<Vec<_>>()
        };
        assert_eq!(found("x/*.yml"), ["x/a.yml", "x/b.yml"]);
        assert_eq!(found("*/*.yml"), ["x/a.yml", "x/b.yml", "y/c.yml"]);
        assert_eq!(found("x/a.yml"), ["x/a.yml"]);
        assert_eq!(found("x/no.yml"), [] as [&str; 0]);
        assert_eq!(found("no/*.yml"), [] as [&str; 0]);
    }
}
