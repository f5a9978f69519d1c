//! Relabelling steps: reading and refusing.
//!
//! Here: the keys of one step and what an action needs, with Prometheus' words. Elsewhere: doing it (the scrape room).

use storage::full_match_regex;

use super::yaml::{Map, Node, Problems, nearest};
use super::{RelabelAction, RelabelConfig};

const DEFAULT_REGEX: &str = "(.*)";
const DEFAULT_REPLACEMENT: &str = "$1";
const DEFAULT_SEPARATOR: &str = ";";

const ACTIONS: [(&str, RelabelAction); 11] = [
    ("replace", RelabelAction::Replace),
    ("keep", RelabelAction::Keep),
    ("drop", RelabelAction::Drop),
    ("keepequal", RelabelAction::KeepEqual),
    ("dropequal", RelabelAction::DropEqual),
    ("hashmod", RelabelAction::HashMod),
    ("labelmap", RelabelAction::LabelMap),
    ("labeldrop", RelabelAction::LabelDrop),
    ("labelkeep", RelabelAction::LabelKeep),
    ("lowercase", RelabelAction::Lowercase),
    ("uppercase", RelabelAction::Uppercase),
];

/// Reads `relabel_configs` or `metric_relabel_configs`; wrong steps are problems and left out.
pub(super) fn read_steps(steps: &[Node], problems: &Problems) -> Vec<RelabelConfig> {
    steps.iter().filter_map(|step| read_step(step, problems)).collect()
}

fn read_step(node: &Node, problems: &Problems) -> Option<RelabelConfig> {
    let mut map = Map::new(node, "the relabel config", problems);
    let source_labels = map.read("source_labels", texts);
    let separator = map.read("separator", owned_text);
    let target_label = map.read("target_label", owned_text).unwrap_or_default();
    let pattern = map.read("regex", owned_text);
    let modulus = map.read("modulus", Node::unsigned).unwrap_or(0);
    let replacement = map.read("replacement", owned_text);
    let action = map.take("action").map_or(Some(RelabelAction::Replace), |node| problems.read("action", node, action));
    let pattern_pos = map.pos_of("regex");
    map.finish();
    let regex = full_match_regex(pattern.as_deref().unwrap_or(DEFAULT_REGEX));
    let regex = regex.map_err(|error| problems.add(pattern_pos, error.to_string())).ok()?;
    let has_own_regex = pattern.is_some_and(|p| p != DEFAULT_REGEX);
    let has_own_separator = separator.as_deref().is_some_and(|s| s != DEFAULT_SEPARATOR);
    let step = RelabelConfig {
        source_labels: source_labels.unwrap_or_default(),
        separator: separator.unwrap_or_else(|| DEFAULT_SEPARATOR.to_owned()),
        target_label,
        regex,
        modulus,
        replacement: replacement.unwrap_or_else(|| DEFAULT_REPLACEMENT.to_owned()),
        action: action?,
    };
    match check_action(&step, has_own_regex, has_own_separator) {
        Ok(()) => Some(step),
        Err(message) => {
            problems.add(node.pos, message);
            None
        }
    }
}

/// What each action needs and what it does not take.
fn check_action(step: &RelabelConfig, has_own_regex: bool, has_own_separator: bool) -> Result<(), String> {
    use RelabelAction::*;
    let name = action_name(step.action);
    if step.action == HashMod && step.modulus == 0 {
        return Err("relabel configuration for hashmod requires non-zero modulus".to_owned());
    }
    let needs_target = matches!(step.action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
    if needs_target && step.target_label.is_empty() {
        return Err(format!("relabel configuration for {name} action requires 'target_label' value"));
    }
    let has_own_replacement = step.replacement != DEFAULT_REPLACEMENT;
    if matches!(step.action, Lowercase | Uppercase | KeepEqual | DropEqual) && has_own_replacement {
        return Err(format!("'replacement' can not be set for {name} action"));
    }
    if matches!(step.action, KeepEqual | DropEqual) && (has_own_regex || step.modulus != 0 || has_own_separator) {
        return Err(format!("{name} action requires only 'source_labels' and 'target_label', and no other fields"));
    }
    let has_more = !step.source_labels.is_empty()
        || !step.target_label.is_empty()
        || step.modulus != 0
        || has_own_separator
        || has_own_replacement;
    if matches!(step.action, LabelDrop | LabelKeep) && has_more {
        return Err(format!("{name} action requires only 'regex', and no other fields"));
    }
    Ok(())
}

fn action_name(action: RelabelAction) -> &'static str {
    ACTIONS.iter().find(|(_, a)| *a == action).map_or("replace", |(name, _)| name)
}

fn action(node: &Node) -> Result<RelabelAction, String> {
    let text = node.text()?;
    let lower = text.to_ascii_lowercase();
    ACTIONS.iter().find(|(name, _)| *name == lower).map(|(_, action)| *action).ok_or_else(|| {
        let hint = nearest(text, ACTIONS.iter().map(|(name, _)| *name)).map(|n| format!("; did you mean {n:?}?"));
        format!("unknown relabel action {text:?}{}", hint.unwrap_or_default())
    })
}

fn texts(node: &Node) -> Result<Vec<String>, String> {
    node.list()?.iter().map(owned_text).collect()
}

fn owned_text(node: &Node) -> Result<String, String> {
    node.text().map(str::to_owned)
}
