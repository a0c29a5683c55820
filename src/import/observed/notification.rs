//! A rule for a notification that was received.

use std::fmt::Write as _;

use super::draft::{Draft, slug};
use crate::import::mib::{self, Comments, Identity, Proposal};
use crate::language::syntax;
use crate::message::{Notification, Varbind};
use crate::mib::{Kind, Mib, Object};
use crate::oid::Oid;
use crate::settings::section::quoted;

/// snmpModules: what belongs to the protocol.
const SNMP_MODULES: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3]);
/// The most varbinds that an output names.
const MOST_VALUES: usize = 8;

/// A rule for a notification; `hex` is its packet, as the inbox keeps it. If a module defines the notification, the definition
/// says what the service, the state and the output are, with what the message carries besides. Else all varbinds are in the output; the
/// objects among them that modules define tell instances apart, and say the state if they can. Otherwise it is a warning.
pub fn notification(mib: &Mib, comments: &Comments, notification: &Notification<'_>, hex: &str) -> Draft {
    let message = format!("packet = \"{hex}\"");
    let defined = mib.lookup(&notification.oid).filter(|object| {
        object.kind == Kind::Notification && object.oid.as_bytes() == notification.oid.as_bytes()
    });
    let known = objects(mib, notification);
    let proposal = defined.and_then(|defined| {
        let all = mib::propose(mib, &defined.module, comments);
        let own = all.into_iter().find(|proposal| proposal.notification.oid == defined.oid)?;
        let mut proposal = mib::with_further(own, mib, &known);
        let nameless = nameless(mib, notification);
        if !nameless.is_empty() {
            let between = if proposal.objects.is_empty() { ":" } else { "," };
            proposal.output = format!("{}{between} {}", proposal.output, nameless.join(", "));
        }
        Some(proposal)
    });
    let rule = proposal
        .map_or_else(|| undefined(mib, notification, &known), |proposal| mib::without_test(&proposal));
    Draft { rule, message }
}

/// The objects that a notification carries and modules define, each once; not those that a proxy adds (RFC 3584, section 3.1).
fn objects<'m>(mib: &'m Mib, notification: &Notification<'_>) -> Vec<&'m Object> {
    let mut objects: Vec<&Object> = Vec::new();
    for varbind in &notification.varbinds {
        let object = object(mib, varbind).filter(|object| !object.oid.starts_with(&SNMP_MODULES));
        if let Some(object) = object.filter(|object| !objects.iter().any(|other| other.oid == object.oid)) {
            objects.push(object);
        }
    }
    objects
}

fn object<'m>(mib: &'m Mib, varbind: &Varbind<'_>) -> Option<&'m Object> {
    mib.lookup(&varbind.oid).filter(|object| object.kind == Kind::Object)
}

/// The values that no module defines, by their places.
fn nameless(mib: &Mib, notification: &Notification<'_>) -> Vec<String> {
    let places =
        notification.varbinds.iter().enumerate().filter(|(_, varbind)| object(mib, varbind).is_none());
    places.map(|(at, _)| format!("value {0} {{{{ v[{0}] }}}}", at + 1)).take(MOST_VALUES).collect()
}

/// The rules, each with an example as its test, for what ends the trouble of a notification, or begins what it ends.
pub fn pairs(mib: &Mib, comments: &Comments, notification: &Notification<'_>) -> Vec<String> {
    let Some(defined) = mib.lookup(&notification.oid) else { return Vec::new() };
    let all = mib::propose(mib, &defined.module, comments);
    let Some(own) = all.iter().find(|proposal| proposal.notification.oid == defined.oid) else {
        return Vec::new();
    };
    let is_pair = |proposal: &&Proposal<'_>| {
        own.counterparts.iter().any(|counterpart| counterpart.oid == proposal.notification.oid)
    };
    all.iter().filter(is_pair).map(|pair| mib::with_example(pair, mib)).collect()
}

/// A rule for a notification that no module defines; `known` are the objects of it that modules define.
fn undefined(mib: &Mib, notification: &Notification<'_>, known: &[&Object]) -> String {
    let oid = notification.oid.to_string();
    let (service, identity, choice) = mib::of_observed(mib, &format!("Trap {}", enterprise(&oid)), known);
    let apart = match identity {
        Identity::Indexes(_) | Identity::Names(_) => mib::told_apart(&identity, false),
        _ if notification.varbinds.is_empty() => {
            "Service: one for the host; the notification carries no value for more.".to_owned()
        }
        _ => "Service: WARNING: one for all instances. Add what tells them apart, such as {{ v[1] }}."
            .to_owned(),
    };
    let (state, because) = match choice {
        Some(choice) => (choice.expression, choice.because),
        None => (
            "warning".to_owned(),
            "not known from the packet; change it to what the notification means".to_owned(),
        ),
    };
    let mut text = format!(
        "# No loaded MIB module defines {oid}: add the module of its vendor for names.\n\
         # State: {because}.\n\
         # {apart}\n"
    );
    let named: Vec<String> = notification
        .varbinds
        .iter()
        .enumerate()
        .take(MOST_VALUES)
        .map(|(at, varbind)| value(mib, varbind, at + 1))
        .collect();
    let output = match named.as_slice() {
        [] => format!("Trap {oid}"),
        named => format!("Trap {oid}: {}", named.join(", ")),
    };
    let _ = write!(
        text,
        "[[rule]]\nid = {}\ntrap = {}\n[rule.check]\nservice = {}\nstate = {}\noutput = {}\n",
        quoted(&slug(&format!("trap {oid}"), 60)),
        quoted(&oid),
        quoted(&service),
        quoted(&state),
        quoted(&output),
    );
    text
}

/// A varbind with a label: its object by name if a module defines it, else its position.
fn value(mib: &Mib, varbind: &Varbind<'_>, position: usize) -> String {
    match object(mib, varbind) {
        Some(object) => {
            format!("{} {{{{ v[{}] }}}}", object.name, syntax::quoted(&object.qualified()))
        }
        None => format!("value {position} {{{{ v[{position}] }}}}"),
    }
}

/// The number of the vendor with what follows, of an OID below `enterprises` (RFC 2578, section 2); else the OID.
fn enterprise(oid: &str) -> &str {
    oid.strip_prefix("1.3.6.1.4.1.").unwrap_or(oid)
}
