//! Whose turn it is on the cores: threads that evaluate queries run so many at a time, each for a short while.
//!
//! Here: taking a core, handing it on, and the clock of one's turn. Elsewhere: the threads (`pool`), the checks of an
//! evaluation, which are where a thread may be asked to wait (`promql::QueryControl`).
//!
//! Left to the kernel, a thread is stopped anywhere: also while it holds a lock that pushes need, and with many queries it
//! is long until it goes on. A check is never under a lock, so here it is stopped only where nobody waits for it.
//!
//! And left to the kernel, a thread that wakes up (a push whose bytes are on the disk now) may wait for the end of a slice
//! of several milliseconds, however low the priority of the thread that has it. So who evaluates offers its core at its
//! checks: that costs nothing where nobody wants it. Where somebody does, it costs a share of the core, so it is done
//! seldom, and often only while there is something in hand that must not wait ([`Hurry`]).
//!
//! Invariant: as many turns are taken as there are cores, at most, and nobody waits in line while one is free.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long a turn lasts if others wait: short beside what a person notices, long beside handing it on.
const TURN: Duration = Duration::from_millis(5);

/// How long other threads of the machine wait for this one at most, about.
const SLICE: Duration = Duration::from_millis(1);
/// The same while something is in a hurry.
const HURRIED_SLICE: Duration = Duration::from_micros(100);
/// How much is.
static HURRIES: AtomicUsize = AtomicUsize::new(0);

/// Something that queries are to make room for, of the whole process, as long as it lives: a push, say, whose threads sleep
/// and wake up again on its way to the disk.
#[derive(Debug)]
pub struct Hurry(());

impl Hurry {
    /// From now on.
    pub fn begin() -> Hurry {
        HURRIES.fetch_add(1, Ordering::Relaxed);
        Hurry(())
    }

    fn is_any() -> bool {
        HURRIES.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Hurry {
    fn drop(&mut self) {
        HURRIES.fetch_sub(1, Ordering::Relaxed);
    }
}

thread_local! {
    static YIELDED: Cell<Option<Instant>> = const { Cell::new(None) };
    static MINE: RefCell<Option<Turn>> = const { RefCell::new(None) };
}

/// The cores, and who waits for one.
#[derive(Debug)]
pub(super) struct Turns(Mutex<State>);

#[derive(Debug)]
struct State {
    free: usize,
    line: VecDeque<Arc<Place>>,
}

#[derive(Debug)]
struct Place {
    is_called: AtomicBool,
    thread: Thread,
}

/// A turn that a thread has.
struct Turn {
    turns: Arc<Turns>,
    since: Instant,
}

impl Turns {
    pub(super) fn new(cores: usize) -> Arc<Self> {
        Arc::new(Turns(Mutex::new(State { free: cores.max(1), line: VecDeque::new() })))
    }

    /// Runs `work` in a turn of this thread, which waits for one first.
    pub(super) fn during(self: &Arc<Self>, work: impl FnOnce()) {
        let place = self.lock().take_or_queue();
        wait(place);
        MINE.set(Some(Turn { turns: self.clone(), since: Instant::now() }));
        work();
        MINE.set(None);
        self.lock().give();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets others go first where they have waited for long enough: other queries, if this thread has a turn, and whoever else
/// wants its core. Not under a lock.
pub(super) fn pause(now: Instant) {
    hand_on(now);
    let slice = if Hurry::is_any() { HURRIED_SLICE } else { SLICE };
    if YIELDED.get().is_none_or(|last| now.saturating_duration_since(last) >= slice) {
        std::thread::yield_now();
        YIELDED.set(Some(Instant::now()));
    }
}

/// Hands this thread's turn on and waits for the next one, if it has one, and had it for long enough, and others wait.
fn hand_on(now: Instant) {
    MINE.with_borrow_mut(|mine| {
        let Some(Turn { turns, since }) = mine else { return };
        if now.saturating_duration_since(*since) < TURN {
            return;
        }
        let place = turns.lock().hand_on();
        wait(place);
        *since = Instant::now();
    });
}

/// Until it is called.
fn wait(place: Option<Arc<Place>>) {
    let Some(place) = place else { return };
    while !place.is_called.load(Ordering::Acquire) {
        std::thread::park();
    }
}

impl State {
    fn queue(&mut self) -> Arc<Place> {
        let place = Arc::new(Place { is_called: AtomicBool::new(false), thread: std::thread::current() });
        self.line.push_back(place.clone());
        place
    }

    /// A place in line if no core is free.
    fn take_or_queue(&mut self) -> Option<Arc<Place>> {
        if self.free == 0 {
            return Some(self.queue());
        }
        self.free -= 1;
        None
    }

    fn give(&mut self) {
        match self.line.pop_front() {
            Some(next) => {
                next.is_called.store(true, Ordering::Release);
                next.thread.unpark();
            }
            None => self.free += 1,
        }
    }

    /// A place at the line's end if there is a line.
    fn hand_on(&mut self) -> Option<Arc<Place>> {
        if self.line.is_empty() {
            return None;
        }
        self.give();
        Some(self.queue())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A thread that notes `name` whenever it goes on, so many times, pausing as if each turn were over.
    fn runner(
        turns: &Arc<Turns>,
        name: char,
        rounds: usize,
        noted: &mpsc::Sender<char>,
    ) -> std::thread::JoinHandle<()> {
        let (turns, noted) = (turns.clone(), noted.clone());
        std::thread::spawn(move || {
            turns.during(|| {
                for _ in 0..rounds {
                    noted.send(name).unwrap();
                    pause(Instant::now() + TURN);
                }
            });
        })
    }

    fn in_line(turns: &Turns, count: usize) {
        while turns.lock().line.len() < count {
            std::thread::yield_now();
        }
    }

    #[test]
    fn those_that_wait_get_their_turn_one_after_the_other() {
        let turns = Turns::new(1);
        let (noted, notes) = mpsc::channel();
        let mut threads = Vec::new();
        turns.during(|| {
            // This thread has the only core until all stand in line.
            for (at, name) in ['a', 'b', 'c'].into_iter().enumerate() {
                threads.push(runner(&turns, name, 3, &noted));
                in_line(&turns, at + 1);
            }
            pause(Instant::now());
            assert_eq!(turns.lock().line.len(), 3, "a turn that has just begun goes on");
        });
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert_eq!(notes.try_iter().collect::<String>(), "abcabcabc");
        assert_eq!(turns.lock().free, 1);
    }

    #[test]
    fn a_core_is_offered_now_and_then_and_often_in_a_hurry() {
        // Alone in its process: nextest runs each test in its own.
        let start = Instant::now();
        let offered_at = |after: Duration| {
            YIELDED.set(Some(start));
            pause(start + after);
            YIELDED.get() != Some(start)
        };
        assert!(offered_at(SLICE) && !offered_at(HURRIED_SLICE));
        let hurries = [Hurry::begin(), Hurry::begin()];
        assert!(offered_at(HURRIED_SLICE) && !offered_at(HURRIED_SLICE / 2));
        drop(hurries);
        assert!(!offered_at(HURRIED_SLICE));
    }

    #[test]
    fn who_has_no_turn_and_who_is_alone_go_on() {
        pause(Instant::now() + TURN);
        let turns = Turns::new(2);
        turns.during(|| {
            pause(Instant::now() + TURN);
            assert_eq!(turns.lock().free, 1);
            // Threads that help have no turn of their own.
            std::thread::scope(|scope| {
                scope.spawn(|| pause(Instant::now() + TURN));
            });
        });
        assert_eq!(turns.lock().free, 2);
    }
}
