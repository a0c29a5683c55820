//! What state is found by: keyed hashes of 128 bits, so that no sender can choose two texts that meet.

use std::hash::Hasher as _;
use std::net::IpAddr;
use std::sync::Arc;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

use crate::message::Message;
use crate::outcome::result::{Outcome, State};
use crate::rules::MessageContext;
use crate::rules::apply::Emitted;
use crate::rules::asks::{Question, Texts};
use crate::rules::plan::{Plan, RuleId};

/// What one entry of the state is found by.
///
/// Two halves, as records with a number of 128 bits would be larger than what is in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    high: u64,
    low: u64,
}

impl Key {
    /// The key that is a number.
    pub const fn new(number: u128) -> Self {
        Key { high: (number >> 64) as u64, low: number as u64 }
    }

    /// The number that it is.
    pub fn number(self) -> u128 {
        (u128::from(self.high) << 64) | u128::from(self.low)
    }

    /// The half that tables are ordered by.
    pub fn low(self) -> u64 {
        self.low
    }
}

/// The secret that keys are made with. It stays the same as long as the state does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Secret(pub [u64; 2]);

/// What a key is of. The numbers stand in the state on disk.
#[derive(Debug, Clone, Copy)]
enum Of {
    /// A host and service, or a component and resource: what receivers know.
    Service = 1,
    /// A problem with a key of its own.
    Problem = 2,
    /// What a threshold counts.
    Count = 3,
    /// What a throttle counts.
    Bucket = 4,
    /// What is expected.
    Expectation = 5,
    /// A host or component, of any kind of outcome.
    Host = 6,
}

impl Secret {
    /// The key of a host and service, or of a component and resource.
    pub fn service(self, outcome: &Outcome<'_>) -> Key {
        let names = [Some(outcome.host()), outcome.service()];
        self.key(Of::Service, outcome.kind(), NO_RULE, &names)
    }

    /// What a host or component is found by; never 0. Several may meet.
    pub(super) fn host(self, name: &str) -> u32 {
        (self.key(Of::Host, "", NO_RULE, &[Some(name)]).low() as u32).max(1)
    }

    /// The key of what a question is about; none if it has not as many texts as it needs.
    pub(super) fn asked(self, question: &Question, texts: &[&str]) -> Option<Key> {
        let kind = question.kind;
        let names = |host, service| self.key(Of::Service, kind, NO_RULE, &[Some(host), service]);
        Some(match (&question.texts, texts) {
            (Texts::Key, [key]) => self.problem(kind, key),
            (Texts::Threshold, [key]) => self.key(Of::Count, kind, RuleId(question.rule), &[Some(key)]),
            (Texts::Host(service), [host]) => names(host, service.as_deref()),
            (Texts::Names, [host, service]) => names(host, Some(service)),
            _ => return None,
        })
    }

    /// The key of what a rule expects.
    pub(super) fn expectation(self, rule: RuleId, text: &str) -> Key {
        self.key(Of::Expectation, "", rule, &[Some(text)])
    }

    /// The key of a problem of a rule whose `key` is this text.
    pub fn problem(self, kind: &str, text: &str) -> Key {
        self.key(Of::Problem, kind, NO_RULE, &[Some(text)])
    }

    fn key(self, of: Of, kind: &str, rule: RuleId, texts: &[Option<&str>]) -> Key {
        let mut hash = SipHasher13::new_with_keys(self.0[0], self.0[1]);
        hash.write_u8(of as u8);
        // The realm, of which there is one as yet: its place in the keys is kept free.
        hash.write_u8(0);
        hash.write_u8(kind.len() as u8);
        hash.write(kind.as_bytes());
        hash.write_u64(rule.0);
        for text in texts {
            let text = text.map(str::as_bytes);
            hash.write_u64(text.map_or(u64::MAX, |text| text.len() as u64));
            hash.write(text.unwrap_or_default());
        }
        let hash = hash.finish128();
        Key { high: hash.h1, low: hash.h2 }
    }
}

/// What state needs to know of an outcome.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The index of its rule.
    pub rule: u32,
    /// The problem that it is about.
    pub key: Key,
    /// What receivers know the problem by.
    pub service: Key,
    /// What its host is found by; 0 if no rule needs that.
    pub host: u32,
    /// What the rule's threshold counts it by.
    pub count: Key,
    /// What the rule's throttle counts it by.
    pub bucket: Key,
    /// Its state.
    pub state: State,
    /// Whether it is an event; otherwise it is a check result.
    pub event: bool,
    /// Who sent it, with its sysUpTime in hundredths of a second.
    pub sender: Option<Sender>,
    /// The key by which the rule expects further messages.
    pub expect: Option<Arc<str>>,
}

/// The agent that sent a notification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sender {
    /// A hash of its address.
    pub agent: u32,
    /// Its sysUpTime in hundredths of a second.
    pub uptime: u32,
}

/// Any rule.
const NO_RULE: RuleId = RuleId(0);

impl Facts {
    /// What state needs to know of an outcome that a rule of this plan has made of a message.
    pub fn new(secret: Secret, plan: &Plan, made: &Emitted<'_, '_>, context: &MessageContext<'_>) -> Self {
        let (outcome, keys) = (made.outcome, made.keys);
        let kind = outcome.kind();
        let rule = plan.rules.get(made.at);
        let service = secret.service(outcome);
        let key = match keys.key {
            Some(key) => secret.problem(kind, key),
            None => service,
        };
        let id = rule.map_or(NO_RULE, |rule| rule.id);
        let counted = |of, text: Option<&str>| match text {
            Some(text) => secret.key(of, kind, id, &[Some(text)]),
            None => secret.key(of, kind, id, &[Some(outcome.host()), outcome.service(), keys.key]),
        };
        let (counts, throttles) =
            rule.map_or((false, false), |rule| (rule.threshold.is_some(), rule.throttle.is_some()));
        Facts {
            rule: made.at as u32,
            key,
            service,
            host: if plan.has_wide_clears() { secret.host(outcome.host()) } else { 0 },
            count: if counts { counted(Of::Count, keys.threshold) } else { key },
            bucket: if throttles { counted(Of::Bucket, keys.throttle) } else { key },
            state: outcome.common().state,
            event: matches!(outcome, Outcome::Event(_)),
            sender: sender(context),
            expect: rule
                .filter(|rule| rule.expect.is_some())
                .map(|_| keys.expect.or(keys.key).unwrap_or(outcome.host()).into()),
        }
    }
}

/// The agent of a notification that says how long it runs.
fn sender(context: &MessageContext<'_>) -> Option<Sender> {
    let Message::Notification(notification) = context.message else { return None };
    let mut hash = SipHasher13::new();
    match context.agent() {
        Some(IpAddr::V4(agent)) => hash.write(&agent.octets()),
        Some(IpAddr::V6(agent)) => hash.write(&agent.octets()),
        None => hash.write(context.address.as_bytes()),
    }
    Some(Sender { agent: hash.finish128().h1 as u32, uptime: notification.uptime? })
}
