//! From a packet or a line to outcomes in the journal. One pipeline an intake, used by one thread at a time.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ipnet::IpNet;

use crate::intake::describe;
use crate::intake::listener::Protocol;
use crate::intake::reports::Reports;
use crate::intake::shared::{Active, Shared};
use crate::journal::{Batch, SyncPolicy};
use crate::message::{Message, Notification, NotificationKind, SecurityLevel, Source};
use crate::mib::format::hex;
use crate::rules::{MatchResult, MessageContext, Scratch};
use crate::snmp::access::{Denied, Reach};
use crate::snmp::usm::{Refused, UsmError};
use crate::snmp::{self, DecodeError};
use crate::sys::Arrival;
use crate::syslog;
use crate::time::log_limit::Kind;
use crate::time::recent::Recent;

/// How many senders' addresses are kept as text.
const MAX_SENDERS: usize = 10_000;
/// How many Reports a batch may give rise to: a flood of strangers gets no flood of answers.
const MAX_REPORTS: usize = 64;
/// How long an inform is known again, in seconds: longer than devices go on sending one, and than the time window of
/// v3 lets a copy of one in.
const REPEAT_WINDOW: u64 = 300;
/// How many informs are known again.
const MAX_INFORMS: usize = 1 << 17;
/// How many bytes of a bad packet are shown.
const SHOWN: usize = 32;
/// How many bytes of outcomes are gathered before they are put into the journal, even within a batch.
const FULL: usize = 1 << 20;
/// How many bytes of outcomes are kept for another try while the journal cannot take any.
const MOST_KEPT: usize = 8 << 20;

/// The way from a message to the journal.
pub struct Pipeline {
    shared: Arc<Shared>,
    active: Arc<Active>,
    generation: u64,
    scratch: Scratch,
    batch: Batch,
    /// The first sequence number that was appended since the last commit.
    first: u64,
    /// Bytes in the batch that the journal has refused before.
    kept: usize,
    senders: HashMap<IpAddr, Box<str>>,
    answers: Vec<(Vec<u8>, Arrival)>,
    /// The informs that were processed.
    repeats: Recent,
    /// What senders of v3 are told of refused messages; these wait for nothing.
    reports: Vec<(Vec<u8>, Arrival)>,
    told: Reports,
    counts: Counts,
}

/// An inform that waits for its answer.
struct Inform {
    /// Who sent it and what it says.
    key: u64,
    answer: Vec<u8>,
}

/// What happened since the last commit.
#[derive(Debug, Default)]
struct Counts {
    snmp_received: u64,
    syslog_received: u64,
    odd_varbinds: u64,
    informs_repeated: u64,
    matched: u64,
    dropped: u64,
    unmatched: u64,
}

impl Pipeline {
    /// A pipeline into the shared journal.
    pub fn new(shared: Arc<Shared>) -> Self {
        Pipeline {
            generation: shared.generation(),
            active: shared.active(),
            shared,
            scratch: Scratch::default(),
            batch: Batch::default(),
            first: u64::MAX,
            kept: 0,
            senders: HashMap::new(),
            answers: Vec::new(),
            repeats: Recent::new(REPEAT_WINDOW, MAX_INFORMS),
            reports: Vec::new(),
            told: Reports::default(),
            counts: Counts::default(),
        }
    }

    /// Takes new rules, if there are any. Called between batches, so that a batch sees one rule set.
    pub fn refresh(&mut self) {
        let generation = self.shared.generation();
        if generation != self.generation {
            self.generation = generation;
            self.active = self.shared.active();
        }
    }

    /// Takes an SNMP message.
    pub fn packet(&mut self, packet: &[u8], arrival: Arrival, received: i64) {
        self.counts.snmp_received += 1;
        let source = Source { peer: arrival.peer, received };
        if !self.active.access.knows(source.address()) {
            return self.denied(Denied::Source, &source);
        }
        let decoded = match snmp::decode(packet) {
            Ok(decoded) => decoded,
            Err(DecodeError::V3) => return self.packet_v3(packet, arrival, &source),
            Err(error) => return self.malformed(packet, &source, &error),
        };
        self.counts.odd_varbinds += decoded.odd as u64;
        let inform = decoded.notification.kind == NotificationKind::Inform;
        let inform = inform
            .then(|| Inform { key: self.repeats.key((arrival.peer, packet)), answer: decoded.answer() });
        self.notification(decoded.notification, inform, arrival, &source);
    }

    fn packet_v3(&mut self, packet: &[u8], arrival: Arrival, source: &Source) {
        let active = self.active.clone();
        let Some(usm) = &active.usm else { return self.malformed(packet, source, &DecodeError::V3) };
        let now = seconds(source.received);
        let opened = match usm.open(packet, source.address(), now) {
            Ok(opened) => opened,
            Err(refused) => return self.refused(packet, refused, arrival, source),
        };
        if opened.confirmed && opened.level() != SecurityLevel::NoAuthNoPriv {
            self.told.proven(source.address());
        }
        let user = usm.user_of(&opened);
        match snmp::decode_scoped(&opened.scoped, user, opened.level()) {
            Ok(decoded) => {
                self.counts.odd_varbinds += decoded.odd as u64;
                let inform = opened.confirmed && decoded.notification.kind == NotificationKind::Inform;
                // Sent again it comes in another envelope: what it says is what must be the same.
                let key = self.repeats.key((arrival.peer, user, &opened.scoped));
                let answer = inform.then(|| usm.answer(&opened, now)).flatten();
                let inform = answer.map(|answer| Inform { key, answer });
                self.notification(decoded.notification, inform, arrival, source);
            }
            Err(error) => self.malformed(packet, source, &error),
        }
    }

    /// Takes a message that the security of v3 refuses; its sender may be told why.
    fn refused(&mut self, packet: &[u8], refused: Refused, arrival: Arrival, source: &Source) {
        if let Some(report) = refused.report {
            let (to, now) = (source.address(), seconds(source.received));
            let may = match refused.why {
                UsmError::Time(_) => self.told.may_answer_proven(to, now),
                _ => self.told.may_answer(to, packet.len(), report.len(), now),
            };
            if may && self.reports.len() < MAX_REPORTS {
                self.reports.push((report, arrival));
            } else {
                self.shared.stats.reports_held_back.add(1);
            }
        }
        // Discovery is how every sender of informs begins.
        if refused.why == UsmError::Discovery {
            return self.shared.stats.discoveries.add(1);
        }
        self.shared.refusals.count(source.address(), refused.why.reason());
        self.malformed(packet, source, &refused.why.into());
    }

    fn notification(
        &mut self,
        notification: Notification<'_>,
        inform: Option<Inform>,
        arrival: Arrival,
        source: &Source,
    ) {
        let reach = match self.active.access.admit(&notification, source) {
            Ok(reach) => reach,
            Err(denied) => return self.denied(denied, source),
        };
        let Some(inform) = inform else {
            self.apply(&Message::Notification(notification), source, reach);
            return;
        };
        let now = seconds(source.received);
        if self.repeats.contains(inform.key, now) {
            // Its outcomes are in the journal or in the batch: the commit decides on this answer too.
            self.counts.informs_repeated += 1;
            self.answers.push((inform.answer, arrival));
        } else if self.apply(&Message::Notification(notification), source, reach) {
            self.repeats.insert(inform.key, now);
            self.answers.push((inform.answer, arrival));
        } else {
            // An outcome of it was given up.
            self.shared.stats.informs_unanswered.add(1);
        }
    }

    /// Takes a line of syslog.
    pub fn line(&mut self, line: &[u8], peer: SocketAddr, received: i64) {
        self.counts.syslog_received += 1;
        let source = Source { peer, received };
        if !allowed(&self.active.syslog_allow, &source) {
            return self.turned_away(&source);
        }
        let text = String::from_utf8_lossy(line);
        let message = Message::Syslog(syslog::parse_line(&text, received));
        self.apply(&message, &source, Reach::default());
    }

    /// Whether all that the rules made of the message is in the batch or in the journal.
    fn apply(&mut self, message: &Message<'_>, source: &Source, reach: Reach) -> bool {
        let mut held = true;
        let address = source.address();
        if self.senders.len() >= MAX_SENDERS && !self.senders.contains_key(&address) {
            self.senders.clear();
        }
        let text: &str = self.senders.entry(address).or_insert_with(|| address.to_string().into());
        let host = self.active.hosts.of_message(message, source, text);
        let tags = self.active.access.tags(reach);
        let subject =
            MessageContext { message, source, address: text, host: &host, hosts: &self.active.hosts, tags };
        let batch = &mut self.batch;
        let stats = &self.shared.stats;
        let verdict = self.active.rules.apply(&subject, &mut self.scratch, |rule, outcome| {
            if !batch.push(outcome) {
                held = false;
                stats.outcomes_lost.add(1);
                tracing::error!(
                    rule = rule.id,
                    "an outcome of more than 1 MiB was given up; shorten the rule's templates"
                );
            }
        });
        match verdict {
            MatchResult::Matched => self.counts.matched += 1,
            MatchResult::Dropped => self.counts.dropped += 1,
            MatchResult::Unmatched => {
                self.counts.unmatched += 1;
                self.unmatched(message, source);
            }
        }
        if self.batch.bytes() > FULL + self.kept {
            // What the journal refuses stays in the batch, unless it was too much and was given up.
            held &= self.append() || !self.batch.is_empty();
            self.kept = self.batch.bytes();
        }
        held
    }

    /// Puts what was gathered into the journal, and gives the answers that may be sent now.
    pub fn commit(&mut self) -> std::vec::Drain<'_, (Vec<u8>, Arrival)> {
        let counts = std::mem::take(&mut self.counts);
        let appended = self.append();
        let from = std::mem::replace(&mut self.first, u64::MAX);
        self.kept = self.batch.bytes();
        let shared = self.shared.clone();
        let stats = &shared.stats;
        stats.snmp_received.add(counts.snmp_received);
        stats.syslog_received.add(counts.syslog_received);
        stats.odd_varbinds.add(counts.odd_varbinds);
        stats.informs_repeated.add(counts.informs_repeated);
        stats.matched.add(counts.matched);
        stats.dropped.add(counts.dropped);
        stats.unmatched.add(counts.unmatched);
        if !self.answers.is_empty() {
            let count = self.answers.len() as u64;
            if appended && self.synced(from) {
                stats.informs_answered.add(count);
            } else {
                stats.informs_unanswered.add(count);
                self.answers.clear();
            }
        }
        self.answers.append(&mut self.reports);
        self.answers.drain(..)
    }

    /// Whether outcomes wait for the journal to take them.
    pub fn has_kept(&self) -> bool {
        !self.batch.is_empty()
    }

    /// Whether everything gathered since the last commit is in the journal. What it cannot take is kept for the
    /// next try, as long as it is not too much.
    fn append(&mut self) -> bool {
        let count = self.batch.len() as u64;
        let appended = self.shared.journal.append(&self.batch);
        let Err(error) = appended.map(|first| self.first = self.first.min(first)) else {
            if count > 0 {
                self.shared.set_refusing(false);
            }
            self.batch.clear();
            self.shared.stats.outcomes.add(count);
            return true;
        };
        self.shared.set_refusing(true);
        let give_up = self.batch.bytes() > MOST_KEPT;
        if let Some(left_out) = self.shared.limiter.allow(Kind::Journal, self.shared.now().wall.micros()) {
            let directory = self.shared.journal.directory().display();
            let fate = if give_up { "they are lost" } else { "they wait in memory" };
            tracing::error!(
                outcomes = count, left_out, %error,
                "the journal in {directory} cannot take outcomes, {fate}; make room, or bring back the sink that is behind"
            );
        }
        if give_up {
            self.shared.stats.outcomes_lost.add(count);
            self.batch.clear();
            // Whose outcomes were given up must be processed when it comes again.
            self.repeats.clear();
        }
        // No answer for what is not safe: the inform comes again.
        self.shared.stats.informs_unanswered.add(self.answers.len() as u64);
        self.answers.clear();
        false
    }

    fn synced(&mut self, from: u64) -> bool {
        if self.shared.sync != SyncPolicy::Batch {
            return true;
        }
        match self.shared.journal.sync(from) {
            Ok(()) => true,
            Err(error) => {
                // What may be lost must be processed when it comes again.
                self.repeats.clear();
                if let Some(left_out) =
                    self.shared.limiter.allow(Kind::Journal, self.shared.now().wall.micros())
                {
                    tracing::error!(left_out, %error, "the journal cannot be synced; informs are not answered; check the disk");
                }
                false
            }
        }
    }

    fn malformed(&self, packet: &[u8], source: &Source, error: &DecodeError) {
        self.shared.stats.malformed[error.index()].add(1);
        if let Some(left_out) = self.shared.limiter.allow(Kind::Malformed, source.received) {
            let start = hex(&packet[..packet.len().min(SHOWN)]);
            tracing::warn!(from = %source.peer, left_out, bytes = packet.len(), "malformed SNMP packet: {error}; it begins {start}");
        }
    }

    fn denied(&self, denied: Denied, source: &Source) {
        let stats = &self.shared.stats;
        let (counter, kind) = match denied {
            Denied::Source => (&stats.wrong_source, Kind::Source),
            Denied::Version(_) => (&stats.version_off, Kind::Access),
            Denied::Community => (&stats.wrong_community, Kind::Community),
            Denied::Grant => (&stats.no_access, Kind::Access),
        };
        counter.add(1);
        self.shared.refusals.count(source.address(), denied.reason());
        if let Some(left_out) = self.shared.limiter.allow(kind, source.received) {
            tracing::warn!(from = %source.peer, left_out, "{denied}");
        }
    }

    fn turned_away(&self, source: &Source) {
        self.shared.stats.wrong_source.add(1);
        self.shared.refusals.count(source.address(), Denied::Source.reason());
        if let Some(left_out) = self.shared.limiter.allow(Kind::Source, source.received) {
            tracing::warn!(
                from = %source.peer, left_out,
                "syslog from a sender that is not let in; add its network to [syslog] allow if it should be"
            );
        }
    }

    fn unmatched(&self, message: &Message<'_>, source: &Source) {
        let mib = self.active.rules.mib();
        self.shared.inbox.keep(source.received, || describe::message(message, source, mib));
        if let Some(left_out) = self.shared.limiter.allow(Kind::Unmatched, source.received) {
            let what = describe::short(message, mib);
            tracing::info!(from = %source.peer, left_out, "no rule takes {what}; see unmatched.jsonl in the journal directory");
        }
    }
}

/// Processes what has waited; from now on datagrams are processed as they come.
pub fn admit_waiting(shared: &Arc<Shared>) {
    let mut pipeline = Pipeline::new(shared.clone());
    let mut since_commit = 0;
    let admitted = shared.waiting.close(|waiting| {
        let arrival = Arrival { peer: waiting.peer, local: None };
        match waiting.protocol {
            Protocol::Snmp => pipeline.packet(&waiting.bytes, arrival, waiting.received),
            Protocol::Syslog => pipeline.line(&waiting.bytes, waiting.peer, waiting.received),
        }
        since_commit += 1;
        if since_commit == 512 {
            // An inform that has waited so long was sent again, or given up: nobody waits for its answer.
            drop(pipeline.commit());
            since_commit = 0;
        }
    });
    drop(pipeline.commit());
    match admitted {
        Ok(0) => {}
        Ok(count) => {
            tracing::info!(messages = count, "what came before the rules were there is processed");
        }
        Err(error) => tracing::error!(%error, "cannot read what came before the rules were there"),
    }
    shared.open();
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let lost = self.batch.len() as u64;
        if lost > 0 {
            self.shared.stats.outcomes_lost.add(lost);
            tracing::error!(
                outcomes = lost,
                "outcomes that the journal could not take are lost with their listener"
            );
        }
    }
}

fn allowed(networks: &[IpNet], source: &Source) -> bool {
    networks.is_empty() || networks.iter().any(|net| net.contains(&source.address()))
}

fn seconds(microseconds: i64) -> u64 {
    u64::try_from(microseconds / 1_000_000).unwrap_or(0)
}
