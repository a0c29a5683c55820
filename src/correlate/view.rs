//! What is kept, for people: what is open, since when, and what happens to it next; and ending it by hand.

use serde::Serialize;

use super::core::Core;
use super::correlator::Correlator;
use super::count::{Bucket, Count};
use super::effects::{Effects, Kind, Now};
use super::expectation::Expectation;
use super::key::{Key, Secret};
use super::problem::{Due, NEVER, Phase, Problem};
use super::send::{Payload, fit};
use super::table::Entry as _;
use super::texts::with_output;
use crate::outcome::codec;
use crate::outcome::result::{Outcome, State};
use crate::rules::matching::Glob;
use crate::rules::plan::{Plan, RulePlan};
use crate::time::clock::rfc3339;

/// Which entries somebody asks for: those that fit everything that is given.
#[derive(Debug, Default)]
pub struct Wanted {
    /// With one of these ids; any if there is none.
    pub ids: Vec<u64>,
    /// Of rules whose id is like this.
    pub rule: Option<Glob>,
    /// Of hosts or components like this.
    pub host: Option<Glob>,
    /// Of services or resources like this.
    pub service: Option<Glob>,
    /// With one of these keys; any if there is none.
    pub keys: Vec<Key>,
    /// Also what thresholds and throttles count, and what is expected.
    pub counts: bool,
}

impl Wanted {
    /// The keys of problems of rules whose `key` is this text.
    pub fn keys_of(secret: Secret, text: &str) -> Vec<Key> {
        ["check_result", "event"].map(|kind| secret.problem(kind, text)).into()
    }
}

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// An open problem.
    Open,
    /// A problem that waits for the end of its hold.
    Held,
    /// A problem that comes and goes too often.
    Flapping,
    /// What a threshold counts.
    Threshold,
    /// What a throttle counts.
    Throttle,
    /// Messages that must come.
    Expected,
}

/// What happens next if no message comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The hold ends, and the problem is sent.
    Hold,
    /// It was quiet for long enough: the true state is sent.
    Quiet,
    /// A step of `escalate`.
    Escalate,
    /// It expires.
    Expire,
    /// It is sent again.
    Remind,
    /// The window of `dedup` ends.
    Dedup,
    /// The threshold recovers.
    Recover,
    /// What was counted is old.
    Forget,
    /// The window of `throttle` ends.
    Throttle,
    /// The next message is late.
    Late,
}

/// An entry as people see it. Times are RFC 3339.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// What it is named by: sixteen hexadecimal digits.
    pub id: String,
    /// What it is.
    pub what: What,
    /// The id of its rule.
    pub rule: String,
    /// "check_result" or "event"; none if that is not kept.
    pub kind: Option<&'static str>,
    /// The host or component, or the key that is expected; none if it is not kept.
    pub host: Option<String>,
    /// The service or resource.
    pub service: Option<String>,
    /// The state.
    pub state: Option<State>,
    /// The state that was sent last.
    pub sent: Option<State>,
    /// Since when.
    pub since: String,
    /// When its last message came.
    pub last: String,
    /// How many messages there were.
    pub count: u32,
    /// How many repeats the window of `dedup` has swallowed.
    pub repeats: u32,
    /// What happens next.
    pub next: Option<Next>,
    /// When.
    pub due: Option<String>,
    /// The output of the last message; none if it is not kept.
    pub output: Option<String>,
    /// Since when, in engine time: the texts of times have no order.
    #[serde(skip)]
    pub began: i64,
}

impl Row {
    fn age(&self) -> (i64, &str) {
        (self.began, &self.id)
    }

    /// Whether receivers were told of it and it is not over.
    fn is_open(&self) -> bool {
        matches!(self.what, What::Open | What::Flapping)
    }

    /// How bad it is, among services and hosts: as with a core, critical is worse than unknown.
    fn badness(&self) -> u8 {
        match self.state {
            None | Some(State::Ok | State::Up) => 0,
            Some(State::Warning) => 1,
            Some(State::Unknown | State::Unreachable) => 2,
            Some(State::Critical | State::Down) => 3,
        }
    }
}

/// Entries that somebody has asked for.
#[derive(Debug, Default)]
pub struct Listed {
    most: usize,
    rows: Vec<Row>,
    /// How many there are.
    pub total: usize,
    /// How many of them are open problems.
    pub open: usize,
    /// The worst of these, and of those that are as bad the oldest.
    pub worst: Option<Row>,
}

impl Listed {
    /// None yet. At most `most` are kept, the oldest.
    pub fn new(most: usize) -> Self {
        Listed { most, ..Listed::default() }
    }

    /// Adds some, in any order.
    pub fn add(&mut self, rows: Vec<Row>) {
        self.total += rows.len();
        for row in rows.iter().filter(|row| row.is_open()) {
            self.open += 1;
            let is_worse = |worst: &Row| {
                row.badness() > worst.badness()
                    || (row.badness() == worst.badness() && row.age() < worst.age())
            };
            if self.worst.as_ref().is_none_or(is_worse) {
                self.worst = Some(row.clone());
            }
        }
        self.rows.extend(rows);
        if self.rows.len() > 2 * self.most.max(1000) {
            self.shorten();
        }
    }

    fn shorten(&mut self) {
        self.rows.sort_by(|a, b| a.age().cmp(&b.age()));
        self.rows.truncate(self.most);
    }

    /// The oldest, the oldest of all first.
    pub fn oldest(&mut self) -> &[Row] {
        self.shorten();
        &self.rows
    }
}

/// How an entry is ended by hand.
#[derive(Debug, Clone, Copy)]
pub struct Clear<'c> {
    /// The output of what is sent.
    pub output: &'c str,
    /// Nothing is sent: only the state forgets it.
    pub silent: bool,
}

impl Correlator {
    /// The entries of some places that are wanted, in any order. The places are from `from` on, at most `most`; gives with
    /// them where the next ones begin, or none if there are no more.
    pub fn view(&self, now: Now, wanted: &Wanted, from: u32, most: u32) -> (Vec<Row>, Option<u32>) {
        let core = &self.core;
        let (problems, counts) =
            (core.problems.capacity(), core.problems.capacity() + core.counts.capacity());
        let buckets = counts + core.buckets.capacity();
        let end = if wanted.counts { buckets + core.expectations.capacity() } else { problems };
        let to = from.saturating_add(most).min(end);
        let mut rows = Vec::new();
        for at in from..to {
            if at < problems {
                rows.extend(
                    core.problems
                        .get(at)
                        .and_then(|p| problem(&self.plan, now, wanted, (&p, || core.kept_of(at)))),
                );
            } else if at < counts {
                rows.extend(core.counts.get(at - problems).and_then(|c| count(&self.plan, now, wanted, c)));
            } else if at < buckets {
                rows.extend(
                    core.buckets.get(at - counts).and_then(|b| throttled(&self.plan, now, wanted, b)),
                );
            } else {
                let entry = core.expectations.get(at - buckets);
                rows.extend(entry.and_then(|entry| expected(&self.plan, now, wanted, entry)));
            }
        }
        (rows, Some(to).filter(|to| *to < end))
    }

    /// Ends what is wanted in some places, as [`Correlator::view`] names them. Gives the entries as they were.
    pub fn clear(
        &mut self,
        now: Now,
        (wanted, how): (&Wanted, Clear<'_>),
        (from, most): (u32, u32),
        out: &mut Effects,
    ) -> (Vec<Row>, Option<u32>) {
        let (rows, next) = self.view(now, wanted, from, most);
        for row in &rows {
            let Ok(low) = u64::from_str_radix(&row.id, 16) else { continue };
            let core = &mut self.core;
            match row.what {
                What::Open | What::Held | What::Flapping => {
                    if let Some(at) = core.problems.find_low(low) {
                        core.clear_by_hand(&self.plan, now, at, how, out);
                    }
                }
                What::Threshold => {
                    if let Some(count) = core.counts.find_low(low).and_then(|at| core.counts.remove(at)) {
                        core.account(count.rule, -1, 0, count.bytes());
                        out.touched.push((Kind::Count, count.key));
                    }
                }
                What::Expected => {
                    if let Some(at) = core.expectations.find_low(low) {
                        core.forget_by_hand(&self.plan, now, at, out);
                    }
                }
                What::Throttle => {
                    if let Some(at) = core.buckets.find_low(low) {
                        core.end_bucket(&self.plan, now, at, (now.engine, how.silent), out);
                    }
                }
            }
        }
        (rows, next)
    }
}

impl Core {
    /// Ends a problem as its clear would. A held one of which nobody was told ends without a word.
    fn clear_by_hand(&mut self, plan: &Plan, now: Now, at: u32, how: Clear<'_>, out: &mut Effects) {
        self.fire_problem(plan, now, at, out);
        let Some(problem) = self.problems.get(at) else { return };
        let (phase, kept, told) = (problem.phase, self.kept_of(at), problem.is_told());
        let state = fit(State::Ok, problem.state());
        if how.silent || (phase == Phase::Held && !told) {
            self.drop_silently(at, out);
        } else if phase != Phase::Idle {
            let said = kept.map(|kept| with_output(&kept, |_| how.output.to_owned()));
            let closed = self.close(now, at, said.as_deref().unwrap_or_default(), out);
            if let (None, Some(said)) = (closed, said) {
                self.send(now, at, (Payload::Later(&said), state), out);
            }
        }
        self.settle(plan, at, out);
    }
}

impl Wanted {
    fn fits(&self, key: Key, rule: &RulePlan) -> bool {
        (self.ids.is_empty() || self.ids.contains(&key.low()))
            && (self.keys.is_empty() || self.keys.contains(&key))
            && self.rule.as_ref().is_none_or(|rule_glob| rule_glob.matches(&rule.name))
    }

    /// Whether the names of an outcome fit; without an outcome they are not known, and fit nothing that is asked for.
    fn fits_names(&self, outcome: Option<&Outcome<'_>>) -> bool {
        let fits = |glob: Option<&Glob>, name: Option<&str>| {
            glob.is_none_or(|glob| name.is_some_and(|name| glob.matches(name)))
        };
        fits(self.host.as_ref(), outcome.map(Outcome::host))
            && fits(self.service.as_ref(), outcome.and_then(Outcome::service))
    }
}

fn time(now: Now, engine: i64) -> String {
    rfc3339(now.wall_at(engine))
}

fn id(key: Key) -> String {
    format!("{:016x}", key.low())
}

fn row(now: Now, key: Key, rule: &RulePlan, outcome: Option<&Outcome<'_>>, what: What, since: i64) -> Row {
    Row {
        id: id(key),
        what,
        rule: rule.name.to_string(),
        kind: outcome.map(Outcome::kind),
        host: outcome.map(|outcome| outcome.host().to_owned()),
        service: outcome.and_then(Outcome::service).map(str::to_owned),
        state: None,
        sent: None,
        since: time(now, since),
        last: time(now, since),
        count: 0,
        repeats: 0,
        next: None,
        due: None,
        output: outcome.map(|o| o.common().output.to_string()).filter(|output| !output.is_empty()),
        began: since,
    }
}

fn problem(
    plan: &Plan,
    now: Now,
    wanted: &Wanted,
    (problem, kept): (&Problem, impl FnOnce() -> Option<Vec<u8>>),
) -> Option<Row> {
    let what = match problem.phase {
        Phase::Idle => return None,
        Phase::Held => What::Held,
        Phase::Open => What::Open,
        Phase::Flapping => What::Flapping,
    };
    let rule = plan.rules.get(problem.rule as usize)?;
    if !wanted.fits(problem.key, rule) {
        return None;
    }
    let kept = kept();
    let outcome = kept.as_deref().and_then(codec::decode);
    if !wanted.fits_names(outcome.as_ref()) {
        return None;
    }
    let due = problem.due(rule).map(|(at, due)| (time(now, at), due));
    let next = due.as_ref().map(|(_, due)| match due {
        Due::Hold => Next::Hold,
        Due::Quiet => Next::Quiet,
        Due::Step(_) => Next::Escalate,
        Due::Expire => Next::Expire,
        Due::Remind => Next::Remind,
        Due::Window => Next::Dedup,
        Due::Forget => Next::Forget,
    });
    Some(Row {
        state: Some(problem.state()),
        sent: problem.sent(),
        last: time(now, problem.raised.micros()),
        count: problem.raises,
        repeats: problem.repeats.saturating_sub(1),
        next,
        due: due.map(|(at, _)| at),
        ..row(now, problem.key, rule, outcome.as_ref(), what, problem.since.micros())
    })
}

fn count(plan: &Plan, now: Now, wanted: &Wanted, count: &Count) -> Option<Row> {
    let rule = plan.rules.get(count.rule as usize)?;
    let outcome = count.fired.as_ref().and_then(|fired| codec::decode(&fired.1));
    if !wanted.fits(count.key, rule) || !wanted.fits_names(outcome.as_ref()) {
        return None;
    }
    let due = count.due(rule.threshold.as_ref());
    let recovers = count.fired.is_some() && rule.threshold.as_ref().is_some_and(|t| t.recover.is_some());
    Some(Row {
        last: time(now, count.last),
        count: count.total(),
        next: Some(if recovers { Next::Recover } else { Next::Forget }),
        due: Some(time(now, due)),
        ..row(now, count.key, rule, outcome.as_ref(), What::Threshold, count.first().unwrap_or(count.last))
    })
}

fn expected(plan: &Plan, now: Now, wanted: &Wanted, entry: &Expectation) -> Option<Row> {
    let rule = plan.rules.get(entry.rule as usize)?;
    let expect = rule.expect.as_deref()?;
    let fits_host = wanted.host.as_ref().is_none_or(|host| host.matches(&entry.text));
    if !wanted.fits(entry.key, rule) || !fits_host || wanted.service.is_some() {
        return None;
    }
    let deadline = entry.deadline(expect, now.wall.saturating_sub(now.engine));
    let (at, next) = [(deadline, Next::Late), (entry.forgotten(expect), Next::Forget)]
        .into_iter()
        .min_by_key(|(at, _)| *at)
        .filter(|(at, _)| *at != NEVER)
        .unzip();
    Some(Row {
        host: Some(entry.text.to_string()),
        last: time(now, entry.last),
        count: entry.count,
        next,
        due: at.map(|at| time(now, at)),
        ..row(now, entry.key, rule, None, What::Expected, entry.first)
    })
}

fn throttled(plan: &Plan, now: Now, wanted: &Wanted, bucket: &Bucket) -> Option<Row> {
    let rule = plan.rules.get(bucket.rule as usize)?;
    if !wanted.fits(bucket.key(), rule) || !wanted.fits_names(None) {
        return None;
    }
    let per = rule.throttle.as_ref().map_or(0, |throttle| throttle.per);
    Some(Row {
        count: bucket.passed.saturating_add(bucket.swallowed),
        repeats: bucket.swallowed,
        next: Some(Next::Throttle),
        due: Some(time(now, bucket.since + per)),
        ..row(now, bucket.key, rule, None, What::Throttle, bucket.since)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry(number: usize, (began, state, what): (i64, State, What)) -> Row {
        Row {
            id: format!("{number:016x}"),
            what,
            rule: "r".to_owned(),
            kind: None,
            host: None,
            service: None,
            state: Some(state),
            sent: None,
            // Text of a second is behind that of its parts.
            since: rfc3339(began),
            last: String::new(),
            count: 1,
            repeats: 0,
            next: None,
            due: None,
            output: None,
            began,
        }
    }

    fn entries() -> impl Strategy<Value = Vec<(i64, State, What)>> {
        let states = vec![State::Ok, State::Warning, State::Unknown, State::Critical, State::Down];
        let began = (0..6i64).prop_map(|halves| halves * 500_000);
        let what = prop::sample::select(vec![What::Open, What::Flapping, What::Held, What::Expected]);
        prop::collection::vec((began, prop::sample::select(states), what), 0..60)
    }

    proptest! {
        #[test]
        fn the_oldest_are_listed_and_the_worst_of_all_is_known(all in entries(), most in 0..70usize, part in 1..9usize) {
            let rows: Vec<Row> = (0..).zip(&all).map(|(number, one)| entry(number, *one)).collect();
            let mut listed = Listed::new(most);
            for part in rows.chunks(part) {
                listed.add(part.to_vec());
                // As when it has grown too long.
                listed.shorten();
            }
            let open: Vec<&Row> = rows.iter().filter(|row| row.is_open()).collect();
            prop_assert_eq!((listed.total, listed.open), (rows.len(), open.len()));
            let worst = open.iter().min_by_key(|row| (u8::MAX - row.badness(), row.began, row.id.clone()));
            prop_assert_eq!(listed.worst.as_ref(), worst.copied());
            let mut sorted: Vec<Row> = rows.clone();
            sorted.sort_by_key(|row| (row.began, row.id.clone()));
            sorted.truncate(most);
            prop_assert_eq!(listed.oldest(), &sorted[..]);
        }
    }
}
