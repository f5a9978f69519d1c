//! T-4 and T-5: whatever happens to one file, no wrong value is served and no loss is silent.
//!
//! A small directory with files of every kind is damaged in one place, in a fresh copy each time: single bits, cuts, zeroed
//! and grown tails, missing and doubled files. Then it is opened and read in several ways, and compared with what was
//! stored. A table says how often which kind of file was damaged and what became of it.
//!
//! `CAIRN_FLIPS=10000 CAIRN_EVERY=1 cargo nextest run -p cairn-storage --release --test damage --no-capture` is the long
//! form: so many flips, every length. `CAIRN_SEED` chooses other flips.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test's helpers may panic, and the table is printed")]

mod support;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use storage::{
    Batch, Columns, Db, Durability, Labels, MatchOp, Matcher, Options, SampleKind, SelectedSeries, Selection, TimeRange,
};
use support::{Random, number, temp_dir};

const T0: i64 = 1_000_000;
const STEP: i64 = 125;

/// Labels to time to bits and start.
type Truth = BTreeMap<Labels, BTreeMap<i64, (u64, i64)>>;

/// A database as its files, and what is in it.
struct Fixture {
    files: Vec<(PathBuf, Vec<u8>)>,
    truth: Truth,
    now: i64,
}

/// One damage: the file, by its place in the list, and what is done to it.
#[derive(Debug, Clone, Copy)]
enum Damage {
    Flip {
        file: usize,
        byte: usize,
        bit: u8,
    },
    Cut {
        file: usize,
        len: usize,
    },
    ZeroTail {
        file: usize,
        from: usize,
    },
    Grow {
        file: usize,
        bytes: usize,
    },
    Remove {
        file: usize,
    },
    /// The contents under a name that nothing else has.
    CopyTo {
        file: usize,
        name: CopyName,
    },
    /// The contents in place of another file of the same kind.
    Replace {
        file: usize,
        by: usize,
    },
}

#[derive(Debug, Clone, Copy)]
enum CopyName {
    /// As people and editors name copies.
    Backup,
    /// As the next file of the kind would be named.
    Next,
}

/// What became of one damage.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Outcome {
    /// All is there, nothing was said.
    Unharmed,
    /// All is there, and something was said.
    Noted,
    /// Something is missing; each answer that misses something says so.
    Warned,
    /// Something is missing; the statistics say so.
    Counted,
    /// Not opened, with the file's name.
    Refused,
    /// Something is missing that nobody can know of: a log that ends with a whole record.
    Unknowable,
}

const OUTCOMES: [Outcome; 6] =
    [Outcome::Unharmed, Outcome::Noted, Outcome::Warned, Outcome::Counted, Outcome::Refused, Outcome::Unknowable];

fn options() -> Options {
    Options { block_ms: 1000, ..Options::default() }
}

fn labels(name: &str, instance: usize) -> Labels {
    let instance = format!("10.0.0.{instance}:9100");
    Labels::from_pairs([("__name__", name), ("job", "node"), ("instance", instance.as_str())]).unwrap()
}

/// Values of different natures: counters, decimals, constants, noise.
fn value(series: usize, step: i64, random: &mut Random) -> f64 {
    match series % 4 {
        0 => (step * 17 + series as i64) as f64,
        1 => (random.next() % 10_000) as f64 / 100.0,
        2 => 1.0,
        _ => f64::from_bits(random.next() >> 2),
    }
}

/// Counters were reset now and then, noise each time, the others never say.
fn start(series: usize, t: i64) -> i64 {
    match series % 4 {
        0 => t.div_euclid(40 * STEP) * 40 * STEP + 1,
        3 => t - STEP,
        _ => 0,
    }
}

/// One step: a sample of each live series, now and then a late one.
fn append_step(db: &Db, truth: &mut Truth, step: i64, random: &mut Random) {
    let t = T0 + step * STEP;
    let mut batch = Batch::new();
    let mut push = |series: usize, t: i64, v: f64| {
        let labels = labels(["cpu_seconds_total", "load1", "up", "noise"][series % 4], series / 4);
        truth.entry(labels.clone()).or_default().entry(t).or_insert((v.to_bits(), start(series, t)));
        batch.push(labels, t, v);
        batch.set_start(start(series, t));
    };
    // Series come and go, four at a time.
    let first = step as usize / 24 * 4;
    for series in first..first + 12 {
        push(series, t, value(series, step, random));
    }
    if step % 5 == 0 {
        push(first, t - 37 - 300 * (step % 7), -0.5);
    }
    let done = db.append(&mut batch, t, Durability::Written).unwrap();
    assert_eq!(done.refused, []);
}

/// A database that was cut, merged, closed and opened again, as a kill leaves it: copied while it is open.
fn build() -> Fixture {
    let dir = temp_dir();
    let mut truth = Truth::new();
    let mut random = Random(7);
    let (mut step, mut now) = (0, T0);
    // More kinds of entries (deletions, histograms, exemplars, metadata) belong into these lives.
    for life in [70, 20, 6] {
        let db = Db::open(dir.path(), options()).unwrap();
        for _ in 0..life {
            append_step(&db, &mut truth, step, &mut random);
            now = T0 + step * STEP;
            if step % 4 == 3 && life > 6 {
                db.maintain(now).unwrap();
            }
            step += 1;
        }
        if life > 6 {
            db.close().unwrap();
            continue;
        }
        let files = support::read_tree(dir.path());
        let all = Fixture { files, truth, now };
        drop(db);
        return all;
    }
    unreachable!("the last life returns")
}

/// A path with numbers struck out.
fn kind(path: &Path) -> String {
    let text = path.to_str().unwrap();
    let mut kind = String::new();
    for part in text.split_inclusive(['/', '-', '.']) {
        let word = part.trim_end_matches(['/', '-', '.']);
        let is_number = !word.is_empty() && word.bytes().all(|b| b.is_ascii_hexdigit()) && word.len() > 1;
        kind += if is_number || word.bytes().all(|b| b.is_ascii_digit()) && !word.is_empty() { "*" } else { word };
        kind += &part[word.len()..];
    }
    kind
}

impl Damage {
    fn file(self) -> usize {
        match self {
            Damage::Flip { file, .. }
            | Damage::Cut { file, .. }
            | Damage::ZeroTail { file, .. }
            | Damage::Grow { file, .. }
            | Damage::Remove { file }
            | Damage::CopyTo { file, .. }
            | Damage::Replace { file, .. } => file,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Damage::Flip { .. } => "flip",
            Damage::Cut { .. } => "cut",
            Damage::ZeroTail { .. } => "zeroed tail",
            Damage::Grow { .. } => "grown by zeros",
            Damage::Remove { .. } => "removed",
            Damage::CopyTo { .. } => "doubled",
            Damage::Replace { .. } => "replaced",
        }
    }
}

impl Fixture {
    /// Writes the files with `damage` done to them.
    fn write(&self, dir: &Path, damage: Damage) {
        support::write_tree(dir, &self.files);
        let (name, good) = &self.files[damage.file()];
        let path = dir.join(name);
        let mut bytes = good.clone();
        match damage {
            Damage::Flip { byte, bit, .. } => bytes[byte] ^= 1 << bit,
            Damage::Cut { len, .. } => bytes.truncate(len),
            Damage::ZeroTail { from, .. } => bytes[from..].fill(0),
            Damage::Grow { bytes: more, .. } => bytes.resize(good.len() + more, 0),
            Damage::Replace { by, .. } => bytes.clone_from(&self.files[by].1),
            Damage::Remove { .. } => return std::fs::remove_file(path).unwrap(),
            Damage::CopyTo { name: copy, .. } => return std::fs::write(copy.of(&path), bytes).unwrap(),
        }
        std::fs::write(path, bytes).unwrap();
    }

    /// Whether what `damage` leaves could also have been left by a process that was stopped there: the log's last files end
    /// with whole records.
    fn is_unknowable(&self, damage: Damage) -> bool {
        let is_log = |file: usize| self.files[file].0.extension().is_some_and(|e| e == "wal");
        let last_log = (0..self.files.len()).rfind(|&file| is_log(file));
        let file = damage.file();
        let good = &self.files[file].1;
        if Some(file) != last_log {
            return false;
        }
        match damage {
            Damage::Remove { .. } => true,
            Damage::Cut { len, .. } => len == 0 || good[len..].starts_with(&[0xC4, 0x17, 0xFE, 0xED]),
            _ => false,
        }
    }

    /// Does `damage`, opens, reads; the words for what is wrong if anything is.
    fn try_one(&self, damage: Damage, is_thorough: bool) -> Result<Outcome, String> {
        let dir = temp_dir();
        self.write(dir.path(), damage);
        let file = self.files[damage.file()].0.file_name().unwrap().to_str().unwrap();
        let run = || -> Result<Outcome, String> {
            let db = match Db::open(dir.path(), options()) {
                Ok(db) => db,
                Err(e) if e.to_string().contains(file) => return Ok(Outcome::Refused),
                Err(e) => return Err(format!("refused without the file's name: {e}")),
            };
            let outcome = self.judge(&db, damage)?;
            if is_thorough {
                let before = self.count(&db)?;
                self.go_on(&db)?;
                drop(db);
                let again = Db::open(dir.path(), options()).map_err(|e| format!("not opened again: {e}"))?;
                let after = self.count(&again)?;
                if after < before {
                    return Err(format!("{before} samples before reopening, {after} after"));
                }
            }
            Ok(outcome)
        };
        catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|_| Err("panicked".to_owned()))
    }

    fn judge(&self, db: &Db, damage: Damage) -> Result<Outcome, String> {
        let everywhere = TimeRange::ALL;
        let middle = TimeRange::new(T0 + 20 * STEP, T0 + 60 * STEP);
        let regex = Matcher::new(MatchOp::Regex, "__name__", "load1|up").unwrap();
        let asked = [
            (vec![], everywhere),
            (vec![Matcher::equal("__name__", "cpu_seconds_total")], middle),
            (vec![regex, Matcher::new(MatchOp::NotEqual, "instance", "10.0.0.1:9100").unwrap()], everywhere),
            (vec![], TimeRange::new(self.now - 5 * STEP, self.now + 1)),
        ];
        let (mut missing, mut untold, mut is_noted) = (0, 0, false);
        for (matchers, range) in &asked {
            let found = db.select(matchers, *range).map_err(|e| format!("select: {e}"))?;
            let (lacking, is_told) = self.compare(&found, matchers, *range)?;
            missing += lacking;
            untold += if is_told { 0 } else { lacking };
            is_noted |= is_told;
        }
        missing += self.check_labels(db)?;
        let stats = db.stats();
        let is_counted = stats.quarantined + stats.wal_torn_bytes + stats.orphaned_samples > 0;
        match (missing, untold) {
            (0, _) if is_noted || is_counted => Ok(Outcome::Noted),
            (0, _) => Ok(Outcome::Unharmed),
            (_, 0) if is_noted => Ok(Outcome::Warned),
            _ if is_counted => Ok(Outcome::Counted),
            _ if self.is_unknowable(damage) => Ok(Outcome::Unknowable),
            _ => Err(format!("{missing} lost in silence")),
        }
    }

    /// Nothing wrong or invented; how many samples are missing, and whether the answer says anything.
    fn compare(&self, found: &Selection, matchers: &[Matcher], range: TimeRange) -> Result<(usize, bool), String> {
        let is_wanted = |labels: &Labels| matchers.iter().all(|m| m.matches(labels.get(m.name()).unwrap_or_default()));
        let in_range = |times: &BTreeMap<i64, (u64, i64)>| times.range(range.min_t..range.max_t).count();
        let expected: usize = self.truth.iter().filter(|(l, _)| is_wanted(l)).map(|(_, times)| in_range(times)).sum();
        let (mut count, mut startless, mut is_told) = (0, 0, !found.warnings.is_empty());
        for series in &found.series {
            let Some(times) = self.truth.get(series.labels()).filter(|_| is_wanted(series.labels())) else {
                return Err(format!("{:?} is invented", series.labels()));
            };
            let (columns, is_whole) = samples(series);
            is_told |= !is_whole;
            let mut starts = Vec::new();
            series.read_starts(SampleKind::Float, &columns.t, &mut starts);
            for ((t, v), start) in columns.t.iter().zip(&columns.v).zip(starts) {
                let there = (v.to_bits(), start);
                let expected = times.get(t).filter(|_| range.contains(*t));
                // A start that is not known any more is a loss, another one a lie.
                let is_startless = expected.is_some_and(|e| e.0 == there.0 && e.1 != 0 && start == 0);
                if expected != Some(&there) && !is_startless {
                    return Err(format!("{:?} at {t}: {v} from {start} instead of {expected:?}", series.labels()));
                }
                startless += usize::from(is_startless);
            }
            if columns.t.windows(2).any(|w| w[0] >= w[1]) {
                return Err(format!("{:?}: times do not rise", series.labels()));
            }
            count += columns.len();
        }
        Ok((expected - count + startless, is_told))
    }

    fn check_labels(&self, db: &Db) -> Result<usize, String> {
        let mut missing = 0;
        for name in ["__name__", "instance"] {
            let known: Vec<&str> = self.truth.keys().filter_map(|l| l.get(name)).collect();
            let found = db.label_values(name, &[], TimeRange::ALL).map_err(|e| format!("label_values: {e}"))?;
            if let Some(invented) = found.iter().find(|value| !known.contains(&value.as_str())) {
                return Err(format!("{name}={invented:?} is invented"));
            }
            missing += known.iter().filter(|value| !found.iter().any(|f| f == *value)).count();
        }
        let names = db.label_names(&[], TimeRange::ALL).map_err(|e| format!("label_names: {e}"))?;
        if let Some(invented) = names.iter().find(|name| !["__name__", "instance", "job"].contains(&name.as_str())) {
            return Err(format!("label {invented:?} is invented"));
        }
        Ok(missing)
    }

    fn count(&self, db: &Db) -> Result<usize, String> {
        let found = db.select(&[Matcher::equal("job", "node")], TimeRange::ALL).map_err(|e| format!("select: {e}"))?;
        self.compare(&found, &[], TimeRange::ALL)?;
        Ok(found.series.iter().map(|series| samples(series).0.len()).sum())
    }

    /// Life goes on: what is appended now is stored, and maintenance does not make things worse.
    fn go_on(&self, db: &Db) -> Result<(), String> {
        let later = self.now + 4000;
        let extra = Labels::from_pairs([("__name__", "later")]).unwrap();
        let mut batch = Batch::new();
        batch.push(extra.clone(), later, 1.5);
        let done = db.append(&mut batch, later, Durability::Synced).map_err(|e| format!("append: {e}"))?;
        db.maintain(later).map_err(|e| format!("maintain: {e}"))?;
        let found = db.select(&[Matcher::equal("__name__", "later")], TimeRange::ALL).map_err(|e| e.to_string())?;
        let is_there = found.series.len() == 1 && samples(&found.series[0]).0.t == [later];
        if done.accepted == 1 && is_there { Ok(()) } else { Err("a later sample is not stored".to_owned()) }
    }
}

impl CopyName {
    fn of(self, path: &Path) -> PathBuf {
        let name = path.file_name().unwrap().to_str().unwrap();
        let next = || {
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            let number: u64 = digits.parse().ok()?;
            Some(name.replace(&digits, &format!("{:0width$}", number + 40, width = digits.len())))
        };
        match self {
            CopyName::Backup => path.with_file_name(format!("{name}.bak")),
            CopyName::Next => path.with_file_name(next().unwrap_or_else(|| format!("{name}~"))),
        }
    }
}

/// What can be read of a series, and whether that is all.
fn samples(series: &SelectedSeries) -> (Columns, bool) {
    let mut out = Columns::default();
    let is_whole = series.read_into(&mut out).is_ok();
    (out, is_whole)
}

/// Does all of `cases`; prints the table; fails with the first failures in words.
fn run(fixture: &Fixture, cases: &[Damage]) {
    let mut table: BTreeMap<(String, &str), [usize; OUTCOMES.len()]> = BTreeMap::new();
    let mut failures = Vec::new();
    for (number, &damage) in cases.iter().enumerate() {
        let name = &fixture.files[damage.file()].0;
        match fixture.try_one(damage, number % 4 == 0) {
            Ok(outcome) => {
                let row = table.entry((kind(name), damage.name())).or_default();
                row[OUTCOMES.iter().position(|o| *o == outcome).unwrap()] += 1;
            }
            Err(words) => failures.push(format!("{} {damage:?}: {words}", name.display())),
        }
    }
    println!("{:<24} {:<15}{}", "file", "damage", OUTCOMES.map(|o| format!("{:>11}", format!("{o:?}"))).concat());
    for ((kind, damage), row) in &table {
        println!("{kind:<24} {damage:<15}{}", row.map(|n| format!("{n:>11}")).concat());
    }
    let shown: Vec<_> = failures.iter().take(25).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {} failed:\n{}", failures.len(), cases.len(), shown.join("\n"));
}

/// Files that have something to damage.
fn files(fixture: &Fixture) -> impl Iterator<Item = (usize, usize)> {
    fixture.files.iter().enumerate().map(|(file, (_, bytes))| (file, bytes.len())).filter(|(_, len)| *len > 0)
}

#[test]
fn what_was_built_is_whole_and_has_all_kinds_of_files() {
    let fixture = build();
    let dir = temp_dir();
    support::write_tree(dir.path(), &fixture.files);
    let db = Db::open(dir.path(), options()).unwrap();
    assert_eq!(fixture.judge(&db, Damage::Remove { file: 0 }), Ok(Outcome::Unharmed));
    let samples: usize = fixture.truth.values().map(BTreeMap::len).sum();
    assert_eq!(fixture.count(&db), Ok(samples));
    assert!(db.stats().blocks > 1 && db.stats().head_samples > 0, "{:?}", db.stats());
    let bytes: usize = files(&fixture).map(|(_, len)| len).sum();
    println!("{} files, {bytes} bytes, {samples} samples, {:?}", fixture.files.len(), db.stats());
}

#[test]
fn a_flipped_bit_is_never_a_wrong_value_nor_a_silent_loss() {
    let (flips, seed) = (number("CAIRN_FLIPS", 300), number("CAIRN_SEED", 1));
    println!("CAIRN_FLIPS={flips} CAIRN_SEED={seed}");
    let fixture = build();
    let mut random = Random(seed);
    let all: Vec<(usize, usize)> = files(&fixture).collect();
    let bytes: usize = all.iter().map(|(_, len)| len).sum();
    let cases: Vec<Damage> = (0..flips).map(|_| one_flip(&all, bytes, &mut random)).collect();
    run(&fixture, &cases);
}

/// Half of the flips by file, so that small ones have their share, half by byte.
fn one_flip(all: &[(usize, usize)], bytes: usize, random: &mut Random) -> Damage {
    let bit = random.below(8) as u8;
    if random.below(2) == 0 {
        let (file, len) = all[random.below(all.len() as u64) as usize];
        return Damage::Flip { file, byte: random.below(len as u64) as usize, bit };
    }
    let mut byte = random.below(bytes as u64) as usize;
    for &(file, len) in all {
        if byte < len {
            return Damage::Flip { file, byte, bit };
        }
        byte -= len;
    }
    unreachable!("the bytes are those of all files")
}

#[test]
fn a_file_cut_short_or_zeroed_to_its_end_is_no_silent_loss() {
    let every = number("CAIRN_EVERY", 0) as usize;
    let fixture = build();
    let mut cases = Vec::new();
    for (file, len) in files(&fixture) {
        let step = if every > 0 { every } else { len / 10 + 1 };
        cases.extend((0..len).step_by(step).map(|len| Damage::Cut { file, len }));
        cases.extend((0..len).step_by(step * 2).map(|from| Damage::ZeroTail { file, from }));
        cases.extend([1, 512, 4096].map(|bytes| Damage::Grow { file, bytes }));
    }
    run(&fixture, &cases);
}

#[test]
fn a_file_that_is_missing_or_there_twice_is_no_silent_loss() {
    let fixture = build();
    let kinds: Vec<String> = fixture.files.iter().map(|(name, _)| kind(name)).collect();
    let mut cases = Vec::new();
    for (file, _) in files(&fixture) {
        cases.push(Damage::Remove { file });
        cases.extend([CopyName::Backup, CopyName::Next].map(|name| Damage::CopyTo { file, name }));
        let others = (0..kinds.len()).filter(|&by| by != file && kinds[by] == kinds[file]);
        cases.extend(others.map(|by| Damage::Replace { file, by }));
    }
    run(&fixture, &cases);
}
