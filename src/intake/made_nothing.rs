//! Messages that no rule makes anything of, for the history.

use crate::history::{Untold, Why};
use crate::intake::describe;
use crate::intake::shared::{Active, Shared};
use crate::intake::untold::Batch;
use crate::message::{Message, Source};
use crate::outcome::result::State;

/// Counts a message that made nothing, where a history wants to know.
pub(super) fn note(
    untold: &mut Batch,
    (shared, active): (&Shared, &Active),
    (why, rule): (Why, Option<usize>),
    (message, source, host): (&Message<'_>, &Source, &str),
) {
    if !shared.untold().is_on() {
        return;
    }
    let kind = match message {
        Message::Notification(notification) => notification.oid.as_bytes(),
        Message::Syslog(line) => line.program.unwrap_or_default().as_bytes(),
        Message::Posted(posted) => posted.name.as_bytes(),
    };
    let about = shared.commit.key((host, kind));
    let rules = &active.rules;
    untold.note((why, rule.map_or(u32::MAX, |at| at as u32), about.into()), || {
        let rule = rule.and_then(|at| rules.rules().get(at));
        Some(Untold {
            why,
            rule: rule.map_or_else(String::new, |rule| rule.id.clone()),
            host: host.to_owned(),
            service: None,
            is_event: false,
            state: State::Unknown,
            source: source.address().to_string(),
            output: describe::short(message, rules.mib()),
            time: source.received,
            count: 1,
            about,
        })
    });
}
