//! What happens in the simple state when time passes, and when rules change.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::naive::{Awaited, Due, Naive, Phase, Story, state_of, swallowed, with_output, worse};
use super::naive_clear::with_names;
use crate::correlate::key::Key;
use crate::correlate::{Facts, Now, Reason, Verdict};
use crate::outcome::codec;
use crate::outcome::name::Name;
use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};
use crate::rules::deferred::Seen;
use crate::rules::plan::{Expect, Plan, RulePlan, StepAt, When};

/// What is due of everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Of {
    Problem,
    Hits,
    Window,
    Awaited,
}

impl Story {
    pub(super) fn due(&self, rule: &RulePlan) -> Option<(i64, Due)> {
        let mut all = Vec::new();
        let flaps = rule.hold.and_then(|hold| hold.flaps);
        match self.phase {
            Phase::Idle => {}
            Phase::Held => all.push((self.since + rule.hold.map_or(0, |hold| hold.time), Due::Hold)),
            Phase::Flapping => all.push((self.last + flaps.map_or(0, |(_, within)| within), Due::Quiet)),
            Phase::Open => {
                for (at, step) in rule.escalate.iter().enumerate() {
                    if let StepAt::After(after) = step.at
                        && !self.steps.contains(&at)
                    {
                        all.push((self.since + after, Due::Step(at)));
                    }
                }
                all.extend(rule.expire.iter().map(|expire| (self.last + expire.after, Due::Expire)));
                all.extend(rule.remind.map(|remind| (self.sent_at + remind, Due::Remind)));
            }
        }
        if let Some(window) = self.window {
            all.push((window + rule.dedup.as_ref().map_or(0, |dedup| dedup.window), Due::Window));
        }
        all.extend(self.cleared.map(|(at, _)| (at + 2_000_000, Due::Forget)));
        if self.phase != Phase::Flapping {
            let kept = flaps.map_or(3_600_000_000, |(_, within)| within);
            all.extend(self.cancels.last().map(|last| (last + kept, Due::Forget)));
        }
        all.into_iter().min()
    }
}

impl Naive {
    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<i64> {
        self.next().map(|(due, ..)| due.max(self.quiet_until))
    }

    fn next(&self) -> Option<(i64, i64, Key, Of)> {
        let rule = |at: usize| &self.plan.rules[at];
        let problems = self.problems.iter().filter_map(|(key, story)| {
            story.due(rule(story.rule)).map(|(due, _)| (due, story.since, *key, Of::Problem))
        });
        let hits = self.hits.iter().filter_map(|(key, hits)| {
            let last = *hits.times.last()?;
            Some((self.end_of(*key)?, last, *key, Of::Hits))
        });
        let windows = self.windows.iter().map(|(key, window)| {
            let per = rule(window.rule).throttle.as_ref().map_or(0, |throttle| throttle.per);
            (window.since + per, window.since, *key, Of::Window)
        });
        let awaited = self.awaited.iter().filter_map(|(key, entry)| {
            let expect = rule(entry.rule).expect.as_deref()?;
            let deadline = match expect.when {
                When::Every(every) => entry.late.is_none().then_some(entry.last + every + expect.grace),
                When::By(_) => entry.judged.map(|judged| judged - self.ahead),
            };
            let due = deadline.into_iter().chain(forgotten(entry, expect)).min()?;
            Some((due, entry.last, *key, Of::Awaited))
        });
        problems
            .chain(hits)
            .chain(windows)
            .chain(awaited)
            .min_by_key(|(due, came, key, _)| (*due, *came, *key))
    }

    /// When a threshold ends: with its recovery, or when its messages are old.
    fn end_of(&self, key: Key) -> Option<i64> {
        let hits = &self.hits[&key];
        let last = *hits.times.last()?;
        let threshold = self.plan.rules[hits.rule].threshold.as_ref()?;
        Some(last + hits.fired.as_ref().and(threshold.recover).unwrap_or(threshold.within))
    }

    /// Has everything happen that is due by now.
    pub(super) fn advance(&mut self, now: Now) {
        self.now = now;
        if now.engine < self.quiet_until {
            return;
        }
        if !self.awaited.is_empty() && (now.wall - now.engine - self.ahead).abs() >= 100_000 {
            self.ahead = now.wall - now.engine;
        }
        while let Some((_, _, key, of)) = self.next().filter(|(due, ..)| *due <= now.engine) {
            match of {
                Of::Problem => {
                    self.happen(key);
                    self.forget(key);
                }
                Of::Hits => self.recover(key),
                Of::Window => self.end_window(key),
                Of::Awaited => self.judge(key),
            }
        }
    }

    /// Has everything happen to a problem that is due by now.
    pub(super) fn happen(&mut self, key: Key) {
        let plan = self.plan.clone();
        while let Some(story) = self.problems.get(&key) {
            let rule = &plan.rules[story.rule];
            let Some((due, what)) = story.due(rule).filter(|(due, _)| *due <= self.now.engine) else {
                return;
            };
            if self.now.engine < self.quiet_until && !matches!(what, Due::Window | Due::Forget) {
                return;
            }
            self.happens(key, rule, due, what);
        }
    }

    fn happens(&mut self, key: Key, rule: &RulePlan, due: i64, what: Due) {
        let now = self.now.engine;
        let story = self.problems.get_mut(&key).unwrap();
        match what {
            Due::Hold => {
                let word = story.word.take().expect("what is held is kept");
                self.open(key, &word, state_of(&word), true);
            }
            Due::Quiet => {
                story.cancels.clear();
                let word = story.word.take().expect("the last word is kept");
                let state = state_of(&word);
                if state.is_good() {
                    if self.close(key, &word).is_none() {
                        self.send(key, &word, state, true);
                    }
                } else {
                    (story.phase, story.raises) = (Phase::Idle, 1);
                    self.open(key, &word, state, true);
                }
            }
            Due::Step(at) => {
                story.steps.insert(at);
                let before = story.state;
                let taken = story.steps.iter().filter_map(|at| rule.escalate.get(*at)).map(|step| step.state);
                story.state = taken.fold(before, worse);
                let state = story.state;
                if state != before
                    && let Some(said) = self.said(key)
                {
                    self.send_if_worst(key, &said, state, true);
                }
            }
            Due::Expire => {
                let expire = rule.expire.as_ref().unwrap();
                let (count, since, last) = (story.raises, story.since, story.last);
                let word = story.word.take().expect("what expires is kept");
                let seen = Seen {
                    count: count.into(),
                    first: self.seconds(since),
                    last: self.seconds(last),
                    due: self.seconds(due),
                };
                let said = self.rendered(&word, &expire.output, seen);
                self.end_as(key, &said, expire.state);
            }
            Due::Remind => {
                story.sent_at = now;
                let state = story.state;
                if let Some(said) = self.said(key) {
                    self.send_if_worst(key, &said, state, true);
                }
            }
            Due::Window => self.end_dedup(key, rule, due),
            Due::Forget => {
                story.cleared = story.cleared.filter(|(at, _)| at + 2_000_000 > now);
                let kept = rule.hold.and_then(|hold| hold.flaps).map_or(3_600_000_000, |(_, within)| within);
                if story.cancels.last().is_some_and(|last| last + kept <= now) {
                    story.cancels.clear();
                }
            }
        }
    }

    fn end_dedup(&mut self, key: Key, rule: &RulePlan, due: i64) {
        let story = self.problems.get_mut(&key).unwrap();
        let (first, repeats) = (story.window.take().unwrap(), std::mem::take(&mut story.repeats));
        let summary = rule.dedup.as_ref().and_then(|dedup| dedup.summary.as_ref());
        let Some(summary) = summary.filter(|_| repeats > 1) else { return };
        let (word, state, last) = (story.word.clone(), story.sent, story.last);
        if let (Some(word), Some(state)) = (word, state) {
            let seen = Seen {
                count: repeats.into(),
                first: self.seconds(first),
                last: self.seconds(last),
                due: self.seconds(due),
            };
            let said = self.rendered(&word, summary, seen);
            self.send_if_worst(key, &said, state, true);
        }
        let story = self.problems.get_mut(&key).unwrap();
        if story.phase == Phase::Idle {
            story.word = None;
        }
    }

    fn recover(&mut self, key: Key) {
        let (plan, due) = (self.plan.clone(), self.end_of(key).unwrap());
        let hits = self.hits.remove(&key).unwrap();
        let Some((problem, payload)) = hits.fired else { return };
        let threshold = plan.rules[hits.rule].threshold.as_ref().unwrap();
        self.happen(problem);
        let Some(story) = self.problems.get(&problem) else { return };
        if story.is_open() && story.rule == hits.rule {
            let last = *hits.times.last().unwrap();
            let counted = hits.times.iter().filter(|at| **at + threshold.within > last).count();
            let seen = Seen {
                count: counted.min(threshold.count as usize) as u64,
                first: self.seconds(story.since),
                last: self.seconds(last),
                due: self.seconds(due),
            };
            let state = threshold.recovery.state.unwrap_or(State::Ok);
            let word = self.problems[&problem].word.as_ref();
            let payload = word.map_or(payload.clone(), |word| with_names(&payload, word));
            let mut said = self.rendered(&payload, &threshold.recovery.output, seen);
            codec::set_state(&mut said, state);
            if self.close(problem, &said).is_none() {
                self.send(problem, &said, state, true);
            }
        }
        self.forget(problem);
    }

    /// A message of a rule that expects messages. Whether it was late, and is to say itself that it has come.
    pub(super) fn heard(&mut self, rule: &RulePlan, facts: &Facts) -> bool {
        let (Some(expect), Some(text)) = (&rule.expect, &facts.expect) else { return false };
        let key = self.secret.expectation(rule.id, text);
        if !self.awaited.contains_key(&key) {
            if !expect.learn {
                return false;
            }
            self.expect(expect, facts.rule as usize, key, text);
        }
        let now = self.now.engine;
        let entry = self.awaited.get_mut(&key).unwrap();
        (entry.last, entry.seen, entry.count) = (now, true, entry.count + 1);
        let Some(late) = entry.late.take() else { return false };
        let says_it = if facts.state.is_good() { rule.clears } else { rule.hold.is_none() };
        if facts.key == late && rule.threshold.is_none() && says_it {
            return true;
        }
        let has_ended = !self.problems.contains_key(&late) && self.left.contains(&late.low());
        if has_ended && self.worst(late.low(), None).is_none() {
            if self.still_awaited(late).is_some() {
                return false;
            }
            let mut outcome = self.silence(key, expect);
            (outcome.common_mut().output, outcome.common_mut().state) =
                ("The messages come again".into(), State::Ok);
            let mut payload = Vec::new();
            codec::encode(&outcome, &mut payload);
            self.out.push(payload);
            self.is_well(late.low());
        } else if self.stays_late(late, true).is_none() {
            self.end_lateness(late, Some("The messages come again"));
        }
        false
    }

    /// Whether a problem is older than the clear that came before it.
    pub(super) fn is_overtaken(&self, facts: &Facts) -> bool {
        let (Some((at, clear)), Some(own)) = (self.problems[&facts.key].cleared, facts.sender) else {
            return false;
        };
        self.now.engine - at <= 2_000_000
            && own.agent == clear.agent
            && (1..=500).contains(&(i64::from(clear.uptime) - i64::from(own.uptime)))
    }

    /// One that is late with a problem.
    fn still_awaited(&self, problem: Key) -> Option<Key> {
        self.awaited.iter().find(|(_, entry)| entry.late == Some(problem)).map(|(key, _)| *key)
    }

    /// Where another key is still late, its service is.
    pub(super) fn stays_late(&mut self, problem: Key, came: bool) -> Option<Verdict> {
        let other = self.still_awaited(problem)?;
        let (at, plan) = (self.awaited[&other].rule, self.plan.clone());
        let rule = &plan.rules[at];
        let expect = rule.expect.as_ref()?;
        self.happen(problem);
        let story = self.problems.get(&problem)?;
        if story.phase != Phase::Open {
            self.forget(problem);
            return None;
        }
        let steps =
            story.steps.iter().filter(|_| story.rule == at).filter_map(|step| rule.escalate.get(*step));
        let state = steps.fold(expect.state, |state, step| worse(state, step.state));
        if !came && story.state == state && story.sent.is_none_or(|sent| sent == state) {
            return Some(swallowed(Reason::StillOpen));
        }
        let mut payload = Vec::new();
        codec::encode(&self.silence(other, expect), &mut payload);
        self.adopt(problem, at);
        let verdict = self.open(problem, &payload, expect.state, true);
        self.forget(problem);
        Some(verdict)
    }

    fn expect(&mut self, expect: &Expect, rule: usize, key: Key, text: &str) {
        if self.awaited.is_empty() {
            self.ahead = self.now.wall - self.now.engine;
        }
        let now = self.now.engine;
        let judged = planned(expect, self.now.wall);
        let text = text.to_owned();
        let new = Awaited { rule, text, count: 0, first: now, last: now, judged, seen: false, late: None };
        self.awaited.insert(key, new);
    }

    pub(super) fn expect_known(&mut self) {
        let plan = self.plan.clone();
        let mut named = Vec::new();
        for (at, rule) in plan.rules.iter().enumerate() {
            let Some(expect) = &rule.expect else { continue };
            for text in &expect.keys {
                let key = self.secret.expectation(rule.id, text);
                named.push(key);
                if !self.awaited.contains_key(&key) {
                    self.expect(expect, at, key, text);
                }
            }
        }
        let wall = self.now.wall;
        let mut gone = Vec::new();
        self.awaited.retain(|key, entry| {
            let expect = plan.rules[entry.rule].expect.as_ref().unwrap();
            // The time that is judged next stays, if it is one of these settings.
            let planned_here = match &expect.when {
                When::Every(_) => entry.judged.is_none(),
                When::By(daily) => entry.judged.is_some_and(|judged| {
                    daily.after(judged - expect.grace - 1) == Some(judged - expect.grace)
                }),
            };
            if !planned_here {
                entry.judged = planned(expect, wall);
            }
            let stays = expect.learn || named.contains(key);
            gone.extend(entry.late.filter(|_| !stays).map(|late| (late, entry.rule)));
            stays
        });
        self.give_up(gone);
    }

    fn end_lateness(&mut self, late: Key, said: Option<&str>) {
        if !self.problems.contains_key(&late) {
            return;
        }
        self.happen(late);
        let story = &self.problems[&late];
        if story.phase == Phase::Idle {
            return self.forget(late);
        }
        match (said, story.word.clone()) {
            (Some(said), Some(word)) => {
                let said = with_output(&word, said);
                if self.close(late, &said).is_none() {
                    self.send(late, &said, State::Ok, true);
                }
                self.forget(late);
            }
            _ => self.drop_silently(late),
        }
    }

    /// Nobody waits any more for what is late.
    fn give_up(&mut self, late: Vec<(Key, usize)>) {
        let late = late.into_iter().collect::<BTreeSet<_>>();
        for problem in late.iter().map(|(late, _)| *late).collect::<BTreeSet<_>>() {
            if self.stays_late(problem, true).is_some() {
                continue;
            }
            for (_, rule) in late.iter().filter(|(late, _)| *late == problem) {
                if self.problems.get(&problem).is_some_and(|story| story.rule == *rule) {
                    self.end_lateness(problem, None);
                }
            }
        }
    }

    fn judge(&mut self, key: Key) {
        let plan = self.plan.clone();
        let (engine, wall) = (self.now.engine, self.now.wall);
        let entry = self.awaited.get_mut(&key).unwrap();
        let expect = plan.rules[entry.rule].expect.as_ref().unwrap();
        if forgotten(entry, expect).is_some_and(|at| at <= engine) {
            let entry = self.awaited.remove(&key).unwrap();
            return self.give_up(entry.late.map(|late| (late, entry.rule)).into_iter().collect());
        }
        self.ahead = wall - engine;
        let late = match expect.when {
            When::Every(every) => entry.late.is_none() && entry.last + every + expect.grace <= engine,
            When::By(_) if entry.judged.is_some_and(|judged| judged <= wall) => {
                entry.judged = planned(expect, wall);
                !std::mem::take(&mut entry.seen) && entry.late.is_none()
            }
            When::By(_) => false,
        };
        if late {
            self.late(key, expect);
        }
    }

    fn silence(&self, key: Key, expect: &Expect) -> Outcome<'static> {
        let plan = self.plan.clone();
        let entry = &self.awaited[&key];
        let rule = &plan.rules[entry.rule];
        let seen = Seen {
            count: entry.count.into(),
            first: self.seconds(entry.first),
            last: self.seconds(entry.last),
            due: self.now.wall / 1_000_000,
        };
        let common = Common {
            time: self.now.wall,
            rule: Cow::Owned(rule.name.to_string()),
            state: expect.state,
            output: Cow::Borrowed(""),
            long_output: Cow::Borrowed(""),
            source: Cow::Borrowed(""),
            labels: crate::outcome::result::Labels::default(),
        };
        let host = Name::new(entry.text.clone());
        let mut outcome = if expect.event {
            Outcome::Event(Event { common, component: host, resource: None, fields: Vec::new() })
        } else {
            Outcome::CheckResult(CheckResult { common, host, service: None, perfdata: Cow::Borrowed("") })
        };
        let render = |template| plan.render(template, &outcome, seen, Some(&entry.text)).unwrap();
        let names =
            (Name::new(render(&expect.host)), expect.service.as_ref().map(|name| Name::new(render(name))));
        match &mut outcome {
            Outcome::CheckResult(check) => (check.host, check.service) = names,
            Outcome::Event(event) => (event.component, event.resource) = names,
        }
        let output = plan.render(&expect.output, &outcome, seen, Some(&entry.text)).unwrap();
        outcome.common_mut().output = output.into();
        outcome
    }

    fn late(&mut self, key: Key, expect: &Expect) {
        let entry = self.awaited[&key].clone();
        let outcome = self.silence(key, expect);
        let mut payload = Vec::new();
        codec::encode(&outcome, &mut payload);
        let service = self.secret.service(&outcome);
        self.awaited.get_mut(&key).unwrap().late = Some(service);
        let facts = Facts {
            rule: entry.rule as u32,
            key: service,
            service,
            host: 0,
            count: service,
            bucket: service,
            state: expect.state,
            event: expect.event,
            sender: None,
            expect: None,
        };
        self.place(&facts);
        self.happen(service);
        self.adopt(service, entry.rule);
        let now = self.now.engine;
        let story = self.problems.get_mut(&service).unwrap();
        (story.last, story.raises) = (now, story.raises + 1);
        self.open(service, &payload, expect.state, true);
        self.forget(service);
    }

    /// Puts another plan in force; after a restart nobody has listened for some time.
    pub(super) fn replace(&mut self, plan: Arc<Plan>, now: Now, unheard: i64) {
        self.now = now;
        let before = std::mem::replace(&mut self.plan, plan.clone());
        let new = |at: usize, expects: bool| {
            let identity = |rule: &RulePlan| if expects { rule.expects } else { rule.identity };
            let wanted = identity(&before.rules[at]);
            plan.rules.iter().position(|rule| identity(rule) == wanted && rule.tracked)
        };
        let mut gone = Vec::new();
        let mut kept = BTreeMap::new();
        for (key, mut story) in std::mem::take(&mut self.problems) {
            match new(story.rule, false) {
                Some(rule) => {
                    story.rule = rule;
                    kept.insert(key, story);
                }
                None => gone.push((story.since, key, story)),
            }
        }
        self.problems = kept;
        self.hits.retain(|_, hits| {
            let at = new(hits.rule, false).filter(|at| plan.rules[*at].threshold.is_some());
            hits.rule = at.unwrap_or(0);
            at.is_some()
        });
        self.windows.retain(|_, window| {
            let at = new(window.rule, false);
            window.rule = at.unwrap_or(0);
            at.is_some()
        });
        let mut late = Vec::new();
        self.awaited.retain(|_, entry| {
            let by = new(entry.rule, false);
            let at = new(entry.rule, true).filter(|at| plan.rules[*at].expect.is_some());
            late.extend(entry.late.zip(by).filter(|_| at.is_none()));
            entry.rule = at.unwrap_or(0);
            at.is_some()
        });
        if unheard > 0 {
            for entry in self.awaited.values_mut() {
                entry.last += unheard;
                let expect = plan.rules[entry.rule].expect.as_ref().unwrap();
                if entry.judged.is_none_or(|judged| judged <= now.wall) && matches!(expect.when, When::By(_))
                {
                    (entry.seen, entry.judged) = (false, planned(expect, now.wall));
                }
            }
        }
        self.ahead = now.wall - now.engine;
        self.give_up(late);
        self.expect_known();
        gone.sort_by_key(|(since, key, _)| (*since, *key));
        for (_, _, story) in gone {
            let mut told = story.sent.filter(|sent| !sent.is_good());
            let held = story.word.filter(|_| matches!(story.phase, Phase::Held | Phase::Flapping));
            if let Some(mut pending) = story.withheld.or(held) {
                codec::set_time(&mut pending, now.wall);
                told = Some(state_of(&pending));
                self.out.push(pending);
            }
            match told {
                Some(told) if told.is_good() => self.is_well(story.service),
                Some(_) => {
                    self.left.insert(story.service);
                }
                None => {}
            }
        }
    }
}

/// When a key is forgotten.
fn forgotten(entry: &Awaited, expect: &Expect) -> Option<i64> {
    let named = expect.keys.iter().any(|key| **key == *entry.text);
    expect.forget.filter(|_| !named).map(|forget| entry.last + forget)
}

/// The time of day that is judged next.
fn planned(expect: &Expect, wall: i64) -> Option<i64> {
    let When::By(daily) = &expect.when else { return None };
    daily.after(wall - expect.grace).map(|next| next + expect.grace)
}
