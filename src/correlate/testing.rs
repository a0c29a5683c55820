//! What tests of the state make of lines.

use super::{Facts, Secret};
use crate::lookup::choice::Received;
use crate::lookup::hosts::Hosts;
use crate::message::{Message, Source};
use crate::outcome::codec;
use crate::rules::{MessageContext, RuleSet, Scratch};
use crate::syslog::parse_line;

/// What rules see of a line from a relay. `wall` is in microseconds since 1970 UTC.
pub(crate) fn with_context(line: &str, wall: i64, see: impl FnOnce(&MessageContext<'_>)) {
    let source = Source { peer: "192.0.2.1:514".parse().unwrap(), received: wall };
    let message = Message::Syslog(parse_line(line, wall));
    let hosts = Hosts::default();
    let received = Received {
        message: &message,
        source: &source,
        address: "192.0.2.1",
        relay: true,
        reverse: &|_| None,
    };
    let choice = hosts.choose(&received, None);
    see(&MessageContext::new(&received, &choice, &hosts, None));
}

/// What rules make of a line: whether the rule has state, the facts, and the encoded outcome.
pub(super) fn made_of(rules: &RuleSet, secret: Secret, line: &str, wall: i64) -> Vec<(bool, Facts, Vec<u8>)> {
    let plan = rules.plan();
    let mut made = Vec::new();
    with_context(line, wall, |context| {
        rules.apply_keyed(context, &mut Scratch::default(), |emitted| {
            let mut bytes = Vec::new();
            codec::encode(emitted.outcome, &mut bytes);
            made.push((plan.rules[emitted.at].tracked, Facts::new(secret, plan, emitted, context), bytes));
        });
    });
    made
}
