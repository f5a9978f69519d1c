//! The query service: everything around the evaluation of a query.
//!
//! Here: admission and its fair queue (`queue`), the threads that evaluate and that write answers (`pool`, `turns`), the list of running queries (`active`),
//! what was asked (`log`), answers that are known already (`cache`), and the way of a query from its arrival to its end,
//! here on this page.
//! Elsewhere: evaluation (`promql`), parameters and JSON (`api`), budgets of one evaluation (`promql::EngineOptions`).
//!
//! Invariant: a query runs on a thread of the pool, behind a permit, and ends soon after nobody waits for it any more.

mod active;
mod cache;
mod log;
mod pool;
mod queue;
mod stats;
mod turns;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use active::ActiveQueries;
pub use active::ActiveQuery;
use cache::{Key, ResultCache, Wanted, look_back};
use log::QueryLog;
pub use log::{LogSettings, SlowQuery};
pub use pool::{Ended, NiceThreads};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::ConstGauge;
use queue::{FairQueue, Refused};
pub use stats::stats_json;
use storage::{Matcher, TimeRange};
pub use turns::Hurry;

use crate::clock::Clock;
use crate::config::{Limits, TenantId, format_duration};
use crate::promql::{
    Engine, EngineOptions, QueryControl, QueryError, QueryResult, Source, SourceError, SourceSeries, Used,
};
use crate::telemetry::{Registry, put};
use crate::tenant::{Tenant, Tenants};

/// What somebody wants to know.
#[derive(Debug, Clone)]
pub struct Ask {
    /// PromQL.
    pub query: String,
    /// For when.
    pub when: When,
    /// A shorter time limit than the server's.
    pub timeout: Option<Duration>,
    /// Another lookback than the server's.
    pub lookback: Option<Duration>,
    /// Whether samples are counted for each step.
    pub counts_steps: bool,
    /// Whether a part of the answer may come from the cache, and go there.
    pub uses_cache: bool,
    /// Who asks.
    pub origin: Origin,
}

/// The times of a query, milliseconds since the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At one time.
    Instant(i64),
    /// At `start`, `start + step`, … up to `end`.
    Range { start: i64, end: i64, step: i64 },
}

/// Where a query came from.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// The client's address.
    pub client: String,
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The route.
    pub path: &'static str,
    /// The group whose rule asks; nothing else is known then.
    pub rule_group: Option<RuleGroup>,
}

/// A group of rules, as the log names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuleGroup {
    /// Its file.
    pub file: String,
    /// Its name.
    pub name: String,
}

impl Ask {
    /// `query` at `t`, all else as usual.
    pub fn instant(query: &str, t: i64) -> Self {
        Ask {
            query: query.to_owned(),
            when: When::Instant(t),
            timeout: None,
            lookback: None,
            counts_steps: false,
            uses_cache: true,
            origin: Origin::default(),
        }
    }
}

/// An answer, and what it took.
#[derive(Debug, Clone)]
pub struct Answered {
    /// The answer.
    pub result: QueryResult,
    /// What it took.
    pub cost: Cost,
}

/// What a query took.
#[derive(Debug, Clone, Default)]
pub struct Cost {
    /// Waiting for its turn.
    pub queued: Duration,
    /// From its turn to its end.
    pub ran: Duration,
    /// Samples, series, phases.
    pub used: Used,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AskError {
    /// 503, at once: too many of the tenant wait already.
    #[error("{0}")]
    Full(String),
    /// 503: it was not its turn for too long, or it ran for too long.
    #[error("{0}")]
    Timeout(String),
    /// The engine's words.
    #[error(transparent)]
    Query(QueryError),
    /// A bug.
    #[error("{0}")]
    Internal(String),
}

/// An answer that is being sent.
#[derive(Debug)]
pub struct Sending {
    all: Arc<AtomicU64>,
    bytes: u64,
    threads: Arc<NiceThreads>,
}

impl Sending {
    /// Where the answer is to be written: off the async threads, and of the same low priority as queries.
    pub fn threads(&self) -> Arc<NiceThreads> {
        self.threads.clone()
    }

    /// One that counts nowhere.
    #[cfg(test)]
    pub fn of_nothing() -> Self {
        Sending { all: Arc::default(), bytes: 0, threads: Arc::new(NiceThreads::new("cairn-answer", 1)) }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// What a reload replaces as a whole.
#[derive(Debug, Clone, Default)]
pub struct QuerySettings {
    /// Of the engine, some of the limits among them.
    pub engine: EngineOptions,
    /// The limits on queries.
    pub limits: Limits,
    /// Whether there may be several tenants.
    pub has_tenants: bool,
}

/// The settings in force; a query that has begun keeps those it began with.
#[derive(Debug)]
struct InForce {
    engine: Engine,
    limits: Limits,
}

/// The service. One for all tenants.
#[derive(Debug)]
pub struct QueryService {
    in_force: RwLock<Arc<InForce>>,
    tenants: Arc<Tenants>,
    clock: Clock,
    queue: Arc<FairQueue>,
    threads: NiceThreads,
    /// Write answers. No more than there are cores: none of them waits for a client.
    answering: Arc<NiceThreads>,
    active: Arc<ActiveQueries>,
    log: QueryLog,
    cache: ResultCache,
    /// Bytes of answers that are being sent.
    sending: Arc<AtomicU64>,
    refused: Counter,
}

impl QueryService {
    /// A service over these tenants.
    pub fn new(settings: QuerySettings, tenants: Arc<Tenants>, clock: Clock, registry: &Registry) -> Self {
        let QuerySettings { engine, limits, has_tenants } = settings;
        let queue = FairQueue::new(limits.query_concurrency_max, limits.query_queue_max, has_tenants);
        let queue = Arc::new(queue);
        let refused = Counter::default();
        registry.with(|r| {
            let help = "Queries that were sent back because too many waited, or after waiting for too long";
            r.register("cairn_queries_refused", help, refused.clone());
            r.register_collector(Box::new(QueueCollector(queue.clone())));
        });
        QueryService {
            cache: ResultCache::new(limits.query_cache_bytes_max, min_age_ms(&limits), registry),
            threads: NiceThreads::new("cairn-query", limits.query_concurrency_max),
            answering: Arc::new(NiceThreads::new("cairn-answer", cores())),
            in_force: RwLock::new(Arc::new(InForce { engine: Engine::new(engine), limits })),
            tenants,
            clock,
            queue,
            active: Arc::default(),
            log: QueryLog::new(registry),
            sending: Arc::default(),
            refused,
        }
    }

    /// Puts other settings in force. Queries that run, and those that wait for their turn, keep their own limits.
    pub fn apply(&self, settings: QuerySettings) {
        let QuerySettings { engine, limits, has_tenants } = settings;
        self.threads.set_max(limits.query_concurrency_max);
        self.queue.set_limits(limits.query_concurrency_max, limits.query_queue_max, has_tenants);
        self.cache.set_limits(limits.query_cache_bytes_max, min_age_ms(&limits));
        let mut in_force = self.in_force.write().unwrap_or_else(PoisonError::into_inner);
        *in_force = Arc::new(InForce { engine: in_force.engine.with_options(engine), limits });
    }

    fn in_force(&self) -> Arc<InForce> {
        self.in_force.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The engine.
    pub fn engine(&self) -> Engine {
        self.in_force().engine.clone()
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.in_force().limits.clone()
    }

    /// Queries of a tenant that wait or run, oldest first.
    pub fn active(&self, tenant: &TenantId) -> Vec<ActiveQuery> {
        self.active.list(tenant)
    }

    /// Ends a query of a tenant; false if it has none of this number.
    pub fn kill(&self, tenant: &TenantId, id: u64) -> bool {
        self.active.kill(tenant, id)
    }

    /// The newest slow queries of a tenant, newest first.
    pub fn slow(&self, tenant: &TenantId, limit: usize) -> Vec<SlowQuery> {
        self.log.slow(tenant, limit)
    }

    /// Puts new settings of the log in force.
    pub fn set_log(&self, settings: LogSettings) {
        self.log.apply(settings);
    }

    /// Answers a query. Dropping the future ends it.
    pub async fn ask(self: &Arc<Self>, tenant: &TenantId, ask: Ask) -> Result<Answered, AskError> {
        let service = self.clone();
        let (wanted, id) = (ask.clone(), tenant.clone());
        self.admitted(tenant, &ask, move |tenant, control, queued| {
            service.logged((&id, tenant), &wanted, control, queued)
        })
        .await
    }

    /// Answers a query at once, on this thread, without a place among those that run: for rules, which have places of
    /// their own. `canceled` ends it.
    pub fn ask_now(&self, tenant: &Tenant, ask: &Ask, canceled: &Arc<AtomicBool>) -> Result<QueryResult, QueryError> {
        let mut control = QueryControl::with_timeout(self.limits().query_timeout);
        control.canceled = canceled.clone();
        let answered = self.logged((&tenant.id, Some(tenant)), ask, &control, Duration::ZERO)?;
        Ok(answered.result)
    }

    /// Evaluates, and notes what it took.
    fn logged(
        &self,
        (id, tenant): (&TenantId, Option<&Tenant>),
        ask: &Ask,
        control: &QueryControl,
        queued: Duration,
    ) -> Result<Answered, QueryError> {
        let started = Instant::now();
        let result = self.evaluate(tenant, ask, control);
        let cost = Cost { queued, ran: started.elapsed(), used: control.numbers.used() };
        let error = result.as_ref().err().map(QueryError::to_string);
        self.log.note(id, ask, &cost, error, self.clock.now_ms());
        Ok(Answered { result: result?, cost })
    }

    /// Counts an answer as being sent until the guard is dropped: clients may take their time, and memory is not endless.
    /// `bytes` are counted as [`QueryResult::bytes`] does.
    pub fn begin_sending(&self, bytes: u64) -> Result<Sending, AskError> {
        let before = self.sending.fetch_add(bytes, Ordering::Relaxed);
        let guard = Sending { all: self.sending.clone(), bytes, threads: self.answering.clone() };
        let max = self.in_force().limits.query_answers_bytes_max as u64;
        // One alone may always go: it has a limit of its own.
        if before > 0 && before.saturating_add(bytes) > max {
            self.refused.inc();
            return Err(AskError::Full(format!(
                "too many answers are being sent: they have more than {max} bytes together \
                 (cairn.limits.query_answers_bytes_max); ask again later"
            )));
        }
        Ok(guard)
    }

    /// Runs other reading work of a tenant under the same rules; `ask` says what it is in lists.
    pub async fn read<T, F>(self: &Arc<Self>, tenant: &TenantId, ask: Ask, work: F) -> Result<T, AskError>
    where
        T: Default + Send + 'static,
        F: FnOnce(&Tenant, &QueryControl) -> Result<T, QueryError> + Send + 'static,
    {
        let work = move |tenant: Option<&Tenant>, control: &QueryControl, _| match tenant {
            Some(tenant) => work(tenant, control),
            None => Ok(T::default()),
        };
        self.admitted(tenant, &ask, work).await
    }

    /// Ends the threads once the queries that run are done: all are, soon after nobody waits for them.
    pub async fn stop(self: &Arc<Self>) {
        let service = self.clone();
        let stop = move || {
            service.threads.stop();
            service.answering.stop();
        };
        if let Err(error) = tokio::task::spawn_blocking(stop).await {
            tracing::error!(component = "query", %error, "waiting for the threads of queries ended badly");
        }
    }

    /// Waits for its turn, runs `work` on a thread of the pool, and ends it when nobody waits for it any more.
    async fn admitted<T, F>(self: &Arc<Self>, tenant: &TenantId, ask: &Ask, work: F) -> Result<T, AskError>
    where
        T: Send + 'static,
        F: FnOnce(Option<&Tenant>, &QueryControl, Duration) -> Result<T, QueryError> + Send + 'static,
    {
        let limits = self.limits();
        let timeout = ask.timeout.unwrap_or(Duration::MAX).min(limits.query_timeout);
        let mut control = QueryControl::with_timeout(timeout).pausing(turns::pause);
        if ask.counts_steps {
            control = control.counting_steps();
        }
        let listed = self.active.add(tenant, ask, self.clock.now_ms(), &control);
        let arrived = Instant::now();
        let entered = tokio::select! {
            entered = self.queue.enter(tenant, timeout.min(limits.query_wait_max)) => entered,
            () = listed.killed() => return Err(AskError::Query(QueryError::Killed)),
        };
        let permit = match entered {
            Ok(permit) => permit,
            Err(refused) => {
                self.refused.inc();
                return Err(refusal(&limits, refused, timeout));
            }
        };
        listed.starts();
        let tenant = self.tenants.get(tenant);
        let handed = control.clone();
        let queued = arrived.elapsed();
        let running = self.threads.run(move || {
            // Given back when the work is done, which may be a little after its asker has gone.
            let _permit = permit;
            handed.check()?;
            work(tenant.as_deref(), &handed, queued)
        });
        let done = running.await;
        drop(listed);
        match done {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(QueryError::Timeout)) => Err(AskError::Timeout(timed_out(&limits, timeout))),
            Ok(Err(e)) => Err(AskError::Query(e)),
            Err(Ended) => Err(AskError::Internal(format!("the query failed: {Ended}"))),
        }
    }

    fn evaluate(&self, tenant: Option<&Tenant>, ask: &Ask, control: &QueryControl) -> Result<QueryResult, QueryError> {
        let in_force = self.in_force();
        let engine = match ask.lookback {
            Some(lookback) => &in_force.engine.with_lookback(lookback),
            None => &in_force.engine,
        };
        let source: &dyn Source = match tenant {
            Some(tenant) => &*tenant.db,
            None => &NoSeries,
        };
        match ask.when {
            When::Instant(t) => engine.instant(source, &ask.query, t, control),
            When::Range { start, end, step } => {
                let expr = engine.prepare(&ask.query, control)?;
                let mut evaluate =
                    |start, end| engine.range_expr(source, &expr, &ask.query, (start, end, step), control);
                let lookback_ms = i64::try_from(engine.options().lookback.as_millis()).unwrap_or(i64::MAX);
                let may_cache = self.cache.is_on() && ask.uses_cache && ResultCache::is_aligned(start, step);
                let look_back_ms = may_cache.then(|| look_back(&expr, lookback_ms)).flatten();
                let (Some(tenant), Some(look_back_ms)) = (tenant, look_back_ms) else { return evaluate(start, end) };
                let key = Key { tenant: tenant.id.clone(), query: ask.query.clone(), step, lookback_ms };
                let now = self.clock.now_ms();
                let wanted = Wanted { key, db: &tenant.db, start, end, look_back_ms, now };
                let result = self.cache.answer(wanted, &mut evaluate)?;
                // Each part was within its limit; that does not yet say that all of it is.
                engine.check_result(&result)?;
                Ok(result)
            }
        }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

fn min_age_ms(limits: &Limits) -> i64 {
    i64::try_from(limits.query_cache_min_age.as_millis()).unwrap_or(i64::MAX)
}

fn timed_out(limits: &Limits, timeout: Duration) -> String {
    let words = QueryError::Timeout;
    if timeout < limits.query_timeout {
        return format!("{words}: it asked for no more than {}", format_duration(timeout));
    }
    let limit = format_duration(timeout);
    format!("{words}: it may take {limit}; ask for less, or raise --query.timeout (cairn.limits.query_timeout)")
}

fn refusal(limits: &Limits, refused: Refused, timeout: Duration) -> AskError {
    let Limits { query_concurrency_max, query_queue_max, query_wait_max, .. } = limits;
    let running = format!("at most {query_concurrency_max} run at once (--query.max-concurrency)");
    match refused {
        Refused::Full => AskError::Full(format!(
            "too many queries: {query_queue_max} of this tenant wait already (cairn.limits.query_queue_max), and {running}; \
             ask again later"
        )),
        Refused::WaitedTooLong => AskError::Timeout(format!(
            "query timed out in query queue: it waited for {} (cairn.limits.query_wait_max), and {running}; ask again later",
            format_duration(timeout.min(*query_wait_max))
        )),
    }
}

/// What a tenant that nobody has pushed to holds. Reading does not create it.
struct NoSeries;

impl Source for NoSeries {
    fn select(&self, _: &[Matcher], _: TimeRange) -> Result<SourceSeries, SourceError> {
        Ok(SourceSeries { series: Vec::new(), warnings: Vec::new() })
    }
}

#[derive(Debug)]
struct QueueCollector(Arc<FairQueue>);

impl Collector for QueueCollector {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let (running, waiting) = self.0.counts();
        let help = "The current number of queries being executed or waiting.";
        put(&mut encoder, "prometheus_engine_queries", help, &ConstGauge::new((running + waiting) as i64))?;
        let help = "The max number of concurrent queries.";
        put(
            &mut encoder,
            "prometheus_engine_queries_concurrent_max",
            help,
            &ConstGauge::new(self.0.running_max() as i64),
        )?;
        put(&mut encoder, "cairn_queries_waiting", "Queries that wait.", &ConstGauge::new(waiting as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tenant::TenantOptions;

    #[test]
    fn answers_that_are_being_sent_have_a_limit_together() {
        let dir = tempfile::tempdir().unwrap();
        let options =
            TenantOptions { data_dir: dir.path().to_owned(), db: storage::Options::default(), tenants_max: 1 };
        let clock = Clock::manual(0);
        let tenants = Arc::new(Tenants::open(options, clock.clone()).unwrap());
        let limits = Limits { query_answers_bytes_max: 100, ..Limits::default() };
        let settings = QuerySettings { limits, ..QuerySettings::default() };
        let service = QueryService::new(settings, tenants, clock, &Registry::new());
        let first = service.begin_sending(500).expect("one alone may always go");
        let Err(AskError::Full(words)) = service.begin_sending(1) else { panic!("there is no room") };
        assert!(words.contains("cairn.limits.query_answers_bytes_max"), "{words}");
        drop(first);
        let both = [service.begin_sending(60).unwrap(), service.begin_sending(40).unwrap()];
        assert!(service.begin_sending(1).is_err());
        drop(both);
        assert!(service.begin_sending(100).is_ok());
    }
}
