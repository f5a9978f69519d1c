//! Threads of a lower priority than all others: those that evaluate queries, `cairn-query-1` and so on, and those that
//! write the answers, `cairn-answer-1` and so on.
//!
//! Here: starting them when there is something to do, ending those that have nothing to do for a while, joining them.
//! Elsewhere: which query may run (`queue`), whose turn it is on the cores (`turns`), more threads for one query
//! (`promql`), which inherit the priority of these.
//!
//! Pushes, scrapes and rules go first, however much is asked. A thread cannot raise its own priority again, hence threads
//! of their own.
//!
//! Invariant: a job waits only while as many threads as there may be are busy; after [`NiceThreads::stop`] none of them runs.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::oneshot;

use super::turns::Turns;

/// How much nicer they are than the others. Where both want all the kernel gives this one a tenth.
const NICENESS: i32 = 10;
/// A thread that has had nothing to do for so long ends.
const IDLE_MAX: Duration = Duration::from_secs(10);

type Job = Box<dyn FnOnce() + Send>;

/// The threads and the jobs that wait for one.
#[derive(Debug)]
pub struct NiceThreads(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    turns: Arc<Turns>,
}

#[derive(Default)]
struct State {
    /// No more than there may be queries, whose permits they hold, or answers that are being sent.
    jobs: VecDeque<Job>,
    /// Those that are not known to have ended.
    threads: Vec<JoinHandle<()>>,
    threads_max: usize,
    /// The threads' names begin so.
    name: &'static str,
    /// How many were ever started: the number of the newest.
    started: u64,
    /// Threads that will look for a job again.
    alive: usize,
    /// Those of them that wait for one.
    idle: usize,
    is_stopped: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("jobs", &self.jobs.len()).field("alive", &self.alive).finish()
    }
}

/// The work ended in a panic, or never began.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("it ended early; the log says more")]
pub struct Ended;

impl NiceThreads {
    /// No more than so many threads, whose names begin with `name`.
    pub(super) fn new(name: &'static str, threads_max: usize) -> Self {
        Self::on_cores(name, threads_max, super::cores())
    }

    fn on_cores(name: &'static str, threads_max: usize, cores: usize) -> Self {
        let state = State { threads_max: threads_max.max(1), name, ..State::default() };
        NiceThreads(Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), turns: Turns::new(cores) }))
    }

    /// From now on so many; those that are too many end when they have nothing to do.
    pub(super) fn set_max(&self, threads_max: usize) {
        self.0.lock().threads_max = threads_max.max(1);
    }

    /// Runs `work` on one of the threads. It runs to its end even if nobody waits for it any more.
    pub fn run<T, F>(&self, work: F) -> impl Future<Output = Result<T, Ended>> + Send + use<T, F>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        self.add(Box::new(move || {
            // Nobody waits any more, perhaps.
            let _ = done.send(work());
        }));
        // A job that panics, or is dropped, drops its end of the channel.
        async { result.await.map_err(|_| Ended) }
    }

    fn add(&self, job: Job) {
        let mut state = self.0.lock();
        if state.is_stopped {
            return;
        }
        state.jobs.push_back(job);
        if state.idle < state.jobs.len() && state.alive < state.threads_max {
            self.start(&mut state);
        }
        drop(state);
        self.0.changed.notify_one();
    }

    fn start(&self, state: &mut State) {
        state.threads.retain(|thread| !thread.is_finished());
        state.started += 1;
        let shared = self.0.clone();
        let thread = std::thread::Builder::new().name(format!("{}-{}", state.name, state.started));
        match thread.spawn(move || shared.work()) {
            Ok(thread) => {
                state.alive += 1;
                state.threads.push(thread);
            }
            // Others take the job when they are done with theirs; without any it fails.
            Err(error) if state.alive == 0 => {
                tracing::error!(component = "query", %error, "no thread can be started; what it was for fails");
                state.jobs.pop_back();
            }
            Err(_) => {}
        }
    }

    /// Ends all threads when their jobs are done, and waits for that. Blocks. Jobs that wait are dropped.
    pub(super) fn stop(&self) {
        let mut state = self.0.lock();
        state.is_stopped = true;
        let (jobs, threads) = (std::mem::take(&mut state.jobs), std::mem::take(&mut state.threads));
        drop(state);
        drop(jobs);
        self.0.changed.notify_all();
        for thread in threads {
            // Panics of jobs are caught.
            let _ = thread.join();
        }
    }
}

impl Drop for NiceThreads {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.is_stopped = true;
        drop(state);
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        // On Linux it is this thread's alone. Where it does not work queries run as well, and pushes wait longer.
        if let Err(error) = rustix::process::nice(NICENESS) {
            tracing::debug!(component = "query", %error, "the priority of a thread cannot be lowered");
        }
        while let Some(job) = self.next() {
            self.turns.during(|| {
                // A panic is the asker's loss, and the hook has logged it.
                let _ = catch_unwind(AssertUnwindSafe(job));
            });
        }
    }

    /// The next job; `None` if this thread is to end.
    fn next(&self) -> Option<Job> {
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                return Some(job);
            }
            if state.is_stopped {
                break;
            }
            state.idle += 1;
            let (woken, timed_out) = self.changed.wait_timeout(state, IDLE_MAX).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if timed_out.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        // Under the same lock: who adds a job now knows that this one does not take it.
        state.alive -= 1;
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn priority() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn jobs_run_on_named_threads_of_lower_priority() {
        let (threads, own) = (NiceThreads::new("cairn-query", 2), priority());
        let found = threads.run(|| (std::thread::current().name().map(str::to_owned), priority())).await.unwrap();
        assert_eq!(found, (Some("cairn-query-1".to_owned()), (own + NICENESS).min(19)));
        let helper = threads.run(|| std::thread::spawn(priority).join().unwrap()).await.unwrap();
        assert_eq!(helper, (own + NICENESS).min(19), "threads that a query starts are as nice");
        assert_eq!(priority(), own);
    }

    #[tokio::test]
    async fn there_are_no_more_threads_than_asked_for_and_no_fewer() {
        let threads = NiceThreads::on_cores("cairn-query", 2, 3);
        let (both, third) = (Arc::new(std::sync::Barrier::new(2)), Arc::new(Mutex::new(false)));
        let meet = || {
            let (both, third) = (both.clone(), third.clone());
            threads.run(move || {
                both.wait();
                let has_run = *third.lock().unwrap();
                both.wait();
                has_run
            })
        };
        let after = async {
            // Waits for one of the two.
            let third = third.clone();
            threads.run(move || *third.lock().unwrap() = true).await
        };
        let (a, b, c) = tokio::join!(meet(), meet(), after);
        assert_eq!((a, b, c), (Ok(false), Ok(false), Ok(())));
        assert_eq!(threads.0.lock().started, 2);
        threads.set_max(3);
        let three = Arc::new(std::sync::Barrier::new(3));
        let meet = || {
            threads.run({
                let three = three.clone();
                move || three.wait().is_leader()
            })
        };
        let (a, b, c) = tokio::join!(meet(), meet(), meet());
        assert_eq!([a, b, c].into_iter().filter(|leads| *leads == Ok(true)).count(), 1);
        assert_eq!(threads.0.lock().started, 3);
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_query_only() {
        let threads = NiceThreads::new("cairn-query", 1);
        let failed: Result<(), Ended> = threads.run(|| panic!("on purpose")).await;
        assert_eq!((failed, threads.run(|| 7).await), (Err(Ended), Ok(7)));
        assert_eq!(threads.0.lock().started, 1);
    }

    #[tokio::test]
    async fn after_the_stop_nothing_runs() {
        let threads = NiceThreads::new("cairn-query", 2);
        let alive = Arc::new(());
        let held = alive.clone();
        threads.run(move || drop(held)).await.unwrap();
        threads.stop();
        assert_eq!(threads.0.lock().alive, 0);
        assert_eq!(threads.run(|| ()).await, Err(Ended));
        assert_eq!(Arc::strong_count(&threads.0), 1, "no thread holds it");
    }
}
