//! What is counted from the socket to the journal. `trapline status` and the metrics read it.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use crate::correlate::Reason;
use crate::snmp::DecodeError;

/// A counter that any thread may raise.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Raises it.
    pub fn add(&self, count: u64) {
        if count > 0 {
            self.0.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// Its value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! stats {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// The names of the counters, and what each counts.
        const COUNTED: &[(&str, &str)] = &[$((stringify!($name), concat!($($doc),+)),)+];

        /// Counters of the intake, since the daemon started.
        #[derive(Debug, Default)]
        pub struct Stats {
            $($(#[doc = $doc])+ pub $name: Counter,)+
            /// Packets that are no notification, by reason.
            pub malformed: [Counter; DecodeError::REASONS.len()],
            /// Outcomes that rules swallowed because of what they keep, by reason.
            pub swallowed: [Counter; Reason::ALL.len()],
        }

        impl Stats {
            /// All counters as one JSON object.
            pub fn to_json(&self) -> Value {
                let mut all = Map::new();
                $(all.insert(stringify!($name).to_owned(), self.$name.get().into());)+
                let malformed = DecodeError::REASONS.iter().zip(&self.malformed);
                let malformed: Map<String, Value> =
                    malformed.map(|(reason, count)| ((*reason).to_owned(), count.get().into())).collect();
                all.insert("malformed".to_owned(), json!(malformed));
                let swallowed = Reason::ALL.iter().zip(&self.swallowed);
                let swallowed: Map<String, Value> = swallowed
                    .map(|(reason, count)| (reason.name().to_owned(), count.get().into()))
                    .collect();
                all.insert("swallowed".to_owned(), json!(swallowed));
                Value::Object(all)
            }
        }
    };
}

/// What a counter counts, as the metrics say it.
pub fn help(name: &str) -> Option<String> {
    let (_, text) = COUNTED.iter().find(|(known, _)| *known == name)?;
    let text = text.trim().trim_end_matches('.').replace('`', "");
    let is_acronym = text.chars().nth(1).is_some_and(char::is_uppercase);
    let first = text.chars().next()?;
    Some(if is_acronym { text } else { first.to_lowercase().chain(text.chars().skip(1)).collect() })
}

stats! {
    /// SNMP packets received.
    snmp_received,
    /// SNMP notifications that were understood, whether or not they are let in.
    decoded,
    /// Lines of syslog received.
    syslog_received,
    /// Check-ins and events received over HTTP.
    posts_received,
    /// Requests over HTTP that were not taken: no such service, a wrong token, no check-in, too large, too slow.
    posts_refused,
    /// Datagrams that the kernel dropped because the intake was too slow.
    kernel_drops,
    /// Datagrams that arrived before the first rules and could not be kept.
    waiting_lost,
    /// Notifications with a community that is not accepted.
    wrong_community,
    /// Messages from networks that are not allowed.
    wrong_source,
    /// Notifications of a version that is switched off.
    version_off,
    /// Notifications that no access is granted to.
    no_access,
    /// Notifications that named an agent for which their sender may not speak.
    claim_refused,
    /// Notifications that had passed this daemon before, and were not taken again.
    came_back,
    /// Varbinds whose content does not fit their type.
    odd_varbinds,
    /// Syslog lines that say that TCP Wrappers refused something, in a form that is not known.
    tcp_wrappers_unknown,
    /// SNMPv3 senders that asked for this engine's id.
    discoveries,
    /// Reports that were not sent, because their receiver would have got more than came from it.
    reports_held_back,
    /// Messages of syslog that were longer than allowed and were cut.
    oversized,
    /// Messages of streams that ended in the middle of them.
    unfinished,
    /// How often a stream of syslog with octet counting went on with what is no count.
    framing_lost,
    /// Streams that were closed because their messages could not be told apart.
    streams_broken,
    /// Streams on which TLS did not begin: no handshake in time, nothing in common, or a certificate that is not let in.
    tls_failed,
    /// Streams that were refused because too many were open.
    streams_refused,
    /// Messages of which rules saw a part, because they were longer than `max_message` of `[rules]`.
    messages_cut,
    /// Streams that were closed because nothing came for too long.
    streams_silent,
    /// Silent streams that were closed to make space for others.
    streams_displaced,
    /// Storms that have begun.
    storms,
    /// Datagrams of storms that were counted and not processed.
    storm_left_out,
    /// How often a stream was not read for a while, because its sender sends more than it may.
    streams_held_back,
    /// Messages that a rule took.
    matched,
    /// Messages that a rule dropped on purpose.
    dropped,
    /// Messages that no rule took.
    unmatched,
    /// Outcomes put into the journal.
    outcomes,
    /// Outcomes that the journal could not take.
    outcomes_lost,
    /// Outcomes that passed because their rule keeps as many keys as it may.
    state_overflowed,
    /// Informs that were answered.
    informs_answered,
    /// Informs that came again, and were answered again without being processed twice.
    informs_repeated,
    /// Informs that were not answered, because their outcomes are not safe.
    informs_unanswered,
}
