//! The script language: lines to commands.

use crate::promql::parse::{parse_duration_ms, unquote};

use super::series::{Point, parse_line, parse_starts};
use storage::Labels;

/// One command with the line it begins on, counted from 1.
#[derive(Debug)]
pub(super) enum Command {
    Clear,
    Load { step_ms: i64, with_nhcb: bool, series: Vec<Loaded> },
    Eval(Box<Eval>),
}

/// A line of a load, with the offsets of start timestamps if a line before it has them.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) labels: Labels,
    pub(super) points: Vec<Point>,
    pub(super) starts: Vec<Option<i64>>,
}

/// An evaluation and what is expected of it.
#[derive(Debug)]
pub(super) struct Eval {
    pub(super) line: usize,
    pub(super) query: String,
    pub(super) times: Times,
    pub(super) expected: Expected,
    /// A line that could not be read: the evaluation counts as failed.
    pub(super) unreadable: Option<String>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Times {
    Instant(i64),
    Range { start: i64, end: i64, step: i64 },
}

#[derive(Debug, Default)]
pub(super) struct Expected {
    pub(super) fail: Option<Text>,
    pub(super) warnings: Vec<Text>,
    pub(super) infos: Vec<Text>,
    pub(super) no_warning: bool,
    pub(super) no_info: bool,
    pub(super) ordered: bool,
    pub(super) string: Option<String>,
    pub(super) scalar: Option<f64>,
    pub(super) range_vector: Option<(i64, i64, i64)>,
    pub(super) series: Vec<(Labels, Vec<Point>)>,
}

/// How a message has to look.
#[derive(Debug)]
pub(super) enum Text {
    Any,
    Exactly(String),
    Matching(String),
}

impl Text {
    pub(super) fn fits(&self, message: &str) -> bool {
        match self {
            Text::Any => true,
            Text::Exactly(text) => text == message,
            Text::Matching(pattern) => regex::Regex::new(pattern).is_ok_and(|r| r.is_match(message)),
        }
    }

    fn parse(rest: &str) -> Text {
        let rest = rest.trim();
        match (rest.strip_prefix("msg:"), rest.strip_prefix("regex:")) {
            (Some(text), _) => Text::Exactly(text.trim().to_owned()),
            (_, Some(pattern)) => Text::Matching(pattern.trim().to_owned()),
            _ => Text::Any,
        }
    }
}

/// Reads a whole script; a command that is not understood is an error of the script.
pub(super) fn parse_script(text: &str) -> Vec<Command> {
    let lines: Vec<&str> = text.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let (mut commands, mut next) = (Vec::new(), 0);
    while next < lines.len() {
        let head = next;
        next += 1;
        if lines[head].is_empty() {
            continue;
        }
        let body_end = lines[next..].iter().position(|l| l.is_empty()).map_or(lines.len(), |n| next + n);
        let word = lines[head].split_whitespace().next().unwrap_or("").to_ascii_lowercase();
        match word.as_str() {
            "clear" => commands.push(Command::Clear),
            w if w.starts_with("load") => {
                commands.push(load(lines[head], &lines[next..body_end]));
                next = body_end;
            }
            w if w.starts_with("eval") => {
                commands.push(Command::Eval(Box::new(eval(head + 1, lines[head], &lines[next..body_end]))));
                next = body_end;
            }
            other => panic!("line {}: unknown command {other}", head + 1),
        }
    }
    commands
}

fn time(text: &str) -> i64 {
    match text.strip_prefix('-') {
        Some(rest) => -time(rest),
        None => parse_duration_ms(text).unwrap_or_else(|e| panic!("{text}: {e}")),
    }
}

fn load(head: &str, body: &[&str]) -> Command {
    let with_nhcb = head.starts_with("load_with_nhcb");
    let step_ms = time(head.split_whitespace().nth(1).unwrap_or("0"));
    let (mut series, mut starts) = (Vec::new(), Vec::new());
    for line in body {
        if line.split_whitespace().next().unwrap_or("").ends_with("@st") {
            starts = parse_starts(line).unwrap_or_else(|e| panic!("{line}: {e}"));
            continue;
        }
        let (labels, points) = parse_line(line).unwrap_or_else(|e| panic!("{line}: {e}"));
        let starts = std::mem::take(&mut starts);
        assert!(starts.is_empty() || starts.len() == points.len(), "{line}: as many starts as values");
        series.push(Loaded { labels, points, starts });
    }
    Command::Load { step_ms, with_nhcb, series }
}

fn eval(line: usize, head: &str, body: &[&str]) -> Eval {
    let mut words = head.splitn(2, char::is_whitespace);
    let (verb, rest) = (words.next().unwrap_or("").to_ascii_lowercase(), words.next().unwrap_or("").trim());
    let (kind, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    let (times, query) = match kind {
        "instant" => {
            let (t, query) = take_time(rest, "at");
            (Times::Instant(t), query)
        }
        _ => {
            let (start, rest) = take_time(rest, "from");
            let (end, rest) = take_time(rest, "to");
            let (step, query) = take_time(rest, "step");
            (Times::Range { start, end, step }, query)
        }
    };
    let mut eval = Eval { line, query: query.to_owned(), times, expected: Expected::default(), unreadable: None };
    match verb.as_str() {
        "eval_fail" => eval.expected.fail = Some(Text::Any),
        "eval_warn" => eval.expected.warnings.push(Text::Any),
        "eval_info" => eval.expected.infos.push(Text::Any),
        "eval_ordered" => eval.expected.ordered = true,
        _ => {}
    }
    for line in body {
        if let Err(e) = expectation(&mut eval.expected, line) {
            eval.unreadable = Some(format!("{line}: {e}"));
        }
    }
    eval
}

/// `word <time> rest`
fn take_time<'t>(text: &'t str, word: &str) -> (i64, &'t str) {
    let rest = text.trim_start().strip_prefix(word).unwrap_or_else(|| panic!("{text}: {word} is missing")).trim_start();
    let (t, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    (time(t), rest.trim())
}

fn expectation(expected: &mut Expected, line: &str) -> Result<(), String> {
    if let Some(text) = line.strip_prefix("expected_fail_message") {
        expected.fail = Some(Text::Exactly(text.trim().to_owned()));
        return Ok(());
    }
    if let Some(pattern) = line.strip_prefix("expected_fail_regexp") {
        expected.fail = Some(Text::Matching(pattern.trim().to_owned()));
        return Ok(());
    }
    let Some(rest) = line.strip_prefix("expect ").map(str::trim) else {
        if let Ok(value) = line.parse() {
            expected.scalar = Some(value);
        } else {
            expected.series.push(parse_line(line)?);
        }
        return Ok(());
    };
    let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
    match word {
        "fail" => expected.fail = Some(Text::parse(rest)),
        "warn" => expected.warnings.push(Text::parse(rest)),
        "info" => expected.infos.push(Text::parse(rest)),
        "no_warn" => expected.no_warning = true,
        "no_info" => expected.no_info = true,
        "ordered" => expected.ordered = true,
        "string" => expected.string = Some(unquote(rest.trim()).ok_or("a bad string")?),
        "range" => {
            let rest = rest.trim().strip_prefix("vector").ok_or("vector is missing")?;
            let (start, rest) = take_time(rest, "from");
            let (end, rest) = take_time(rest, "to");
            expected.range_vector = Some((start, end, take_time(rest, "step").0));
        }
        other => return Err(format!("unknown expectation {other}")),
    }
    Ok(())
}
