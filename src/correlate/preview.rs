//! What state does with an outcome, in words, for people who try a message out.

use std::sync::Arc;
use std::time::Duration;

use super::core::Limits;
use super::correlator::Correlator;
use super::effects::{Effects, Now, Reason, Verdict};
use super::key::{Facts, Secret};
use crate::outcome::codec;
use crate::rules::MessageContext;
use crate::rules::apply::Emitted;
use crate::rules::plan::Plan;
use crate::settings::values::shown;

/// What becomes of an outcome if no other message came before; none if its rule keeps no state.
pub fn preview(plan: &Arc<Plan>, emitted: &Emitted<'_, '_>, context: &MessageContext<'_>) -> Option<String> {
    let rule = plan.rules.get(emitted.at).filter(|rule| rule.tracked)?;
    let now = Now { engine: context.source.received, wall: context.source.received };
    let mut correlator = Correlator::new(plan.clone(), Secret([0, 0]), Limits::default(), now);
    let facts = Facts::new(correlator.secret(), plan, emitted, context);
    let mut payload = Vec::new();
    codec::encode(emitted.outcome, &mut payload);
    let time = |micros: i64| shown(Duration::from_micros(u64::try_from(micros).unwrap_or(0)));
    Some(match correlator.decide(now, &facts, &payload, &mut Effects::default()) {
        Verdict::Sent => "sent".to_owned(),
        Verdict::Swallowed(Reason::Held) => {
            format!(
                "held for {}, and sent then unless it is cleared",
                time(rule.hold.map_or(0, |hold| hold.time))
            )
        }
        Verdict::Swallowed(Reason::Threshold) => match &rule.threshold {
            Some(threshold) => {
                format!("counted: sent at {} within {}", threshold.count, time(threshold.within))
            }
            None => "counted".to_owned(),
        },
        Verdict::Swallowed(Reason::Orphan) => "swallowed: there is no problem that it clears".to_owned(),
        Verdict::Swallowed(reason) => format!("swallowed: {}", reason.name()),
    })
}
