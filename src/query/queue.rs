//! Who may run when: so many queries at a moment, the others in line.
//!
//! Here: a line for each tenant and the choice among them. Elsewhere: what a query does once it runs (the service).
//!
//! A free place goes to the tenant with the fewest queries running, among those to the one that was served longest ago,
//! and within a tenant to the query that came first: a tenant's own line is the only one that it makes longer. Where there
//! are several tenants, the last place is kept for one that has nothing running: long queries of one do not shut out others.
//!
//! Invariant: somebody waits only while there is no place that it may take.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;

use crate::config::TenantId;

/// The places and the lines before them.
#[derive(Debug)]
pub(super) struct FairQueue {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    places: Places,
    /// In the line of one tenant.
    waiting_max: usize,
    running: usize,
    waiting: usize,
    /// Counts those that were let in.
    turn: u64,
    next_id: u64,
    lines: BTreeMap<TenantId, Line>,
}

/// How many may run.
#[derive(Debug, Default, Clone, Copy)]
struct Places {
    running_max: usize,
    /// As many may run if their tenants have others running.
    crowd_max: usize,
}

#[derive(Debug, Default)]
struct Line {
    running: usize,
    waiting: VecDeque<Waiter>,
    /// The turn at which somebody of it was let in last.
    served: u64,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    call: oneshot::Sender<Permit>,
}

/// A place among those that run; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    queue: Arc<FairQueue>,
    tenant: TenantId,
}

/// Why a query may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The tenant's line is full.
    Full,
    /// Nobody called for too long.
    WaitedTooLong,
}

/// A place in a line; given up when it is dropped.
struct Place<'q> {
    queue: &'q FairQueue,
    tenant: &'q TenantId,
    id: u64,
}

impl FairQueue {
    /// `keeps_place`: for a tenant that has nothing running; of a single place none is kept.
    pub(super) fn new(running_max: usize, waiting_max: usize, keeps_place: bool) -> Self {
        let places = Places::new(running_max, keeps_place);
        FairQueue { state: Mutex::new(State { places, waiting_max, ..State::default() }) }
    }

    /// The same with other numbers. Who has a place or stands in a line keeps it; new places are given away at once.
    pub(super) fn set_limits(self: &Arc<Self>, running_max: usize, waiting_max: usize, keeps_place: bool) {
        let mut called = Vec::new();
        {
            let mut state = self.lock();
            state.places = Places::new(running_max, keeps_place);
            state.waiting_max = waiting_max;
            while let Some(next) = state.call_next() {
                called.push(next);
            }
        }
        called.into_iter().for_each(|next| self.call(next));
    }

    /// Waits for a place, but no longer than `wait_max`. Who stops waiting leaves the line.
    pub(super) async fn enter(self: &Arc<Self>, tenant: &TenantId, wait_max: Duration) -> Result<Permit, Refused> {
        let (id, called) = {
            let mut state = self.lock();
            let has_running = state.lines.get(tenant).is_some_and(|line| line.running > 0);
            if state.running < state.places.open_to(has_running) {
                state.let_in(tenant);
                return Ok(Permit { queue: self.clone(), tenant: tenant.clone() });
            }
            let (id, waiting_max) = (state.next_id, state.waiting_max);
            let line = state.lines.entry(tenant.clone()).or_default();
            if line.waiting.len() >= waiting_max {
                state.forget_idle(tenant);
                return Err(Refused::Full);
            }
            let (call, called) = oneshot::channel();
            line.waiting.push_back(Waiter { id, call });
            state.next_id += 1;
            state.waiting += 1;
            (id, called)
        };
        let _place = Place { queue: self, tenant, id };
        // A permit that comes too late is dropped with the channel, and so given back.
        match tokio::time::timeout(wait_max, called).await {
            Ok(Ok(permit)) => Ok(permit),
            _ => Err(Refused::WaitedTooLong),
        }
    }

    /// How many run, and how many wait.
    pub(super) fn counts(&self) -> (usize, usize) {
        let state = self.lock();
        (state.running, state.waiting)
    }

    /// How many may run.
    pub(super) fn running_max(&self) -> usize {
        self.lock().places.running_max
    }

    /// Gives a place to one that was let in. Not under the lock: if nobody listens any more, the permit is dropped here,
    /// and calls the next one.
    fn call(self: &Arc<Self>, (tenant, waiter): (TenantId, Waiter)) {
        let _ = waiter.call.send(Permit { queue: self.clone(), tenant });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    fn new(running_max: usize, keeps_place: bool) -> Self {
        let running_max = running_max.max(1);
        let crowd_max = if keeps_place { (running_max - 1).max(1) } else { running_max };
        Places { running_max, crowd_max }
    }

    /// Places for a tenant.
    fn open_to(self, has_running: bool) -> usize {
        if has_running { self.crowd_max } else { self.running_max }
    }
}

impl State {
    fn let_in(&mut self, tenant: &TenantId) {
        self.running += 1;
        self.turn += 1;
        let line = self.lines.entry(tenant.clone()).or_default();
        line.running += 1;
        line.served = self.turn;
    }

    /// The one whose turn it is, let in already.
    fn call_next(&mut self) -> Option<(TenantId, Waiter)> {
        let (running, places) = (self.running, self.places);
        let may_enter = |line: &Line| !line.waiting.is_empty() && running < places.open_to(line.running > 0);
        let waiting = self.lines.iter_mut().filter(|(_, line)| may_enter(line));
        let (tenant, line) = waiting.min_by_key(|(_, line)| (line.running, line.served))?;
        let (tenant, waiter) = (tenant.clone(), line.waiting.pop_front()?);
        self.waiting -= 1;
        self.let_in(&tenant);
        Some((tenant, waiter))
    }

    fn forget_idle(&mut self, tenant: &TenantId) {
        if self.lines.get(tenant).is_some_and(|line| line.running == 0 && line.waiting.is_empty()) {
            self.lines.remove(tenant);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let next = {
            let mut state = self.queue.lock();
            state.running -= 1;
            if let Some(line) = state.lines.get_mut(&self.tenant) {
                line.running -= 1;
            }
            let next = state.call_next();
            state.forget_idle(&self.tenant);
            next
        };
        if let Some(next) = next {
            self.queue.call(next);
        }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        let Some(line) = state.lines.get_mut(self.tenant) else { return };
        let before = line.waiting.len();
        line.waiting.retain(|waiter| waiter.id != self.id);
        let gone = before - line.waiting.len();
        state.waiting -= gone;
        state.forget_idle(self.tenant);
    }
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn tenant(name: &str) -> TenantId {
        TenantId::parse(name).unwrap()
    }

    type Entering<'q> = Pin<Box<dyn Future<Output = Result<Permit, Refused>> + 'q>>;

    fn poll(future: &mut Entering<'_>) -> Poll<Result<Permit, Refused>> {
        future.as_mut().poll(&mut Context::from_waker(Waker::noop()))
    }

    #[tokio::test]
    async fn a_free_place_goes_to_who_has_least() {
        let queue = Arc::new(FairQueue::new(2, 100, false));
        let (loud, quiet) = (tenant("loud"), tenant("quiet"));
        let mut running = vec![queue.enter(&loud, LONG).await.unwrap(), queue.enter(&loud, LONG).await.unwrap()];
        let mut crowd: Vec<Entering<'_>> =
            (0..50).map(|_| Box::pin(queue.enter(&loud, LONG)) as Entering<'_>).collect();
        assert!(crowd.iter_mut().all(|one| poll(one).is_pending()));
        let mut single: Entering<'_> = Box::pin(queue.enter(&quiet, LONG));
        assert!(poll(&mut single).is_pending());
        assert_eq!(queue.counts(), (2, 51));
        running.pop();
        // Behind fifty others, and yet first.
        let Poll::Ready(Ok(permit)) = poll(&mut single) else { panic!("it was its turn") };
        assert!(crowd.iter_mut().all(|one| poll(one).is_pending()));
        drop(permit);
        let Poll::Ready(Ok(_first)) = poll(&mut crowd[0]) else { panic!("first come, first served") };
        assert!(poll(&mut crowd[1]).is_pending());
    }

    #[tokio::test]
    async fn long_queries_of_one_do_not_shut_out_others() {
        let queue = Arc::new(FairQueue::new(3, 100, true));
        let (loud, quiet) = (tenant("loud"), tenant("quiet"));
        let mut running = vec![queue.enter(&loud, LONG).await.unwrap(), queue.enter(&loud, LONG).await.unwrap()];
        let mut third: Entering<'_> = Box::pin(queue.enter(&loud, LONG));
        assert!(poll(&mut third).is_pending());
        let other = queue.enter(&quiet, Duration::ZERO).await.unwrap();
        let mut fourth: Entering<'_> = Box::pin(queue.enter(&quiet, LONG));
        assert!(poll(&mut fourth).is_pending());
        // The place that is kept stays free, however many wait.
        drop(other);
        assert!(poll(&mut third).is_pending());
        let Poll::Ready(Ok(_permit)) = poll(&mut fourth) else { panic!("quiet has nothing running") };
        running.pop();
        assert!(poll(&mut third).is_pending(), "two run already");
        running.pop();
        assert!(poll(&mut third).is_ready());
    }

    #[tokio::test]
    async fn who_leaves_the_line_costs_nothing() {
        let queue = Arc::new(FairQueue::new(1, 2, false));
        let a = tenant("a");
        let running = queue.enter(&a, LONG).await.unwrap();
        let (mut first, mut second): (Entering<'_>, Entering<'_>) =
            (Box::pin(queue.enter(&a, LONG)), Box::pin(queue.enter(&a, LONG)));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        assert_eq!(queue.enter(&a, LONG).await.err(), Some(Refused::Full));
        drop(first);
        assert_eq!(queue.counts(), (1, 1));
        assert_eq!(queue.enter(&a, Duration::ZERO).await.err(), Some(Refused::WaitedTooLong));
        drop(running);
        // Called, but gone before it heard of it: the place is free again.
        drop(second);
        assert_eq!(queue.counts(), (0, 0));
        assert!(queue.lock().lines.is_empty());
    }

    #[tokio::test]
    async fn other_numbers_are_in_force_at_once() {
        let queue = Arc::new(FairQueue::new(1, 2, false));
        let a = tenant("a");
        let mut running = vec![queue.enter(&a, LONG).await.unwrap()];
        let (mut first, mut second): (Entering<'_>, Entering<'_>) =
            (Box::pin(queue.enter(&a, LONG)), Box::pin(queue.enter(&a, LONG)));
        assert!(poll(&mut first).is_pending() && poll(&mut second).is_pending());
        queue.set_limits(2, 1, false);
        let Poll::Ready(Ok(permit)) = poll(&mut first) else { panic!("there are two places now") };
        running.push(permit);
        assert!(poll(&mut second).is_pending());
        assert_eq!(queue.enter(&a, LONG).await.err(), Some(Refused::Full), "one may wait, and one does");
        queue.set_limits(1, 5, false);
        running.pop();
        assert!(poll(&mut second).is_pending(), "one runs still, as many as may");
        running.pop();
        assert!(poll(&mut second).is_ready());
        assert_eq!(queue.running_max(), 1);
    }

    #[tokio::test]
    async fn lines_are_bounded_for_each_tenant() {
        let queue = Arc::new(FairQueue::new(1, 0, true));
        let permit = queue.enter(&tenant("a"), LONG).await.unwrap();
        assert_eq!(queue.enter(&tenant("b"), LONG).await.err(), Some(Refused::Full));
        drop(permit);
        assert!(queue.enter(&tenant("b"), LONG).await.is_ok());
    }
}
