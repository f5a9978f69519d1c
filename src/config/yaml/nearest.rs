//! "Did you mean": the nearest known word to a mistyped one.
//!
//! Here: edit distance over short words. Elsewhere: which words are known.

/// The candidate that a person most likely meant by `word`: at most a third of its characters (and at least one)
/// differ.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|&(far, _)| far <= allowed)
        .min_by_key(|&(far, _)| far)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance, case aside.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().flat_map(char::to_lowercase).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().flat_map(char::to_lowercase).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, &to) in b.iter().enumerate() {
            let kept_or_changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = kept_or_changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
