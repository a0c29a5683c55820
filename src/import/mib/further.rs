//! What a message carries beyond the definition of its notification, or without one.

use crate::import::mib::identity::{Identity, identity};
use crate::import::mib::output::values;
use crate::import::mib::propose::{Proposal, service};
use crate::import::mib::state::{Choice, by_status, severity};
use crate::mib::{Mib, Object};
use crate::outcome::result::State;

/// A proposal for a notification with more objects than its definition names. They are in the output; a severity among them says the
/// state, and so does a status where nothing else does; they tell instances apart where the objects of the definition do not and no
/// other notification shares the service.
pub fn with_further<'m>(mut proposal: Proposal<'m>, mib: &'m Mib, further: &[&'m Object]) -> Proposal<'m> {
    let is_new = |object: &&&Object| !proposal.objects.iter().any(|known| known.oid == object.oid);
    let further: Vec<&Object> = further.iter().filter(is_new).copied().collect();
    if further.is_empty() {
        return proposal;
    }
    let is_missing = matches!(proposal.identity, Identity::Missing | Identity::Host);
    if is_missing && proposal.counterparts.is_empty() {
        let all = [&proposal.objects[..], &further].concat();
        proposal.identity = identity(mib, &[all]);
        proposal.service = service(&proposal.service, &proposal.identity);
    }
    let ends = !proposal.counterparts.is_empty() && proposal.state.expected == State::Ok;
    if let Some(choice) = of_objects(&further, ends, proposal.state.is_guess) {
        proposal.state = choice;
    }
    let between = if proposal.objects.is_empty() { ":" } else { "," };
    proposal.output = format!("{}{between} {}", proposal.output, values(&further));
    proposal.output_from.push_str(", and what the message has besides");
    proposal.objects.extend(further);
    proposal
}

/// What tells apart the instances of a notification that no module defines, and its state if the message has one.
pub fn of_observed<'m>(
    mib: &'m Mib,
    subject: &str,
    objects: &[&'m Object],
) -> (String, Identity<'m>, Option<Choice>) {
    let identity = identity(mib, &[objects.to_vec()]);
    (service(subject, &identity), identity, of_objects(objects, false, true))
}

fn of_objects(objects: &[&Object], ends: bool, also_status: bool) -> Option<Choice> {
    severity(objects, ends).or_else(|| by_status(objects).filter(|_| also_status))
}
