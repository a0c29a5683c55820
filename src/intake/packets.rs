//! SNMP messages on the way to outcomes: who may send them, what proves it, and what informs are answered with.

use crate::intake::commit::Refused;
use crate::intake::informs::Known;
use crate::intake::letting_in::Refusal;
use crate::intake::listener::Protocol;
use crate::intake::original::Original;
use crate::intake::pipeline::{Answer, Pipeline};
use crate::message::{Message, NotificationKind, SecurityLevel, Source};
use crate::snmp::access::Denied;
use crate::snmp::passed::has_passed;
use crate::snmp::usm::{self, Desk, UsmError};
use crate::snmp::{self, DecodeError};
use crate::sys::Arrival;
use crate::time::clock::Now;

/// How many Reports a batch may give rise to: a flood of strangers gets no flood of answers.
const MAX_REPORTS: usize = 64;

/// An inform that waits for its answer.
struct Inform {
    /// What it is known by.
    key: u64,
    /// None if the sender, or the way to it, takes none that is so long.
    answer: Option<Answer>,
}

impl Pipeline {
    /// Takes an SNMP message. `now` is when it was received.
    pub fn packet(&mut self, packet: &[u8], arrival: Arrival, now: Now) {
        self.counts.snmp_received += 1;
        let source = Source { peer: arrival.peer, received: now.wall.micros() };
        if !self.active.access.knows(source.address()) {
            if !self.charge(false, now) {
                return;
            }
            return self.complaints().denied(Denied::Source, Refusal::Source(Protocol::Snmp), &source, now);
        }
        let decoded = snmp::decode(packet);
        if matches!(decoded, Err(DecodeError::V3)) {
            return self.packet_v3(packet, arrival, &source, now);
        }
        self.forward(packet, arrival);
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return self.complaints().malformed(packet, &source, &error, now),
        };
        self.counts.odd_varbinds += decoded.odd as u64;
        let inform = (decoded.notification.kind == NotificationKind::Inform).then(|| Inform {
            // A port says nothing: a sender may take another for each try. Of one address, the same packet is the same inform.
            key: self.shared.commit.key((source.address(), packet)),
            answer: decoded.answer(self.longest).map(|octets| Answer { octets, to: arrival, inform: true }),
        });
        let message = Message::Notification(decoded.notification);
        self.notification(&message, Original::Packet(packet), inform, &source, now);
    }

    fn packet_v3(&mut self, packet: &[u8], arrival: Arrival, source: &Source, now: Now) {
        let most = if self.refused == Refused::Stays { Desk::OF_STREAM } else { Desk::OF_DATAGRAMS };
        let made = || Some(Box::new(Desk::new(self.active.usm.clone()?, most)));
        let Some(mut desk) = self.desk.take().or_else(made) else {
            if !self.charge(false, now) {
                return;
            }
            self.forward(packet, arrival);
            self.shared.refusals.count(source.address(), "v3");
            return self.complaints().malformed(packet, source, &DecodeError::V3, now);
        };
        self.packet_at(&mut desk, packet, arrival, source, now);
        self.desk = Some(desk);
    }

    fn packet_at(&mut self, desk: &mut Desk, packet: &[u8], arrival: Arrival, source: &Source, now: Now) {
        let (from, seconds) = (source.address(), now.mono.seconds());
        desk.spare_keys(self.gate.is_scarce(&self.active, now));
        let opened = match desk.open(packet, from, seconds) {
            Ok(opened) => opened,
            Err(refused) => return self.refused(packet, refused, arrival, source, now),
        };
        if !self.charge(opened.first, now) {
            return;
        }
        self.forward(packet, arrival);
        if opened.own {
            match opened.level() {
                SecurityLevel::NoAuthNoPriv => self.shared.reports().taken(from, packet.len(), seconds),
                _ => self.shared.reports().proven(from, seconds),
            }
        }
        let (usm, user) = (opened.usm, opened.usm.user_of(&opened));
        match snmp::decode_scoped(&opened.scoped, user, opened.level()) {
            Ok(mut decoded) => {
                usm.vouch(&opened, &mut decoded.notification);
                self.counts.odd_varbinds += decoded.odd as u64;
                let inform = (decoded.notification.kind == NotificationKind::Inform).then(|| Inform {
                    // Sent again it has another envelope, and who copies it has another address: user and content
                    // stay the same. The content names the engine that sent it.
                    key: self.shared.commit.key((user, &opened.scoped)),
                    answer: usm.answer(&opened, self.longest, seconds).map(|octets| Answer {
                        octets,
                        to: arrival,
                        inform: true,
                    }),
                });
                let message = Message::Notification(decoded.notification);
                self.notification(&message, Original::Scoped(&opened.scoped, user), inform, source, now);
            }
            Err(error) => self.complaints().malformed(packet, source, &error, now),
        }
    }

    fn forward(&self, packet: &[u8], arrival: Arrival) {
        if self.active.forwarded.snmp {
            self.shared.forwards.give(Protocol::Snmp, arrival.peer, packet);
        }
    }

    /// Whether a message of v3 is processed; one of a storm of its sender is counted.
    fn charge(&mut self, proven: bool, now: Now) -> bool {
        let passes = self.gate.charge(&self.active, &self.shared, proven, now);
        self.counts.storm_left_out += u64::from(!passes);
        passes
    }

    /// Takes a message that the security of v3 refuses; its sender may be told why.
    fn refused(&mut self, packet: &[u8], refused: usm::Refused, arrival: Arrival, source: &Source, now: Now) {
        let passes = self.charge(false, now);
        // Who has the key is told the time in a storm of others, too.
        if let Some(report) = refused.report.filter(|_| passes || refused.proven) {
            let (to, seconds) = (source.address(), now.mono.seconds());
            let may = if refused.proven {
                self.shared.reports().may_answer_proven(to, seconds)
            } else {
                self.shared.reports().may_answer(to, packet.len(), report.len(), seconds)
            };
            if may && self.reports < MAX_REPORTS {
                self.reports += 1;
                self.ready.push(Answer { octets: report, to: arrival, inform: false });
            } else {
                self.shared.stats.reports_held_back.add(1);
            }
        }
        if !passes {
            return;
        }
        self.forward(packet, arrival);
        // Discovery is how every sender of informs begins.
        if refused.why == UsmError::Discovery {
            return self.shared.stats.discoveries.add(1);
        }
        self.shared.refusals.count(source.address(), refused.why.reason());
        self.complaints().malformed(packet, source, &refused.why.into(), now);
    }

    fn notification(
        &mut self,
        message: &Message<'_>,
        original: Original<'_>,
        inform: Option<Inform>,
        source: &Source,
        now: Now,
    ) {
        let Message::Notification(notification) = message else { return };
        self.counts.decoded += 1;
        let reach = match self.active.access.admit(notification, source) {
            Ok(reach) => reach,
            Err(denied) => {
                let why = Refusal::of_notification(denied, notification);
                return self.complaints().denied(denied, why, source, now);
            }
        };
        if has_passed(notification, &self.active.engine) {
            // Answered, so that its sender goes on.
            self.ready.extend(inform.and_then(|inform| inform.answer));
            return self.complaints().came_back(source, now);
        }
        let Some(Inform { key, answer }) = inform else {
            if self.passes(message, now) {
                self.apply(message, original, source, reach, now);
            }
            return self.commit_if_full(now);
        };
        self.shared.stats.informs_unanswered.add(u64::from(answer.is_none()));
        if self.made.has_inform(key) {
            self.counts.informs_repeated += 1;
            return self.pending.extend(answer);
        }
        match self.shared.commit.claim(key, now.mono) {
            Known::Safe => {
                self.counts.informs_repeated += 1;
                self.ready.extend(answer);
            }
            Known::Waits => {
                self.counts.informs_repeated += 1;
                self.shared.stats.informs_unanswered.add(1);
            }
            // Its sender sends it again, maybe when the storm is over.
            Known::No if !self.passes(message, now) => self.shared.commit.release(key),
            Known::No if self.apply(message, original, source, reach, now) => {
                self.made.add_inform(key);
                self.pending.extend(answer);
            }
            // An outcome of it is lost.
            Known::No => {
                self.shared.commit.release(key);
                self.shared.stats.informs_unanswered.add(1);
            }
        }
        self.commit_if_full(now);
    }
}
