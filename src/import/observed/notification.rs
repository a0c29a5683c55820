//! A rule for a notification that was received.

use std::fmt::Write as _;

use super::draft::{Draft, slug};
use crate::import::mib::{self, Comments, Proposal};
use crate::language::syntax;
use crate::message::{Notification, Varbind};
use crate::mib::{Kind, Mib};
use crate::settings::section::quoted;

/// The most varbinds that an output names.
const MOST_VALUES: usize = 8;

/// A rule for a notification; `hex` is its packet, as the inbox keeps it. If a module defines the notification, the definition
/// says what the service, the state and the output are. Else all varbinds are in the output, and the state is a warning.
pub fn notification(mib: &Mib, comments: &Comments, notification: &Notification<'_>, hex: &str) -> Draft {
    let message = format!("packet = \"{hex}\"");
    let defined = mib.lookup(&notification.oid).filter(|object| {
        object.kind == Kind::Notification && object.oid.as_bytes() == notification.oid.as_bytes()
    });
    let rule = match defined {
        Some(defined) => mib::propose(mib, &defined.module, comments)
            .iter()
            .find(|proposal| proposal.notification.oid == defined.oid)
            .map(mib::without_test),
        None => None,
    };
    Draft { rule: rule.unwrap_or_else(|| undefined(mib, notification)), message }
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

/// A rule for a notification that no module defines.
fn undefined(mib: &Mib, notification: &Notification<'_>) -> String {
    let oid = notification.oid.to_string();
    let enterprise = enterprise(&oid);
    let identity = if notification.varbinds.is_empty() {
        "one for the host; the notification carries no value for more."
    } else {
        "WARNING: one for all instances. Add what tells them apart, such as {{ v[1] }}."
    };
    let mut text = format!(
        "# No loaded MIB module defines {oid}: add the module of its vendor for names.\n\
         # State: not known from the packet; change it to what the notification means.\n\
         # Service: {identity}\n"
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
        "[[rule]]\nid = {}\ntrap = {}\n[rule.check]\nservice = {}\nstate = \"warning\"\noutput = {}\n",
        quoted(&slug(&format!("trap {oid}"), 60)),
        quoted(&oid),
        quoted(&format!("Trap {enterprise}")),
        quoted(&output),
    );
    text
}

/// A varbind with a label: its object by name if a module defines it, else its position.
fn value(mib: &Mib, varbind: &Varbind<'_>, position: usize) -> String {
    match mib.lookup(&varbind.oid).filter(|object| object.kind == Kind::Object) {
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
