//! What the running daemon tells about itself: on the control socket, as metrics, to systemd.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use data_encoding::HEXLOWER;
use serde_json::{Value, json};

use crate::history;
use crate::inbox::Inbox;
use crate::intake::Shared;
use crate::intake::letting_in::Advice;
use crate::intake::senders::Sender;
use crate::intake::shared::InForce;
use crate::intake::stats::Counter;
use crate::maker::Workshop;
use crate::rules::Rule;
use crate::sinks::Running;
use crate::time::clock::{Clock, Mono};
use crate::vitals::minutes::Counts;
use crate::vitals::{Minutes, Recent, SinkSigns, Totals, Vitals};

/// How long a part of the daemon must run after a restart until it counts as well.
const SETTLED: Duration = Duration::from_secs(10);

/// What the daemon tells.
#[derive(Debug)]
pub struct Status {
    /// What the intakes share.
    pub shared: Arc<Shared>,
    /// Which parts of the daemon have failed.
    pub health: Arc<Health>,
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// When the daemon started.
    pub started: Mono,
    /// How reloads went.
    pub reloads: Mutex<Reloads>,
    /// What is written of the history.
    pub history: history::Counters,
    /// Whether it has started.
    ready: AtomicBool,
    sinks: Mutex<Arc<[Running]>>,
    /// What rules are tried against.
    workshop: Mutex<Arc<Workshop>>,
    recent: Mutex<Recent>,
    minutes: Mutex<Minutes>,
}

/// How reloads went.
#[derive(Debug, Default, Clone)]
pub struct Reloads {
    /// Reloads that took effect.
    pub done: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// What was wrong with the last one, if it was refused.
    pub error: Option<String>,
}

/// The cursor of a sink that is not configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unconfigured {
    /// The name of the sink.
    pub name: String,
    /// How many outcomes the journal keeps for it.
    pub behind: u64,
}

impl Status {
    /// The status of a daemon that starts now and has no sinks yet.
    pub fn new(shared: Arc<Shared>, health: Arc<Health>, clock: Arc<dyn Clock>) -> Self {
        let started = clock.now().mono;
        let ready = AtomicBool::new(false);
        Status {
            shared,
            health,
            clock,
            started,
            reloads: Mutex::default(),
            history: history::Counters::default(),
            ready,
            sinks: Mutex::default(),
            workshop: Mutex::default(),
            recent: Mutex::default(),
            minutes: Mutex::default(),
        }
    }

    /// The daemon has started: there are rules and sinks.
    pub fn set_ready(&self) {
        self.ready.store(true, Ordering::Release);
    }

    /// Whether it has started: what is configured is in force.
    pub fn has_started(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// The configured sinks.
    pub fn sinks(&self) -> Arc<[Running]> {
        lock(&self.sinks).clone()
    }

    /// Sets the configured sinks.
    pub fn set_sinks(&self, sinks: Vec<Running>) {
        *lock(&self.sinks) = sinks.into();
    }

    /// What rules are tried against.
    pub fn workshop(&self) -> Arc<Workshop> {
        lock(&self.workshop).clone()
    }

    /// Sets what rules are tried against.
    pub fn set_workshop(&self, workshop: Arc<Workshop>) {
        *lock(&self.workshop) = workshop;
    }

    /// The messages that no rule takes.
    pub fn inbox(&self) -> &Inbox {
        &self.shared.inbox
    }

    /// For how long the daemon runs.
    pub fn uptime(&self) -> Duration {
        self.clock.now().mono.since(self.started)
    }

    /// The sinks that are not configured and have a cursor all the same, by name.
    pub fn unconfigured(&self) -> Vec<Unconfigured> {
        let (sinks, journal) = (self.sinks(), &self.shared.journal);
        let cursors = journal.cursors().into_iter();
        cursors
            .filter(|(name, _)| !sinks.iter().any(|sink| sink.name == *name))
            .map(|(name, cursor)| Unconfigured { name, behind: journal.behind(&cursor) })
            .collect()
    }

    /// All sinks and their cursors as JSON: those that are configured, then the others.
    pub fn sinks_to_json(&self) -> Value {
        let (sinks, journal) = (self.sinks(), &self.shared.journal);
        let configured = sinks.iter().map(
            |sink| json!({ "name": sink.name, "configured": true, "behind": journal.behind(&sink.cursor) }),
        );
        let others = self.unconfigured().into_iter();
        let others =
            others.map(|sink| json!({ "name": sink.name, "configured": false, "behind": sink.behind }));
        json!({ "ok": true, "sinks": configured.chain(others).collect::<Vec<Value>>() })
    }

    /// Who sends, and who is refused, as JSON.
    pub fn senders_to_json(&self) -> Value {
        let (senders, in_force, now) = (&self.shared.senders, self.shared.in_force(), self.clock.now());
        let all = senders.all();
        let all: Vec<Value> =
            all.iter().map(|(at, sender)| of_sender(*at, sender, &in_force, now.mono)).collect();
        self.of_senders(json!({ "senders": all, "others": senders.others() }), now.mono)
    }

    /// The known hosts that no message was about for so long, or ever, as JSON.
    pub fn silent_to_json(&self, least: Duration) -> Value {
        let (hosts, now) = (self.shared.hosts(), self.clock.now());
        let silent = self.shared.senders.silent(&hosts, least, now);
        let mut addresses: HashMap<&str, Vec<IpAddr>> = HashMap::new();
        for (address, name) in hosts.addresses() {
            addresses.entry(name).or_default().push(address);
        }
        for all in addresses.values_mut() {
            all.sort();
        }
        let silent: Vec<Value> = silent
            .into_iter()
            .map(|(host, last)| {
                json!({
                    "host": host,
                    "addresses": addresses.get(&*host),
                    "last": last.map(|last| last.wall.to_string()),
                    "silent_seconds": last.map(|last| now.mono.since(last.mono).as_secs()),
                })
            })
            .collect();
        self.of_senders(json!({ "silent": silent, "known_hosts": hosts.names().count() }), now.mono)
    }

    fn of_senders(&self, mut answer: Value, now: Mono) -> Value {
        let since = self.shared.senders.since();
        answer["ok"] = true.into();
        answer["since"] = since.wall.to_string().into();
        answer["since_seconds"] = now.since(since.mono).as_secs().into();
        answer
    }

    /// The state as JSON.
    pub fn to_json(&self) -> Value {
        let journal = &self.shared.journal;
        let now = self.clock.now();
        let next = journal.next();
        let sinks: Vec<Value> = self
            .sinks()
            .iter()
            .map(|sink| {
                let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
                let error = lock(&sink.stats.error).clone();
                json!({
                    "name": sink.name,
                    "behind": journal.behind(&sink.cursor),
                    "delivered": get(&sink.stats.delivered),
                    "skipped": get(&sink.stats.skipped),
                    "cut": get(&sink.stats.cut),
                    "stale": get(&sink.stats.stale),
                    "dead": get(&sink.stats.dead),
                    "dead_letters": get(&sink.stats.letters),
                    "retried": get(&sink.stats.retried),
                    "failures": get(&sink.stats.failures),
                    "lag_seconds": sink.stats.lag(now.mono),
                    "latency_seconds": { "median": sink.stats.latency.quantile(0.5), "p99": sink.stats.latency.quantile(0.99) },
                    "expired": sink.cursor.expired(),
                    "error": error,
                })
            })
            .collect();
        let unconfigured: Vec<Value> = self
            .unconfigured()
            .into_iter()
            .map(|sink| json!({ "name": sink.name, "behind": sink.behind }))
            .collect();
        let reloads = lock(&self.reloads).clone();
        let active = self.shared.active();
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let failed = active
            .rules
            .rules()
            .iter()
            .filter(|rule| get(&rule.render_failures) + get(&rule.over_budget) > 0);
        let rule_errors: Vec<Value> = failed
            .map(|rule| {
                let (render_errors, over_budget) = (get(&rule.render_failures), get(&rule.over_budget));
                json!({ "rule": rule.id, "file": &*rule.file, "render_errors": render_errors, "over_budget": over_budget })
            })
            .collect();
        let connections: serde_json::Map<String, Value> = (self.shared.accepted.all().into_iter())
            .map(|(name, counts)| (name, json!({ "errors": counts.errors, "refused": counts.refused })))
            .collect();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "pid": std::process::id(),
            "uptime_seconds": self.uptime().as_secs(),
            "rules": active.rules.rules().len(),
            "busiest_rules": busiest_rules(active.rules.rules()),
            "rule_errors": rule_errors,
            "reloads": { "done": reloads.done, "refused": reloads.refused, "error": reloads.error },
            "problems": self.problems(),
            "vitals": self.vitals(),
            "intake": self.shared.stats.to_json(),
            "refused": self.shared.refusals.to_json(),
            "inbox": { "groups": self.inbox().count() },
            "storms": self.shared.storms.to_json(),
            "connections": connections,
            "reverse_dns": active.hosts.reverse_dns.then(|| self.shared.reverse.to_json()),
            "lookups": self.shared.lookups.to_json(now.mono),
            "queues": self.shared.queues.to_json(),
            "followed": self.shared.follows.to_json(),
            "forwards": self.shared.forwards.to_json(),
            "state": self.shared.commit.correlation.to_json(),
            "capture": self.capture_to_json(),
            "history": self.history.to_json(),
            "journal": { "bytes": journal.size(), "next": next, "damaged": journal.damaged() },
            "sinks": sinks,
            "unconfigured_sinks": unconfigured,
        })
    }

    /// Notes the counters of what came, if a minute has begun since the last time.
    pub fn note_minute(&self) {
        lock(&self.minutes).note(self.clock.now().mono, self.counts());
    }

    /// How long ago each of the last 60 minutes has begun, and what came in it, the oldest first.
    pub fn minutes(&self) -> Vec<(Duration, Counts)> {
        let (now, counts) = (self.clock.now().mono, self.counts());
        let mut minutes = lock(&self.minutes);
        minutes.note(now, counts);
        minutes.grown(now, counts)
    }

    fn counts(&self) -> Counts {
        let stats = &self.shared.stats;
        let refused = [
            &stats.wrong_community,
            &stats.wrong_source,
            &stats.version_off,
            &stats.no_access,
            &stats.claim_refused,
            &stats.posts_refused,
        ];
        [
            stats.snmp_received.get() + stats.syslog_received.get() + stats.posts_received.get(),
            stats.matched.get(),
            stats.unmatched.get(),
            stats.kernel_drops.get(),
            stats.malformed.iter().map(Counter::get).sum(),
            refused.into_iter().map(Counter::get).sum(),
            stats.outcomes_lost.get() + stats.waiting_lost.get(),
        ]
    }

    /// What is captured; null if nothing is.
    fn capture_to_json(&self) -> Value {
        let capture = &self.shared.capture;
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counts = || json!({ "messages": get(&capture.kept), "lost": get(&capture.lost), "bytes": get(&capture.bytes) });
        if capture.is_on() { counts() } else { Value::Null }
    }

    /// Why the daemon is not ready; empty if it is. Looks at the journal directory, so it may block.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = self.passing();
        problems.append(&mut self.broken());
        problems
    }

    /// What the daemon is judged by. Looks at the journal directory, so it may block.
    pub fn vitals(&self) -> Vitals {
        let (sinks, journal, stats) = (self.sinks(), &self.shared.journal, &self.shared.stats);
        let (now, active) = (self.clock.now(), self.shared.active());
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let rules = active.rules.rules();
        let total = Totals {
            received: stats.snmp_received.get() + stats.syslog_received.get() + stats.posts_received.get(),
            outcomes: stats.outcomes.get(),
            lost: stats.outcomes_lost.get(),
            expired: sinks.iter().map(|sink| sink.cursor.expired()).sum(),
            dropped: stats.kernel_drops.get() + stats.waiting_lost.get(),
            dead: sinks.iter().map(|sink| get(&sink.stats.dead)).sum(),
            rule_errors: rules.iter().map(|rule| get(&rule.render_failures) + get(&rule.over_budget)).sum(),
        };
        let (recent, since) = lock(&self.recent).look(now.mono, self.started, total);
        let signs = |sink: &Running| SinkSigns {
            name: sink.name.clone(),
            behind: journal.behind(&sink.cursor),
            age_seconds: sink.stats.lag(now.mono),
            error: lock(&sink.stats.error).clone(),
        };
        Vitals {
            broken: self.broken(),
            passing: self.passing(),
            reload_refused: lock(&self.reloads).error.is_some(),
            rules: rules.len(),
            journal_bytes: journal.size(),
            sinks: sinks.iter().map(signs).collect(),
            total,
            recent,
            recent_seconds: since.as_secs(),
        }
    }

    /// Why the daemon is not ready though nothing is wrong.
    fn passing(&self) -> Vec<String> {
        if self.shared.stopping() {
            vec!["stopping".to_owned()]
        } else if self.has_started() {
            Vec::new()
        } else {
            vec!["starting".to_owned()]
        }
    }

    /// What keeps the daemon from its work.
    fn broken(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.shared.refusing() {
            problems.push("the journal takes no outcomes".to_owned());
        }
        let journal = &self.shared.journal;
        if !journal.lacks_room() && !journal.is_in_place() {
            problems.push("files of the journal were removed".to_owned());
        }
        problems.extend(self.health.problems(self.clock.now().mono));
        problems
    }
}

/// How many rules the status names with what they matched: their rates are shown, those of all others are low or none.
const BUSIEST: usize = 200;

/// The rules that matched most since they were loaded, most first.
fn busiest_rules(rules: &[Rule]) -> Vec<Value> {
    let count = |rule: &Rule| rule.match_count.load(Ordering::Relaxed);
    let mut busiest: Vec<(u64, &Rule)> =
        rules.iter().map(|rule| (count(rule), rule)).filter(|(count, _)| *count > 0).collect();
    busiest.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    busiest.truncate(BUSIEST);
    let of = |(count, rule): (u64, &Rule)| json!({ "rule": rule.id, "file": &*rule.file, "matched": count });
    busiest.into_iter().map(of).collect()
}

fn of_sender(address: IpAddr, sender: &Sender, in_force: &InForce, now: Mono) -> Value {
    let Sender { tally, spoken, host, user, engine, refusal, first, last, .. } = sender;
    let refusal = refusal.as_ref().map(|why| {
        let Advice { words, toml } =
            why.advice(address, &in_force.active.access, in_force.active.syslog_allow.as_deref());
        let toml = toml.map(|toml| json!({ "table": toml.table, "lines": toml.lines }));
        json!({ "reason": why.reason(), "advice": words, "toml": toml })
    });
    json!({
        "address": address,
        "known_as": in_force.hosts.of_address(address),
        "host": host,
        "speaks": spoken.names().collect::<Vec<_>>(),
        "user": user,
        "engine": engine.as_ref().map(|engine| format!("0x{}", HEXLOWER.encode(engine))),
        "first": first.wall.to_string(),
        "last": last.wall.to_string(),
        "silent_seconds": now.since(last.mono).as_secs(),
        "matched": tally.matched,
        "dropped": tally.dropped,
        "unmatched": tally.unmatched,
        "refused": tally.refused,
        "refusal": refusal,
    })
}

/// Which parts of the daemon (threads and tasks) have failed.
#[derive(Debug, Default)]
pub struct Health(Mutex<BTreeMap<String, Part>>);

#[derive(Debug)]
struct Part {
    why: String,
    restarts: u64,
    /// Since when it runs again.
    again: Option<Mono>,
}

impl Health {
    /// A part has failed and does not run.
    pub fn failed(&self, part: &str, why: String) {
        let mut parts = lock(&self.0);
        match parts.get_mut(part) {
            Some(known) => (known.why, known.again) = (why, None),
            None => drop(parts.insert(part.to_owned(), Part { why, restarts: 0, again: None })),
        }
    }

    /// A part that had failed runs again.
    pub fn restarted(&self, part: &str, now: Mono) {
        if let Some(known) = lock(&self.0).get_mut(part) {
            known.restarts += 1;
            known.again = Some(now);
        }
    }

    /// A part has ended as it was told to, or what was wrong with it has gone by itself.
    pub fn well(&self, part: &str) {
        lock(&self.0).remove(part);
    }

    /// What was wrong with a part that does not run has gone by itself. One that was restarted stays as it is.
    pub fn recovered(&self, part: &str) {
        let mut parts = lock(&self.0);
        if parts.get(part).is_some_and(|known| known.again.is_none()) {
            parts.remove(part);
        }
    }

    /// What is wrong: parts that do not run, and those that were restarted less than 10 s ago.
    pub fn problems(&self, now: Mono) -> Vec<String> {
        let parts = lock(&self.0);
        let unwell = parts.iter().filter(|(_, part)| part.again.is_none_or(|at| now.since(at) < SETTLED));
        unwell.map(|(name, part)| format!("{name} {}", part.why)).collect()
    }

    /// How often parts were restarted, by name.
    pub fn restarts(&self) -> Vec<(String, u64)> {
        lock(&self.0).iter().map(|(name, part)| (name.clone(), part.restarts)).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one assignment: what a panicking thread left is whole.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restarted_part_is_a_problem_until_it_has_settled() {
        let health = Health::default();
        let at = |seconds: u64| Mono::default() + Duration::from_secs(seconds);
        health.failed("sink bus", "panicked".to_owned());
        assert_eq!(health.problems(at(100)), ["sink bus panicked"]);
        health.restarted("sink bus", at(100));
        assert_eq!(health.problems(at(109)).len(), 1);
        assert!(health.problems(at(110)).is_empty());
        health.failed("sink bus", "ended".to_owned());
        assert_eq!(health.problems(at(200)), ["sink bus ended"]);
        health.restarted("sink bus", at(200));
        assert_eq!(health.restarts(), [("sink bus".to_owned(), 2)]);
        health.well("sink bus");
        assert!(health.problems(at(200)).is_empty() && health.restarts().is_empty());
    }
}
