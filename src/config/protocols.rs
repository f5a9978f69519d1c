//! `scrape_protocols`, `fallback_scrape_protocol` and the keys about names: what a target is asked for.
//!
//! Here: the formats, the schemes of validation and escaping, reading and refusing them, and their defaults.
//! Elsewhere: the header that asks (`scrape`), the formats themselves (`exposition`).

use super::yaml::{Map, Node};

/// A format that a target may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScrapeProtocol {
    /// `PrometheusProto`
    Proto,
    /// `OpenMetricsText0.0.1`
    OpenMetrics0,
    /// `OpenMetricsText1.0.0`
    OpenMetrics1,
    /// `PrometheusText0.0.4`
    Text0,
    /// `PrometheusText1.0.0`
    Text1,
}

use ScrapeProtocol::{OpenMetrics0, OpenMetrics1, Proto, Text0, Text1};

/// In the order in which a message lists them.
const KNOWN: [ScrapeProtocol; 5] = [OpenMetrics0, OpenMetrics1, Proto, Text0, Text1];

/// What targets are asked for where nothing says otherwise, best first.
const DEFAULT: [ScrapeProtocol; 4] = [OpenMetrics1, OpenMetrics0, Text1, Text0];

/// The same where native histograms or start timestamps are wanted.
const DEFAULT_PROTO_FIRST: [ScrapeProtocol; 5] = [Proto, OpenMetrics1, OpenMetrics0, Text1, Text0];

impl ScrapeProtocol {
    /// As Prometheus spells it.
    pub fn name(self) -> &'static str {
        match self {
            Proto => "PrometheusProto",
            OpenMetrics0 => "OpenMetricsText0.0.1",
            OpenMetrics1 => "OpenMetricsText1.0.0",
            Text0 => "PrometheusText0.0.4",
            Text1 => "PrometheusText1.0.0",
        }
    }

    /// The default of `scrape_protocols`.
    pub fn defaults(proto_first: bool) -> &'static [ScrapeProtocol] {
        if proto_first { &DEFAULT_PROTO_FIRST } else { &DEFAULT }
    }
}

/// `metric_name_validation_scheme`: which names of metrics and labels are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameValidation {
    /// `utf8`: all.
    #[default]
    Utf8,
    /// `legacy`: those of Prometheus 2.
    Legacy,
}

/// `metric_name_escaping_scheme`: what targets are asked to make of other names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameEscaping {
    /// `allow-utf-8`: nothing.
    #[default]
    AllowUtf8,
    /// `underscores`
    Underscores,
    /// `dots`
    Dots,
    /// `values`
    Values,
}

impl NameEscaping {
    /// As it stands in headers.
    pub fn name(self) -> &'static str {
        match self {
            NameEscaping::AllowUtf8 => "allow-utf-8",
            NameEscaping::Underscores => "underscores",
            NameEscaping::Dots => "dots",
            NameEscaping::Values => "values",
        }
    }
}

/// What `global` or a scrape config says about names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names {
    validation: Option<NameValidation>,
    escaping: Option<NameEscaping>,
}

impl Names {
    pub(super) fn read(map: &mut Map<'_>) -> Self {
        let schemes = [("utf8", NameValidation::Utf8), ("legacy", NameValidation::Legacy)];
        let validation = map.read("metric_name_validation_scheme", |node| one_of(node, &schemes)).flatten();
        let escapings = [NameEscaping::AllowUtf8, NameEscaping::Underscores, NameEscaping::Dots, NameEscaping::Values];
        let escapings = escapings.map(|escaping| (escaping.name(), escaping));
        let escaping = map.read("metric_name_escaping_scheme", |node| one_of(node, &escapings)).flatten();
        Names { validation, escaping }
    }

    /// What applies to a scrape config under `global`: who validates by himself does not inherit how names are escaped.
    pub(super) fn under(self, global: Names) -> (NameValidation, NameEscaping) {
        let follow = |validation| match validation {
            NameValidation::Utf8 => NameEscaping::AllowUtf8,
            NameValidation::Legacy => NameEscaping::Underscores,
        };
        let inherited = global.validation.unwrap_or_default();
        let validation = self.validation.unwrap_or(inherited);
        let escaping = match (self.escaping, self.validation) {
            (Some(escaping), _) => escaping,
            (None, Some(validation)) => follow(validation),
            (None, None) => global.escaping.unwrap_or(follow(inherited)),
        };
        (validation, escaping)
    }
}

/// One of the names, `None` for an empty text.
fn one_of<T: Copy>(node: &Node, known: &[(&'static str, T)]) -> Result<Option<T>, String> {
    let text = node.text()?;
    if node.is_null() || text.is_empty() {
        return Ok(None);
    }
    let names: Vec<&'static str> = known.iter().map(|(name, _)| *name).collect();
    super::scrape::one_of(node, &names)?;
    Ok(known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value))
}

/// A list without repetitions; `None` where nothing is given.
pub(super) fn protocols(node: &Node) -> Result<Option<Vec<ScrapeProtocol>>, String> {
    if node.is_null() {
        return Ok(None);
    }
    let mut asked = Vec::new();
    for item in node.list()? {
        let protocol = protocol(item)?;
        if asked.contains(&protocol) {
            return Err(format!("duplicated protocol {:?} in scrape_protocols", protocol.name()));
        }
        asked.push(protocol);
    }
    if asked.is_empty() { Err("scrape_protocols cannot be empty".to_owned()) } else { Ok(Some(asked)) }
}

pub(super) fn protocol(node: &Node) -> Result<ScrapeProtocol, String> {
    let text = node.text()?;
    KNOWN.into_iter().find(|protocol| protocol.name() == text).ok_or_else(|| {
        let known = KNOWN.map(ScrapeProtocol::name).join(", ");
        format!("unknown scrape protocol {text:?}, supported: {known}")
    })
}
