//! What is counted, logged and shown of messages that are refused, or that a rule cannot make outcomes of.

use crate::inbox::Key;
use crate::intake::describe;
use crate::intake::letting_in::Refusal;
use crate::intake::listener::Protocol;
use crate::intake::original;
use crate::intake::shared::{Active, Shared};
use crate::language::jinja::RenderError;
use crate::lookup::hosts::Hosts;
use crate::message::{Source, SyslogLine};
use crate::mib::format::hex;
use crate::rules::apply::RenderFailure;
use crate::snmp::access::Denied;
use crate::snmp::{self, DecodeError};
use crate::time::clock::Now;
use crate::time::log_limit::Kind;

/// How many octets of a malformed packet are logged.
const SHOWN: usize = 32;

/// What a pipeline has to say.
#[derive(Debug, Clone, Copy)]
pub struct Complaints<'p> {
    /// Where it is said.
    pub shared: &'p Shared,
    /// What is in force.
    pub active: &'p Active,
    /// The hosts.
    pub hosts: &'p Hosts,
}

impl Complaints<'_> {
    /// A packet that is no SNMP message, or none that USM lets through.
    pub fn malformed(&self, packet: &[u8], source: &Source, error: &DecodeError, now: Now) {
        self.shared.stats.malformed[error.index()].add(1);
        self.show_refused(DecodeError::REASONS[error.index()], source, now);
        self.keep_refused(Refusal::of_packet(error, packet), source, now);
        let reason = DecodeError::REASONS[error.index()].to_owned();
        let sample = || original::malformed(packet, source);
        self.shared.inbox.add(Key::Malformed(reason), source.address(), now, sample);
        if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Malformed, error.index(), now.mono) {
            let what = match error {
                DecodeError::V3 | DecodeError::Usm(_) => "rejected SNMPv3 message",
                _ => "malformed SNMP packet",
            };
            let begins = hex(&snmp::decode::without_community(&packet[..packet.len().min(SHOWN)]));
            tracing::warn!(
                from = %source.peer, suppressed, bytes = packet.len(),
                "{what}: {error}; it begins {begins}; see `trapline unmatched`"
            );
        }
    }

    /// A message that access control refuses.
    pub fn denied(&self, denied: Denied, why: Refusal, source: &Source, now: Now) {
        let stats = &self.shared.stats;
        let (counter, kind) = match denied {
            Denied::Source => (&stats.wrong_source, Kind::Source),
            Denied::Version(_) => (&stats.version_off, Kind::Access),
            Denied::Community => (&stats.wrong_community, Kind::Community),
            Denied::Grant => (&stats.no_access, Kind::Access),
        };
        counter.add(1);
        self.shared.refusals.count(source.address(), denied.reason());
        self.keep_refused(why, source, now);
        self.show_refused(denied.reason(), source, now);
        if let Some(suppressed) = self.shared.limiter.allow_for(kind, denied.reason(), now.mono) {
            tracing::warn!(from = %source.peer, suppressed, "{denied}");
        }
    }

    /// A notification that this daemon has sent itself.
    pub fn came_back(&self, source: &Source, now: Now) {
        self.shared.stats.came_back.add(1);
        self.show_refused("came_back", source, now);
        if let Some(suppressed) = self.shared.limiter.allow(Kind::CameBack, now.mono) {
            tracing::warn!(
                from = %source.peer, suppressed,
                "a notification that this daemon has sent itself came back and is left out; see that no receiver of a snmp sink sends to this daemon"
            );
        }
    }

    /// Counts a refusal of a sender, with what would let it in.
    pub fn keep_refused(&self, why: Refusal, source: &Source, now: Now) {
        let known = self.hosts.of_address(source.address()).is_some();
        self.shared.senders.refused(source.address(), why, known, now);
    }

    /// Shows those who look on that a message does not come so far that rules see it.
    pub fn show_refused(&self, reason: &str, source: &Source, now: Now) {
        if self.shared.tap.wants(source.address(), now.mono) {
            self.shared.tap.show(source.address(), false, &describe::refused(reason, source));
        }
    }

    /// A line of a sender that may not send any.
    pub fn not_allowed(&self, source: &Source, now: Now) {
        self.shared.stats.wrong_source.add(1);
        self.shared.refusals.count(source.address(), Denied::Source.reason());
        self.keep_refused(Refusal::Source(Protocol::Syslog), source, now);
        self.show_refused(Denied::Source.reason(), source, now);
        if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Source, "syslog", now.mono) {
            tracing::warn!(
                from = %source.peer, suppressed,
                "syslog from a sender that is not allowed; to accept it, add its network to [syslog] allow"
            );
        }
    }

    /// A request over HTTP that is not taken. Neither `reason` nor `why` has anything of what was sent.
    pub fn post_refused(&self, reason: &'static str, why: &str, source: &Source, now: Now) {
        self.shared.stats.posts_refused.add(1);
        self.shared.refusals.count(source.address(), reason);
        let refusal =
            if reason == "source" { Refusal::Source(Protocol::Http) } else { Refusal::Post(reason) };
        self.keep_refused(refusal, source, now);
        self.show_refused(reason, source, now);
        if let Some(suppressed) = self.shared.limiter.allow_for(Kind::Post, reason, now.mono) {
            tracing::warn!(from = %source.peer, suppressed, "a request over HTTP was not taken ({reason}): {why}");
        }
    }

    /// A line that seems to be of TCP Wrappers, in a form that is not known.
    pub fn unknown_refusal(&self, line: &SyslogLine<'_>, source: &Source, now: Now) {
        self.shared.stats.tcp_wrappers_unknown.add(1);
        if let Some(suppressed) = self.shared.limiter.allow(Kind::Wrappers, now.mono) {
            let what = describe::short_line(line);
            tracing::warn!(
                from = %source.peer, suppressed,
                "{what}: it seems that TCP Wrappers refused something, but the form is not known; match it with a rule of your own"
            );
        }
    }

    /// A rule that could not make an outcome of a message.
    pub fn not_rendered(&self, failure: &RenderFailure, source: &Source, now: Now) {
        if let Some(suppressed) =
            self.shared.limiter.allow_for(Kind::Render, (failure.rule, &failure.field), now.mono)
        {
            let rule = &self.active.rules.rules()[failure.rule];
            if failure.error == RenderError::OverBudget {
                tracing::warn!(
                    from = %source.peer, suppressed,
                    "{} of rule '{}' in {} is over budget for a message; simplify it, or lower [rules] max_message",
                    failure.field, rule.id, rule.file
                );
                return;
            }
            tracing::warn!(
                from = %source.peer, suppressed,
                "cannot render {} of rule '{}' in {}: {}; correct its template, such as {{{{ (x or 0) + 1 }}}}",
                failure.field, rule.id, rule.file, failure.error
            );
        }
    }
}
