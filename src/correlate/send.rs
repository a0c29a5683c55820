//! Sending the outcomes of problems.

use super::core::Core;
use super::effects::{Effects, Now, Reason, Verdict};
use super::key::Facts;
use super::moment::{Exact, Moment};
use super::problem::Phase;
use super::texts::{with_names, with_output};
use crate::outcome::codec;
use crate::outcome::result::State;

/// An encoded outcome.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload<'p> {
    /// That of the message that is decided about.
    Now(&'p [u8]),
    /// One that is sent later than its message: its time is that of the sending, as receivers pass over older results
    /// than their last.
    Later(&'p [u8]),
}

impl<'p> Payload<'p> {
    pub(super) fn bytes(self) -> &'p [u8] {
        match self {
            Payload::Now(bytes) | Payload::Later(bytes) => bytes,
        }
    }
}

impl Core {
    /// Sends an outcome of a problem in a state.
    pub(super) fn send(
        &mut self,
        now: Now,
        at: u32,
        (payload, state): (Payload<'_>, State),
        out: &mut Effects,
    ) {
        let bytes = out.push(payload.bytes());
        codec::set_state(bytes, state);
        if let Payload::Later(_) = payload {
            codec::set_time(bytes, now.wall);
        }
        let Some(problem) = self.problems.get_mut(at) else { return };
        problem.set_sent(Some(state));
        problem.sent_at = Moment::at(now.engine);
        if state.is_good() {
            let service = problem.service;
            self.told_that_it_is_well(service, out);
        }
        // What was swallowed before is no news any more.
        let Some(problem) = self.problems.get_mut(at) else { return };
        let stale = problem.rare.as_mut().and_then(|rare| rare.throttled.take());
        if let Some(stale) = stale {
            let rule = problem.rule;
            self.account(rule, 0, 0, stale.len());
        }
    }

    /// Sends it, unless a worse problem of the service is open.
    pub(super) fn send_if_worst(
        &mut self,
        now: Now,
        at: u32,
        (payload, state): (Payload<'_>, State),
        out: &mut Effects,
    ) -> Verdict {
        self.unlist(at);
        let worst = self.worst_other(at);
        self.list(at);
        if worst.is_some_and(|(worst, _)| worst.severity > state.severity()) {
            return out.swallow(Reason::Worse);
        }
        self.send(now, at, (payload, state), out);
        Verdict::Sent
    }

    /// Says that a problem comes and goes. `payload` is its last outcome.
    pub(super) fn flap(
        &mut self,
        now: Now,
        (at, facts): (u32, &Facts),
        (payload, flaps, within): (&[u8], u32, i64),
        out: &mut Effects,
    ) -> Verdict {
        let state = fit(State::Warning, facts.state);
        let Some(problem) = self.problems.get_mut(at) else { return Verdict::Sent };
        problem.phase = Phase::Flapping;
        problem.set_state(state);
        (problem.since, problem.raised) = (Exact::at(now.engine), Moment::at(now.engine));
        let held = self.kept_of(at);
        let word = held.as_deref().map(|held| with_names(payload, held));
        self.keep(at, Some(word.as_deref().unwrap_or(payload)));
        self.list(at);
        let seconds = within / 1_000_000;
        let said = with_output(held.as_deref().unwrap_or(payload), |output| {
            format!("Flapping: {flaps} short problems within {seconds} s; the last: {output}")
        });
        self.send_if_worst(now, at, (Payload::Now(&said), state), out)
    }
}

/// A state as one of a host or of a service, as another state is.
pub(super) fn fit(state: State, like: State) -> State {
    if state.is_host() == like.is_host() {
        return state;
    }
    match state {
        State::Ok => State::Up,
        State::Warning | State::Unknown => State::Unreachable,
        State::Critical => State::Down,
        State::Up => State::Ok,
        State::Down => State::Critical,
        State::Unreachable => State::Unknown,
    }
}

/// The worse of two states.
pub(super) fn worse(a: State, b: State) -> State {
    if b.severity() > a.severity() { b } else { a }
}
