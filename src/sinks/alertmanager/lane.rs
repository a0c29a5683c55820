//! Sends alerts, and keeps what is open: an alert that is not sent again ends by itself. Members of a cluster tell each other
//! about notifications, not about alerts, so each of them is told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use hyper::header::AUTHORIZATION;

use super::alert::{Alert, key};
use super::api::Alerts;
use super::problem::{Place, Problem, micros};
use crate::http::client::Client;
use crate::outcome::record::Record;
use crate::sinks::http::api::{Api as _, Call, Part, basic, judge};
use crate::sinks::http::lane::trouble;
use crate::sinks::http::server::Server;
use crate::sinks::memory::Memory;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{
    Destination, Fate, Id, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble, Working,
};
use crate::time::clock::{Clock, Mono, Now};

/// The most hosts and services of which alerts are kept. Beyond them the one without an outcome for the longest time ends.
const MOST: usize = 10_000;
/// The most outcomes in a request, or the most alerts that are sent again in one.
const MOST_SENT: usize = 64;
/// How many alerts that are sent again a server may put off, one by one, before all wait; and for how long.
const MOST_PUT_OFF: usize = 3;
const PAUSE: Duration = Duration::from_secs(5);
/// An alert ends by itself when it was not sent again for so many times the usual time, as with Prometheus.
const PATIENCE: u32 = 4;

/// An Alertmanager, or the members of a cluster.
#[derive(Debug)]
pub(super) struct Alertmanager {
    /// At least one.
    pub(super) servers: Vec<Server>,
    pub(super) api: Alerts,
    /// How often open alerts are sent again.
    pub(super) resend: Duration,
    /// How long an alert is open without an outcome.
    pub(super) expire: Duration,
}

impl Sink for Alertmanager {
    fn limits(&self) -> Limits {
        Limits { items: MOST_SENT, bytes: 1 << 20, order: Order::OneByOne, ..Limits::default() }
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        if record.outcome.common().state.is_good() {
            let what = "nothing, or the end of the alert that is open for this host and service";
            return Some(Ok(vec![Piece::new(Format::Words, what)]));
        }
        Some(self.api.part(record).map(|part| self.api.pieces(&part)))
    }

    fn destination(&self) -> Destination {
        let targets = self.servers.iter().map(|server| &server.target);
        Destination::Servers(targets.map(|target| (target.host.clone(), target.port)).collect())
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let member = |server: &Server| {
            let mut headers = server.headers.clone();
            if let Some((user, password)) = &server.login {
                headers.insert(AUTHORIZATION, basic(user, password));
            }
            let client =
                Client::new(seat.network.clone(), server.target.clone(), server.tls.clone(), headers);
            Member { client, away: false }
        };
        Box::new(AlertLane {
            api: self.api.clone(),
            resend: self.resend,
            expire: self.expire,
            members: self.servers.iter().map(member).collect(),
            clock: seat.clock.clone(),
            memory: Memory::new(seat.name.clone(), seat.memory.clone()),
            ages: HashMap::new(),
            surplus: 0,
            // What was open before a restart is sent at once.
            next: Some(Mono::default()),
        })
    }
}

struct AlertLane {
    api: Alerts,
    resend: Duration,
    expire: Duration,
    members: Vec<Member>,
    clock: Arc<dyn Clock>,
    /// What is open, by host and service.
    memory: Memory<Problem>,
    /// How long ago the last outcome of each was, and when that was so: the wall clock may be set.
    ages: HashMap<String, (Duration, Mono)>,
    /// How many alerts were ended because there are too many.
    surplus: u64,
    /// When open alerts are sent again; none if there are none.
    next: Option<Mono>,
}

/// One server.
struct Member {
    client: Client,
    /// Whether its last request failed: until alerts are sent again it is told only if no other member is there.
    away: bool,
}

impl Lane for AlertLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }

    fn wants(&self) -> Option<Mono> {
        self.next
    }

    fn own(&mut self, now: Now) -> Working<'_> {
        Box::pin(self.repeat(now))
    }
}

impl AlertLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let now = self.clock.now();
        let until = self.until(now);
        let mut fates = vec![Fate::Taken; items.len()];
        let mut steps = Vec::new();
        let mut parts = Vec::new();
        for (at, item) in items.iter().enumerate() {
            match self.step(item, now) {
                Ok(step) => {
                    let json: Vec<String> =
                        step.tell.iter().map(|alert| alert.json(now.wall.micros(), until)).collect();
                    if !json.is_empty() {
                        let (id, body) = (String::new(), json.join(",").into_bytes());
                        parts.push((at, Part { id, body, cut: step.cut, ..Part::default() }));
                    }
                    steps.push((at, step));
                }
                Err(fate) => fates[at] = fate,
            }
        }
        if !parts.is_empty() {
            let (places, parts): (Vec<usize>, Vec<Part>) = parts.into_iter().unzip();
            let told = self.tell(&parts, false).await?;
            for (at, fate) in places.into_iter().zip(told) {
                fates[at] = fate;
            }
        }
        for (at, step) in steps {
            if matches!(fates[at], Fate::Taken | Fate::Cut) {
                self.remember(&step.key, step.next, now);
            }
        }
        self.memory.keep();
        Ok(fates)
    }

    /// What an outcome changes; or its fate, if nothing is to be sent for it.
    fn step(&mut self, item: &Item, now: Now) -> Result<Step, Fate> {
        let record = item.record().ok_or_else(|| Fate::Dead("the outcome is damaged".into()))?;
        let key = key(&record);
        let known = self.memory.values().get(&key).cloned().unwrap_or_default();
        let id = (record.epoch, record.sequence);
        match known.place(id, matches!(item.id, Id::Letter(_))) {
            Place::New => {}
            Place::Same => return Err(Fate::Taken),
            Place::Old => {
                return Err(Fate::Stale("a later outcome of this host and service was sent".into()));
            }
        }
        let good = record.outcome.common().state.is_good();
        let alert = if good { None } else { Some(self.api.encoder.alert(&record).map_err(Fate::Dead)?) };
        let cut = alert.as_ref().is_some_and(|(_, cut)| *cut);
        let (next, tell) = known.next(alert.map(|(alert, _)| alert), id, now.wall.micros());
        Ok(Step { key, next, tell, cut })
    }

    fn remember(&mut self, key: &str, problem: Problem, now: Now) {
        let known = self.memory.values();
        if problem.open.is_none() && problem.ended.is_empty() {
            // Nothing was open, so there is nothing to remember.
            return;
        }
        if !known.contains_key(key) && known.len() >= MOST {
            let oldest = known.iter().min_by_key(|(_, problem)| problem.told).map(|(key, _)| key.clone());
            if let Some(oldest) = oldest {
                self.surplus += 1;
                // Of a flood every one is beyond.
                if self.surplus.is_power_of_two() {
                    tracing::warn!(
                        sink = self.memory.sink(),
                        alerts = self.surplus,
                        "more than {MOST} alerts are open: the oldest ones are not sent again and end, the last one that of {oldest}"
                    );
                }
                self.memory.remove(&oldest);
                self.ages.remove(&oldest);
            }
        }
        self.memory.set(key, problem);
        self.ages.insert(key.to_owned(), (Duration::ZERO, now.mono));
        self.next.get_or_insert(now.mono + self.resend);
    }

    /// How long ago the last outcome of a host and service was. Of one from before a restart the wall clock tells it, once.
    fn age(&mut self, key: &str, problem: &Problem, now: Now) -> Duration {
        let by_wall = || {
            let micros = now.wall.micros().saturating_sub(problem.told);
            (Duration::from_micros(u64::try_from(micros).unwrap_or(0)), now.mono)
        };
        let (age, since) = *self.ages.entry(key.to_owned()).or_insert_with(by_wall);
        age + now.mono.since(since)
    }

    /// When an open alert ends if it is not sent again.
    fn until(&self, now: Now) -> i64 {
        now.wall.micros().saturating_add(micros(self.resend * PATIENCE))
    }

    /// Sends again what is open, and what has ended a short time ago.
    async fn repeat(&mut self, now: Now) -> Result<(), Trouble> {
        let problems = self.memory.values().clone();
        let until = self.until(now);
        let mut again = Vec::new();
        let mut changed = Vec::new();
        for (key, problem) in &problems {
            let age = self.age(key, problem, now);
            let later = problem.later(self.expire, age, now.wall.micros());
            let left = later.as_ref();
            let alerts = left.into_iter().flat_map(|later| later.ended.iter().chain(&later.open));
            again.extend(alerts.map(|alert: &Alert| alert.json(now.wall.micros(), until)));
            if left != Some(problem) {
                changed.push((key.clone(), later));
            }
        }
        let part = |json: String| Part { body: json.into_bytes(), ..Part::default() };
        let again: Vec<Part> = again.into_iter().map(part).collect();
        let mut refused = (0_usize, None);
        let mut told = Ok(());
        for parts in again.chunks(MOST_SENT) {
            told = self.tell_again(parts, &mut refused).await;
            if told.is_err() {
                break;
            }
        }
        if let (alerts, Some(said)) = refused {
            // What is refused now was taken before; so it is no outcome that could be given up.
            tracing::warn!(
                sink = self.memory.sink(),
                alerts,
                "alerts that were sent again are refused: {said}"
            );
        }
        told?;
        for (key, problem) in changed {
            match problem {
                Some(problem) => self.memory.set(&key, problem),
                None => {
                    self.memory.remove(&key);
                    self.ages.remove(&key);
                }
            }
        }
        self.memory.keep();
        self.next = (!self.memory.values().is_empty()).then(|| now.mono + self.resend);
        Ok(())
    }

    /// Sends alerts again. Where some are refused, the others are sent without them: an alert that is not sent again ends.
    /// `refused` counts these, and has the last reason.
    async fn tell_again(
        &mut self,
        parts: &[Part],
        refused: &mut (usize, Option<Said>),
    ) -> Result<(), Trouble> {
        let mut open = vec![parts];
        let mut put_off = 0;
        while let Some(some) = open.pop() {
            let said = match (self.tell(some, true).await, some) {
                (Err(Trouble::Halve(_)), [_, _, ..]) => {
                    let (first, second) = some.split_at(some.len() / 2);
                    open.extend([second, first]);
                    continue;
                }
                (Err(Trouble::Halve(said)), _) => said,
                (Err(trouble), _) => return Err(trouble),
                (Ok(fates), _) => match fates.into_iter().next() {
                    Some(Fate::Dead(said)) => said,
                    Some(Fate::Later(said)) => {
                        put_off += 1;
                        if put_off >= MOST_PUT_OFF {
                            return Err(Trouble::Busy(said, PAUSE));
                        }
                        said
                    }
                    _ => continue,
                },
            };
            *refused = (refused.0 + 1, Some(said));
        }
        Ok(())
    }

    /// Tells the members. What one of them has taken is taken: the others get it when it is sent again.
    async fn tell(&mut self, parts: &[Part], all: bool) -> Result<Vec<Fate>, Trouble> {
        let call = self.api.call(parts);
        let all = all || self.members.iter().all(|member| member.away);
        let asked = self.members.iter_mut().filter(|member| all || !member.away);
        let asked = asked.map(|member| member.tell(&self.api, &call, parts));
        let answers = join_all(asked).await;
        let taken = |answer: &Result<Vec<Fate>, Trouble>| {
            let is_taken = |fate: &Fate| matches!(fate, Fate::Taken | Fate::Cut);
            answer.as_ref().is_ok_and(|fates| fates.iter().all(is_taken))
        };
        let best = answers.iter().position(taken);
        if best.is_some() {
            for (member, answer) in self.members.iter_mut().filter(|member| all || !member.away).zip(&answers)
            {
                member.note(answer, self.memory.sink());
            }
        }
        // Nobody has taken it: who says something about the outcomes knows more than who cannot be reached.
        let rank = |answer: &Result<Vec<Fate>, Trouble>| match answer {
            Ok(_) => 0,
            Err(Trouble::Halve(_)) => 1,
            Err(Trouble::Refused(..)) => 2,
            Err(Trouble::Busy(..)) => 3,
            Err(Trouble::Unanswered(..)) => 4,
            Err(Trouble::Away(..)) => 5,
        };
        let best = best.or_else(|| (0..answers.len()).min_by_key(|at| rank(&answers[*at])));
        let mut answers = answers;
        match best {
            Some(best) => answers.swap_remove(best),
            None => Ok(Vec::new()),
        }
    }
}

/// What an outcome changes.
struct Step {
    key: String,
    next: Problem,
    /// What is to be sent.
    tell: Vec<Alert>,
    cut: bool,
}

impl Member {
    async fn tell(&mut self, api: &Alerts, call: &Call, parts: &[Part]) -> Result<Vec<Fate>, Trouble> {
        let answer = self.client.send(&call.method, &call.path, &call.headers, call.body.clone()).await;
        judge(api, self.client.server(), &answer.map_err(|error| trouble(&error))?, parts)
    }

    /// Notes whether it is there, while others are.
    fn note(&mut self, answer: &Result<Vec<Fate>, Trouble>, sink: &str) {
        let server = self.client.server();
        match answer {
            Err(trouble) if !self.away => {
                tracing::warn!(
                    sink,
                    "{trouble}. Other members have the alerts; {server} gets them when it is back"
                );
            }
            Ok(_) if self.away => tracing::info!(sink, "{server} is back and has the open alerts"),
            _ => {}
        }
        self.away = answer.is_err();
    }
}

#[cfg(test)]
#[path = "lane_tests.rs"]
mod tests;
