//! Verifying a database that nobody has open: everything is read, and what is lost is named.
//!
//! Here: [`verify`], the walk through a block's series, writing a block anew without its damaged pages.
//! Elsewhere: noticing damage in log and head, which opening does anyway (`wal::replay`, `blocks`), and in what it passes
//! over (`snapshot::check`); the command (server).
//!
//! Invariant: without [`VerifyMode::Repair`] nothing on the disk changes. With it nothing is removed: what was damaged is
//! in `quarantine/` afterwards, and what could be read of it is where it was.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crate::block::{Block, ChunkRef, SeriesSamples};
use crate::chunk::ChunkBytes;
use crate::compact::Stop;
use crate::db::Db;
use crate::fs::dry::DryFs;
use crate::fs::{Fs, RealFs};
use crate::head;
use crate::head::series::Sealed;
use crate::index::{Damage, SeriesRef};
use crate::snapshot::check::{Fault, Places, passed_over};
use crate::tombstone::TOMBSTONES_FILE;
use crate::{Labels, OpenError, Options, ReadError, TimeRange};

/// Series of one block that are named one by one; the rest is counted.
const NAMED_MAX: usize = 20;
/// Series of the head that are read under one lock.
const PORTION: usize = 512;
const MINUTE_MS: i64 = 60_000;

/// Whether to change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VerifyMode {
    /// Read only.
    Report,
    /// Set damaged pieces aside, so that the rest opens clean.
    Repair,
}

/// What [`verify`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Blocks that are served.
    pub blocks: u64,
    /// Series in blocks, each counted in every block that has it, and in the head.
    pub series: u64,
    /// Samples that were read.
    pub samples: u64,
    /// Damaged pieces: files, records, pages.
    pub damaged: u64,
    /// Damaged pieces that were set aside.
    pub repaired: u64,
}

impl Verified {
    /// Whether everything could be read.
    pub fn is_clean(&self) -> bool {
        self.damaged == 0
    }
}

/// Reads everything in the database `dir` and says to `report`, a line at a time, what is damaged and which series and
/// minutes that costs. Needs the memory of an open database; blocks are read one series at a time.
///
/// Refuses ([`OpenError::Locked`]) a directory that a server has open.
pub fn verify(dir: &Path, mode: VerifyMode, report: &mut dyn FnMut(&str)) -> Result<Verified, OpenError> {
    RealFs.list(dir).map_err(|source| OpenError::Io { path: dir.to_owned(), source })?;
    let fs: Arc<dyn Fs> = if mode == VerifyMode::Repair { Arc::new(RealFs) } else { Arc::new(DryFs { locks: true }) };
    let db = Db::open_with(dir, Options::default(), fs)?;
    let bad_chunks = Places::new();
    let mut run = Run { db: &db, mode, report, out: Verified::default(), has_set_aside: false, bad_chunks };
    run.opened();
    for block in db.blocks.list().iter() {
        run.block(block)?;
    }
    run.head();
    run.passed_over()?;
    let (out, has_set_aside) = (run.out, run.has_set_aside);
    if mode == VerifyMode::Repair && out.damaged > 0 {
        repair_head(db, has_set_aside, report)?;
    }
    Ok(out)
}

/// Writes the head anew, so that damage in it is met no more. If blocks were set aside, opening once more brings back
/// what log and snapshots of the head still have of them.
fn repair_head(db: Db, has_set_aside: bool, report: &mut dyn FnMut(&str)) -> Result<(), OpenError> {
    let dir = db.dir().to_owned();
    let db = if has_set_aside {
        drop(db);
        let db = Db::open_with(&dir, Options::default(), Arc::new(RealFs))?;
        db.damage.notes_from(0).iter().for_each(|note| report(note));
        db
    } else {
        db
    };
    db.settle()?;
    db.close().map_err(|e| OpenError::Io { path: dir, source: std::io::Error::other(e) })
}

struct Run<'a> {
    db: &'a Db,
    mode: VerifyMode,
    report: &'a mut dyn FnMut(&str),
    out: Verified,
    has_set_aside: bool,
    /// Of the head.
    bad_chunks: Places,
}

/// What the damage of one block costs: for each series the ranges of its chunks that cannot be read.
#[derive(Default)]
struct Losses {
    pieces: u64,
    series: BTreeMap<Labels, Vec<TimeRange>>,
    /// Series on damaged pages of start timestamps.
    starts: u64,
    reasons: Vec<String>,
}

impl Losses {
    /// A damaged piece, if it was not met before.
    fn note(&mut self, reason: &str) {
        if self.reasons.iter().all(|known| known != reason) {
            self.pieces += 1;
            self.reasons.push(reason.to_owned());
        }
    }
}

impl Run<'_> {
    fn say(&mut self, text: &str) {
        (self.report)(text);
    }

    /// What opening found: the log, snapshots of the head, blocks that are none any more.
    fn opened(&mut self) {
        let notes = self.db.damage.notes_from(0);
        let count = self.db.damage.count();
        for note in &notes {
            self.say(note);
        }
        if count > notes.len() as u64 {
            self.say(&format!("and {} more damaged pieces", count - notes.len() as u64));
        }
        self.out.damaged += count;
        if self.mode == VerifyMode::Repair {
            // Opening sets them aside, and the head is written anew at the end.
            self.out.repaired += count;
        }
    }

    fn head(&mut self) {
        let refs = head::select::select(&self.db.head, &[]);
        self.out.series += refs.len() as u64;
        for portion in refs.chunks(PORTION) {
            let found: Vec<_> = {
                let head = self.db.head();
                let of = |&series| Some((head.labels(series)?, head.snapshot(series, TimeRange::ALL)?));
                portion.iter().filter_map(of).collect()
            };
            for (labels, series) in found {
                series.chunks.iter().for_each(|chunk| self.head_chunk(&labels, chunk));
            }
        }
    }

    fn head_chunk(&mut self, labels: &Labels, chunk: &Sealed) {
        if chunk.bytes.is_whole() {
            self.out.samples += u64::from(chunk.count);
            return;
        }
        if let ChunkBytes::Mapped { file, offset, .. } = &chunk.bytes {
            self.bad_chunks.insert((file.number, *offset));
        }
        self.out.damaged += 1;
        // The head is written anew at the end.
        self.out.repaired += u64::from(self.mode == VerifyMode::Repair);
        self.say(&chunk.bytes.error().to_string());
        self.say(&format!("  lost: {labels} from {} to {}", minute(chunk.min_t), minute(chunk.max_t)));
    }

    /// What a start does not read while the newest snapshot is whole: the copy to fall back to, which one would miss only
    /// when it is needed.
    fn passed_over(&mut self) -> Result<(), OpenError> {
        let (faults, is_newest_whole) = {
            let state = self.db.maintaining();
            passed_over(self.db, &state.snapshots, &self.bad_chunks)?
        };
        let cost = if is_newest_whole && self.bad_chunks.is_empty() {
            "nothing is lost, as the newest snapshot is whole"
        } else {
            "it could have made up for what is damaged of the newest snapshot"
        };
        for fault in faults {
            self.out.damaged += 1;
            self.say(&format!("{}: {}; {cost}", fault.path.display(), fault.what));
            if self.mode == VerifyMode::Repair {
                self.keep(&fault);
                // Both snapshots are written anew at the end, and the log before them goes.
                self.out.repaired += 1;
            }
        }
        Ok(())
    }

    /// For a person to look at, as opening does with what it passes over.
    fn keep(&self, fault: &Fault) {
        let name = fault.path.file_name().and_then(|n| n.to_str()).unwrap_or("piece");
        match fault.part {
            Some((offset, len)) => {
                let bytes = self.db.fs.read(&fault.path).unwrap_or_default();
                let part = bytes.get(offset..offset.saturating_add(len)).unwrap_or_default();
                self.db.damage.keep_copy(&format!("{name}-at-{offset}"), part);
            }
            None if fault.is_snapshot => drop(self.db.damage.move_here(&fault.path, name)),
            None => self.db.damage.keep_file(&fault.path, name),
        }
    }

    fn block(&mut self, block: &Arc<Block>) -> Result<(), OpenError> {
        let name = block.dir().file_name().and_then(|n| n.to_str()).unwrap_or_default().to_owned();
        let range = block.meta().range;
        let (index, pages) = block.verify();
        if let Some(what) = index {
            self.out.damaged += 1;
            let lost = format!(
                "{}; with it {} samples of {} series between {} and {} are lost",
                what.0,
                block.meta().samples,
                block.meta().series,
                minute(range.min_t),
                minute(range.max_t)
            );
            self.say(&lost);
            return self.set_aside(block, &name);
        }
        self.out.blocks += 1;
        let losses = self.read(block, &pages);
        if losses.pieces > 0 {
            self.out.damaged += losses.pieces;
            self.say_losses(&losses);
            if self.mode == VerifyMode::Repair {
                self.rewrite(block, &name)?;
                self.out.repaired += losses.pieces;
            }
        } else if self.mode == VerifyMode::Repair && block.tombstone_damage().is_some() {
            // Counted when it was opened.
            let path = block.dir().join(TOMBSTONES_FILE);
            self.db.damage.move_here(&path, &format!("{name}-{TOMBSTONES_FILE}"));
            self.say(&format!("{}: set aside; what it deleted is there again", path.display()));
        } else if self.mode == VerifyMode::Repair && block.starts_damage().is_some() {
            // Counted when it was opened. Without its start timestamps.
            self.rewrite(block, &name)?;
        }
        Ok(())
    }

    /// Reads every chunk of a block whose index is whole.
    fn read(&mut self, block: &Block, pages: &[ReadError]) -> Losses {
        let reasons: Vec<String> = pages.iter().map(ReadError::to_string).collect();
        let mut losses = Losses { pieces: pages.len() as u64, reasons, ..Losses::default() };
        let mut samples = SeriesSamples::default();
        for series in series_of(block) {
            let (labels, chunks) = match entry(block, series) {
                Ok(found) => found,
                Err(what) => {
                    losses.note(&what.0);
                    continue;
                }
            };
            self.out.series += 1;
            if let Err(e) = block.starts_of(series) {
                losses.note(&e.to_string());
                losses.starts += 1;
            }
            for chunk in chunks {
                samples.floats.clear();
                samples.blobs.clear();
                for e in block.read_series(std::slice::from_ref(&chunk), &mut samples) {
                    losses.note(&e.to_string());
                    let range = TimeRange::new(chunk.min_t, chunk.max_t + 1);
                    losses.series.entry(labels.clone()).or_default().push(range);
                }
                self.out.samples += samples.len() as u64;
            }
        }
        losses
    }

    fn say_losses(&mut self, losses: &Losses) {
        for reason in &losses.reasons {
            self.say(reason);
        }
        if losses.starts > 0 {
            self.say(&format!("  lost: start timestamps of up to {} series, none of their samples", losses.starts));
        }
        for (labels, ranges) in losses.series.iter().take(NAMED_MAX) {
            let spans: Vec<String> =
                ranges.iter().map(|r| format!("{} to {}", minute(r.min_t), minute(r.max_t - 1))).collect();
            self.say(&format!("  lost: {labels} from {}", spans.join(", from ")));
        }
        if losses.series.len() > NAMED_MAX {
            self.say(&format!("  lost: parts of {} more series", losses.series.len() - NAMED_MAX));
        }
    }

    fn set_aside(&mut self, block: &Block, name: &str) -> Result<(), OpenError> {
        if self.mode == VerifyMode::Repair {
            self.db.blocks.replace(&[block.meta().id], Vec::new());
            if self.db.damage.move_here(block.dir(), name) {
                self.has_set_aside = true;
                self.out.repaired += 1;
                self.say(&format!("  {name} is in quarantine/ now"));
            }
        }
        Ok(())
    }

    /// Writes what can be read of a block as another one in its place, and sets the old one aside.
    fn rewrite(&mut self, block: &Arc<Block>, name: &str) -> Result<(), OpenError> {
        let new = match self.db.salvage(block) {
            Ok(new) => new,
            Err(Stop::Io(e)) => return Err(e.into()),
            Err(Stop::Damage | Stop::Closing) => None,
        };
        self.set_aside(block, name)?;
        match new {
            Some(new) => {
                self.say(&format!("  the rest is in {} now", new.dir().display()));
                self.db.blocks.replace(&[], vec![new]);
            }
            None => self.say("  nothing else was in it"),
        }
        // It was counted among those that are served, and set aside only after its rest was saved.
        self.out.repaired = self.out.repaired.saturating_sub(1);
        Ok(())
    }
}

/// All series of a block.
fn series_of(block: &Block) -> std::ops::Range<SeriesRef> {
    0..SeriesRef::try_from(block.meta().series).unwrap_or(SeriesRef::MAX)
}

fn entry(block: &Block, series: SeriesRef) -> Result<(Labels, Vec<ChunkRef>), Damage> {
    let (pairs, chunks) = block.series_at(series)?;
    Ok((block.labels(&pairs)?, chunks))
}

/// `2023-11-14 22:13` (UTC).
pub(crate) fn minute(t: i64) -> String {
    let minutes = t.div_euclid(MINUTE_MS);
    let (days, of_day) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let (year, month, day) = civil(days);
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02} UTC", of_day / 60, of_day % 60)
}

/// The calendar's day for days since 1970-01-01: eras of 400 years, years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests;
