//! From a message to outcomes in the journal. Each socket and each stream has a pipeline of its own.

use std::net::IpAddr;
use std::sync::Arc;

use crate::capture::Batch as Captured;
use crate::fast_map::FastMap;
use crate::history::Why;
use crate::intake::commit::{Committed, Refused};
use crate::intake::complaints::Complaints;
use crate::intake::counts::Counts;
use crate::intake::describe;
use crate::intake::line::Reading;
use crate::intake::listener::Protocol;
use crate::intake::made::Made;
use crate::intake::made_nothing::note;
use crate::intake::original::{self, Original};
use crate::intake::senders::Batch;
use crate::intake::shared::{Active, InForce, Shared};
use crate::intake::storm_gate::Gate;
use crate::intake::untold;
use crate::lookup::choice::{Agent, Received};
use crate::lookup::hosts::Hosts;
use crate::lookup::tables::Tables;
use crate::message::{Message, Source, TlsSender};
use crate::outcome::json::Unsaved;
use crate::rules::{MatchResult, MessageContext, Scratch};
use crate::settings::tls_server::Identity;
use crate::snmp::access::Reach;
use crate::snmp::framing::MAX_MESSAGE;
use crate::snmp::usm::Desk;
use crate::sys::Arrival;
use crate::syslog::wrappers::is_unknown_refusal;
use crate::time::clock::Now;
use crate::time::log_limit::Kind;

/// How many senders' addresses are kept as text.
const MAX_SENDERS: usize = 10_000;
/// The longest answer in a datagram, in octets: what IPv4 leaves of 65,535.
const LONGEST_DATAGRAM: usize = 65_507;
/// How many bytes of outcomes are gathered before they are committed, even within a batch.
const FULL: usize = 1 << 20;

/// The way from a message to the journal.
pub struct Pipeline {
    pub(super) shared: Arc<Shared>,
    pub(super) active: Arc<Active>,
    /// The tables of its rules and the hosts, in one version for a whole batch.
    tables: Arc<Tables>,
    pub(super) hosts: Arc<Hosts>,
    generation: u64,
    scratch: Scratch,
    pub(super) made: Made,
    /// What becomes of a batch that the journal refuses.
    pub(super) refused: Refused,
    /// Whether such a batch is still here.
    holds: bool,
    /// Whether something of what was given is not as safe as the sync policy asks for.
    pub(super) unsafe_yet: bool,
    /// Whether something was committed that the next process may not know again.
    unkept_yet: bool,
    senders: FastMap<IpAddr, Box<str>>,
    /// Who sends all of the messages, where a certificate says so.
    identity: Option<Arc<Identity>>,
    /// Where messages of v3 are opened; made with the first.
    pub(super) desk: Option<Box<Desk>>,
    /// Answers to informs whose outcomes are not committed yet.
    pub(super) pending: Vec<Answer>,
    /// Answers that may be sent.
    pub(super) ready: Vec<Answer>,
    /// How many of these are Reports.
    pub(super) reports: usize,
    /// How long an answer may be, in octets.
    pub(super) longest: usize,
    pub(super) counts: Counts,
    /// Who sent since the last commit.
    heard: Batch,
    /// Whether messages are captured, and those since the last commit.
    captures: bool,
    captured: Captured,
    /// What made no outcome since the last commit, for the history.
    untold: untold::Batch,
    /// What of storms is processed.
    pub(super) gate: Gate,
    /// Room for the rules that may ask for the state.
    asking: Vec<u32>,
}

/// A message for a sender.
#[derive(Debug)]
pub struct Answer {
    /// The message.
    pub octets: Vec<u8>,
    /// Where it goes: back to where the message came from that it answers.
    pub to: Arrival,
    /// Whether it answers an inform; otherwise it is a Report of SNMPv3.
    pub inform: bool,
}

impl Pipeline {
    /// A pipeline for datagrams. What the journal refuses waits with the commit.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self::with(shared, Refused::Queues, LONGEST_DATAGRAM, None)
    }

    /// A pipeline for a stream, with who is at its other end. What the journal refuses stays here, and the stream is not read until
    /// it is written.
    pub fn of_stream(shared: Arc<Shared>, identity: Option<Arc<Identity>>) -> Self {
        Self::with(shared, Refused::Stays, MAX_MESSAGE, identity)
    }

    /// A pipeline for requests over HTTP. What the journal refuses waits with the commit, and the sender sends it again.
    pub fn of_posts(shared: Arc<Shared>, identity: Option<Arc<Identity>>) -> Self {
        Self::with(shared, Refused::Queues, MAX_MESSAGE, identity)
    }

    fn with(shared: Arc<Shared>, refused: Refused, longest: usize, identity: Option<Arc<Identity>>) -> Self {
        let generation = shared.generation();
        let InForce { active, tables, hosts } = shared.in_force();
        Pipeline {
            generation,
            active,
            tables,
            hosts,
            captures: shared.capture.is_on(),
            captured: Captured::default(),
            shared,
            scratch: Scratch::default(),
            made: Made::default(),
            refused,
            holds: false,
            unsafe_yet: false,
            unkept_yet: false,
            senders: FastMap::default(),
            identity,
            desk: None,
            pending: Vec::new(),
            ready: Vec::new(),
            reports: 0,
            longest,
            counts: Counts::default(),
            heard: Batch::default(),
            untold: untold::Batch::default(),
            gate: Gate::default(),
            asking: Vec::new(),
        }
    }

    /// Takes new rules, if there are any. Called between batches, so that a batch sees one rule set.
    pub fn refresh(&mut self) {
        let generation = self.shared.generation();
        if generation != self.generation {
            self.generation = generation;
            InForce { active: self.active, tables: self.tables, hosts: self.hosts } = self.shared.in_force();
            self.captures = self.shared.capture.is_on();
            // It belongs to the users of before.
            self.desk = None;
        }
    }

    /// Takes a datagram, unless it is of a storm of its sender. `now` is when it was received.
    pub fn datagram(&mut self, protocol: Protocol, octets: &[u8], arrival: Arrival, now: Now) {
        if self.gate.lets_in(&self.active, &self.shared, (protocol, octets), arrival.peer, now) {
            self.message(protocol, octets, arrival, now);
        } else {
            self.counts.storm_left_out += 1;
            match protocol {
                Protocol::Snmp => self.counts.snmp_received += 1,
                Protocol::Syslog => self.counts.syslog_received += 1,
                Protocol::Http => {}
            }
        }
    }

    /// What is in force.
    pub fn active(&self) -> &Active {
        &self.active
    }

    /// Takes a message of a protocol. `now` is when it was received.
    pub fn message(&mut self, protocol: Protocol, octets: &[u8], arrival: Arrival, now: Now) {
        match protocol {
            Protocol::Snmp => self.packet(octets, arrival, now),
            Protocol::Syslog => self.line(octets, false, arrival, now),
            // Requests are read elsewhere.
            Protocol::Http => {}
        }
    }

    /// Takes the beginning of a message whose end is missing.
    pub fn beginning(&mut self, protocol: Protocol, octets: &[u8], arrival: Arrival, now: Now) {
        match protocol {
            Protocol::Snmp => self.packet(octets, arrival, now),
            Protocol::Syslog => self.line(octets, true, arrival, now),
            Protocol::Http => {}
        }
    }

    /// Takes a line of syslog, or its beginning. `now` is when it was received.
    fn line(&mut self, line: &[u8], cut: bool, arrival: Arrival, now: Now) {
        self.counts.syslog_received += 1;
        let source = Source { peer: arrival.peer, received: now.wall.micros() };
        let reading = Reading::of(&self.active, &self.hosts);
        let Ok(received) = reading.receive(line, cut, &source) else {
            return self.complaints().not_allowed(&source, now);
        };
        if self.active.forwarded.syslog {
            self.shared.forwards.give(Protocol::Syslog, arrival.peer, line);
        }
        if received.too_long {
            self.shared.oversized(source.peer, now.mono);
        }
        let (mut line, identity) = (reading.parse(&received, &source), self.identity.clone());
        line.tls = identity
            .as_deref()
            .map(|one| TlsSender { name: one.name.as_deref(), fingerprint: &one.fingerprint });
        if line.tcp_wrappers.is_none() && is_unknown_refusal(line.message) {
            self.complaints().unknown_refusal(&line, &source, now);
        }
        let message = Message::Syslog(line);
        if self.passes(&message, now) {
            self.apply(
                &message,
                Original::Line(&received.text, received.truncated),
                &source,
                Reach::default(),
                now,
            );
        }
        self.commit_if_full(now);
    }

    /// Whether a message is processed that has been let in; of a storm only some are.
    pub(super) fn passes(&mut self, message: &Message<'_>, now: Now) -> bool {
        let passes = self.gate.passes(message, self.active.rules.mib(), now);
        self.counts.storm_left_out += u64::from(!passes);
        passes
    }

    /// Whether all outcomes of the message are in the batch.
    pub(super) fn apply(
        &mut self,
        message: &Message<'_>,
        original: Original<'_>,
        source: &Source,
        reach: Reach,
        now: Now,
    ) -> bool {
        if self.active.rules.asks(message, &mut self.asking) {
            self.settle_state(now);
        }
        let mut whole = true;
        let address = source.address();
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&address) {
            self.senders.clear();
        }
        let text: &str = self.senders.entry(address).or_insert_with(|| address.to_string().into());
        let (hosts, access) = (&*self.hosts, &self.active.access);
        let relay = match message {
            Message::Notification(notification) => access.is_relay(notification, source),
            Message::Syslog(line) => {
                self.active.syslog_relays.believes(line.host, source, self.identity.as_deref())
            }
            Message::Posted(_) => true,
        };
        let names = &self.shared.reverse;
        let reverse = |address| if hosts.reverse_dns { names.name(address, now.mono) } else { None };
        let received = Received { message, source, address: text, relay, reverse: &reverse };
        let choice = hosts.choose(&received, None);
        if let Agent::Refused(agent) = choice.agent {
            self.counts.claim_refused += 1;
            if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Claim, "agent", now.mono) {
                tracing::warn!(
                    from = %source.peer, suppressed,
                    "{text} claims to be {agent}: not a relay, so that its own host is used; if it forwards for others, add it to [snmp] relays"
                );
            }
        }
        if let (Agent::RefusedName, Message::Syslog(line)) = (choice.agent, message) {
            self.counts.claim_refused += 1;
            if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Claim, "name", now.mono) {
                tracing::warn!(
                    from = %source.peer, suppressed,
                    "{text} names the host '{}': not a relay, so that its own host is used; if it forwards for others, add it to [syslog] relays",
                    line.host.unwrap_or_default().escape_debug()
                );
            }
        }
        let answers = self.shared.commit.correlation.at(now);
        let context = MessageContext::new(&received, &choice, hosts, access.tags(reach));
        let subject = MessageContext { state: Some(&answers), tables: Some(&self.tables), ..context };
        if self.captures {
            original.capture(message, source, access.tags(reach), &mut self.captured);
        }
        let charset = subject.charset;
        let mut shown = self.shared.tap.wants(address, now.mono).then(Vec::new);
        let (keeps, mut kept) = (self.active.keeps_originals, None);
        let made = &mut self.made;
        let stats = &self.shared.stats;
        let plan = self.active.rules.plan();
        let correlation = &self.shared.commit.correlation;
        let verdict = self.active.rules.apply_keyed(&subject, &mut self.scratch, |emitted| {
            if let Some(shown) = &mut shown {
                shown.extend(serde_json::to_value(Unsaved(emitted.outcome)).ok());
            }
            let follows = !made.undecided.is_empty();
            let kept = if keeps { kept.get_or_insert_with(|| original.message()).as_deref() } else { None };
            let pushed = match correlation.facts(plan, follows, emitted, &subject) {
                Some(facts) => made.undecided.push(plan, facts, emitted.outcome, kept),
                None => made.batch.push_with(emitted.outcome, kept),
            };
            if !pushed {
                whole = false;
                stats.outcomes_lost.add(1);
                tracing::error!(
                    rule = emitted.rule.id,
                    "an outcome of more than 1 MiB is lost; shorten the rule's templates"
                );
            }
        });
        self.heard.count(address, message, &choice.host, verdict);
        let nothing = match verdict {
            MatchResult::Matched => None,
            MatchResult::Dropped => Some((Why::Dropped, self.scratch.dropped_by())),
            MatchResult::Unmatched => Some((Why::Unmatched, None)),
        };
        if let Some(why) = nothing {
            note(&mut self.untold, (&self.shared, &self.active), why, (message, source, &choice.host));
        }
        self.counts.messages_cut += u64::from(self.scratch.was_cut());
        if let Some(failure) = self.scratch.failures().first() {
            self.complaints().not_rendered(failure, source, now);
        }
        if let Some(outcomes) = shown {
            let described = describe::message(message, source, charset, self.active.rules.mib());
            self.shared.tap.show(
                address,
                verdict != MatchResult::Unmatched,
                &describe::result(described, verdict, outcomes),
            );
        }
        match verdict {
            MatchResult::Matched => self.counts.matched += 1,
            MatchResult::Dropped => self.counts.dropped += 1,
            MatchResult::Unmatched => {
                self.counts.unmatched += 1;
                self.unmatched(message, original, source, now);
            }
        }
        whole
    }

    pub(super) fn complaints(&self) -> Complaints<'_> {
        Complaints { shared: &self.shared, active: &self.active, hosts: &self.hosts }
    }

    /// Has the state as the messages before this one have left it.
    fn settle_state(&mut self, now: Now) {
        if !self.made.undecided.is_empty() && !self.holds {
            self.commit_made(now);
        }
        if self.shared.commit.correlation.is_due(now) {
            self.shared.commit.advance(now);
        }
    }

    pub(super) fn commit_if_full(&mut self, now: Now) {
        if self.made.bytes() > FULL && !self.holds {
            self.commit_made(now);
        }
        if self.captured.is_full() {
            self.shared.capture.add(&mut self.captured);
        }
    }

    /// Commits what was gathered, and gives the answers that may be sent now.
    pub fn commit(&mut self, now: Now) -> std::vec::Drain<'_, Answer> {
        std::mem::take(&mut self.counts).add_to(&self.shared.stats);
        if !self.heard.is_empty() {
            self.shared.senders.add(&mut self.heard, &self.hosts, now);
        }
        self.shared.capture.add(&mut self.captured);
        self.shared.untold().add(&mut self.untold);
        self.commit_made(now);
        self.reports = 0;
        self.ready.drain(..)
    }

    fn commit_made(&mut self, now: Now) {
        let committed = self.shared.commit.batch(now, &mut self.made, self.refused);
        self.holds = committed == Committed::Kept && self.refused == Refused::Stays;
        let safe = self.shared.commit.may_answer(committed);
        self.unsafe_yet |= !self.shared.commit.is_safe(committed) && !self.holds;
        self.unkept_yet |= committed == Committed::Forgettable;
        if safe {
            self.ready.append(&mut self.pending);
        } else if !self.holds {
            // The informs come again.
            self.shared.stats.informs_unanswered.add(self.pending.len() as u64);
            self.pending.clear();
        }
    }

    /// The sender of the next message is told when it is safe.
    pub fn acknowledge(&mut self) {
        self.made.acknowledge();
    }

    /// Whether all messages for which [`Pipeline::acknowledge`] was called are as safe as the journal's settings ask for. False
    /// is for good for those that were given before the call, unless the pipeline [`holds`](Pipeline::holds) them.
    pub fn all_safe(&mut self) -> bool {
        !self.holds && !std::mem::take(&mut self.unsafe_yet)
    }

    /// Whether the next process will know what has a key and was given since the last call: it may be acknowledged then, if all is
    /// [safe](Pipeline::all_safe).
    pub fn all_kept(&mut self) -> bool {
        !std::mem::take(&mut self.unkept_yet)
    }

    /// Whether informs wait for the commit.
    pub fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether it holds outcomes that the journal refused: nothing more may be given to it until a commit has written
    /// them.
    pub fn holds(&self) -> bool {
        self.holds
    }

    fn unmatched(&self, message: &Message<'_>, original: Original<'_>, source: &Source, now: Now) {
        let mib = self.active.rules.mib();
        let sample = || original.sample(source);
        self.shared.inbox.add(original::group_of(message), source.address(), now, sample);
        if let Some(suppressed) = self.shared.limiter.allow(Kind::Unmatched, now.mono) {
            let what = describe::short(message, mib);
            tracing::info!(from = %source.peer, suppressed, "no rule takes {what}; see `trapline unmatched`");
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        self.shared.commit.give_up(&mut self.made);
    }
}
