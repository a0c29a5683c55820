//! Proposals as a rule file.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::import::mib::comments::Comments;
use crate::import::mib::example;
use crate::import::mib::identity::Identity;
use crate::import::mib::propose::{Proposal, propose};
use crate::mib::{Mib, Object};
use crate::outcome::result::State;
use crate::settings::section::quoted;

/// Rules for the notifications of these modules, each with a test. Of several notifications with one OID, only the
/// first gets a rule.
pub fn rules(mib: &Mib, modules: &[&str], comments: &Comments) -> String {
    let mut text = String::from(
        "# Made from MIB modules by `trapline mib rules`. Review the rules before you use them: the comments give the reasons.\n",
    );
    let mut seen = HashSet::new();
    let mut all: Vec<Proposal<'_>> =
        modules.iter().flat_map(|module| propose(mib, module, comments)).collect();
    all.sort_by(|a, b| a.notification.oid.cmp(&b.notification.oid));
    for proposal in &all {
        if seen.insert(proposal.notification.oid.clone()) {
            text.push('\n');
            text.push_str(&with_example(proposal, mib));
        } else {
            let name = proposal.notification.qualified();
            let _ = writeln!(text, "\n# {name} has the same OID as a notification above.");
        }
    }
    text
}

/// A proposal as a rule without a test, with the reasons as comments above it.
pub fn without_test(proposal: &Proposal<'_>) -> String {
    let qualified = proposal.notification.qualified();
    let id = format!("{}-{}", proposal.notification.module, proposal.notification.name).to_lowercase();
    let mut text = String::new();
    for line in reasons(proposal) {
        let _ = writeln!(text, "# {line}");
    }
    let _ = write!(
        text,
        "[[rule]]\nid = {}\ntrap = {}\n[rule.check]\nservice = {}\nstate = {}\noutput = {}\n",
        quoted(&id),
        quoted(&qualified),
        quoted(&proposal.service),
        quoted(&proposal.state.expression),
        quoted(&proposal.output),
    );
    text
}

/// A proposal as a rule, with an example as its test.
pub fn with_example(proposal: &Proposal<'_>, mib: &Mib) -> String {
    let mut text = without_test(proposal);
    let _ = writeln!(text, "[[rule.test]]\ntrap = {}", quoted(&proposal.notification.qualified()));
    let varbinds = varbinds(proposal, 0, mib);
    if !varbinds.is_empty() {
        let _ = writeln!(text, "varbinds = {{ {varbinds} }}");
    }
    let _ = writeln!(text, "expect = {{ state = \"{}\" }}", proposal.state.expected.as_str());
    text
}

/// Example varbinds, as a test has them.
pub(super) fn varbinds(proposal: &Proposal<'_>, which: u8, mib: &Mib) -> String {
    let value = |object: &Object| match &proposal.state.read {
        Some((name, value)) if *name == object.qualified() => quoted(value),
        _ => example::value(object, which, mib),
    };
    let one = |object: &&Object| {
        let name = format!("{}.{}", object.qualified(), example::instance(object, which));
        format!("{} = {}", quoted(&name), value(object))
    };
    proposal.objects.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The reason for each choice, a line each.
fn reasons(proposal: &Proposal<'_>) -> Vec<String> {
    let mut lines = vec![format!("State: {}.", proposal.state.because)];
    if !proposal.counterparts.is_empty() {
        let verb = if proposal.state.expected == State::Ok && proposal.state.read.is_none() {
            "Clears"
        } else {
            "Cleared or followed by"
        };
        lines.push(format!("{verb}: {}.", names(&proposal.counterparts)));
    }
    lines.push(told_apart(&proposal.identity, !proposal.counterparts.is_empty()));
    lines.push(format!("Output: {}.", proposal.output_from));
    if let Some(object) = proposal.other_host {
        lines.push(format!(
            "Host: the sender. If it is a controller, `host = \"{{{{ v['{}'] }}}}\"` may be the host.",
            object.qualified()
        ));
    }
    lines
}

/// What tells instances apart, as a comment says it; `is_pair` if other notifications share the service.
pub fn told_apart(identity: &Identity<'_>, is_pair: bool) -> String {
    let several = if is_pair { " that all of them carry" } else { "" };
    match identity {
        Identity::Indexes(objects) => format!("Service: told apart by the indexes{several}: {}.", names(objects)),
        Identity::Names(objects) => format!("Service: told apart by names{several}: {}.", names(objects)),
        Identity::Host => "Service: one for the host; the notification carries no object for more.".to_owned(),
        Identity::Missing => {
            "Service: WARNING: one for all instances, so that one clears the trouble of another. No object names the instance: add what tells them apart to `service`.".to_owned()
        }
    }
}

fn names(objects: &[&Object]) -> String {
    objects.iter().map(|object| &*object.name).collect::<Vec<_>>().join(", ")
}
