//! The notification that the arguments describe.

use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};

use crate::commands::send::args::NotificationArgs;
use crate::commands::send::target;
use crate::commands::send::wire::Wire;
use crate::config::loaded as setup;
use crate::message::{Notification, NotificationKind, Value, Varbind, Version};
use crate::mib::Mib;
use crate::mib::load as mib;
use crate::mib::parse::{Typed, from_text};
use crate::oid::Oid;
use crate::rules::testing::resolve;
use crate::snmp::encode::as_v1;
use crate::time::clock::{Clock as _, SystemClock};

/// Where the notification goes, and the names that the arguments may use.
///
/// # Errors
///
/// If the configuration is wrong.
pub(crate) fn target_and_names(args: &NotificationArgs) -> anyhow::Result<(String, Arc<Mib>)> {
    let config = target::config(&args.config)?;
    let to = target::snmp(args.to.as_deref(), config.as_ref())?;
    let names = match &config {
        Some(config) => setup::mibs(config, &args.mibs).0.mib,
        None => Arc::new(mib::load(&args.mibs).mib),
    };
    Ok((to, names))
}

/// A random request id.
pub(crate) fn random() -> anyhow::Result<i32> {
    Ok(getrandom::u32()? as i32 & i32::MAX)
}

/// The trap that the arguments name, and its varbinds.
pub(crate) struct Described {
    oid: Oid<'static>,
    varbinds: Vec<(Oid<'static>, Typed)>,
}

pub(crate) fn describe(args: &NotificationArgs, mib: &Mib) -> anyhow::Result<Described> {
    let candidates = mib.ambiguous(&args.trap, |_| true);
    if !candidates.is_empty() {
        bail!("'{}' is ambiguous: {}; write the one that is meant", args.trap, candidates.join(", "));
    }
    let oid = mib.resolve(&args.trap).ok_or_else(|| {
        anyhow!("no MIB knows the trap '{}'; give its OID, or the folder of its MIB with --mibs", args.trap)
    })?;
    let varbinds =
        args.varbinds.iter().map(|text| varbind(text, &oid, mib)).collect::<anyhow::Result<_>>()?;
    Ok(Described { oid, varbinds })
}

pub(crate) fn notification<'a>(
    args: &'a NotificationArgs,
    described: &'a Described,
    version: Version,
    kind: NotificationKind,
    wire: &Wire,
) -> anyhow::Result<Notification<'a>> {
    let varbinds = described.varbinds.iter();
    let varbinds = varbinds.map(|(oid, value)| Varbind { oid: oid.borrowed(), value: value.value() });
    let mut notification = Notification {
        version,
        kind,
        community: args.community.as_bytes(),
        proxied_community: None,
        security: None,
        request_id: random()?,
        oid: described.oid.borrowed(),
        enterprise: None,
        agent: args.agent,
        generic: None,
        specific: None,
        // As long as the machine runs; it begins anew after 497 days (RFC 3418).
        uptime: Some((SystemClock.now().mono.nanos() / 10_000_000) as u32),
        varbinds: varbinds.collect(),
    };
    if version == Version::V1 {
        as_of_v1(&mut notification, wire)?;
    }
    Ok(notification)
}

/// What only v1 has, and what it has not.
fn as_of_v1(notification: &mut Notification<'_>, wire: &Wire) -> anyhow::Result<()> {
    if let Some(counter) = notification.varbinds.iter().find(|v| matches!(v.value, Value::Counter64(_))) {
        bail!("SNMPv1 has no Counter64 (RFC 3584, section 3.2): {}; send it with --version 2c", counter.oid);
    }
    let (generic, enterprise, specific) = as_v1(&notification.oid).with_context(|| {
        format!(
            "SNMPv1 has no specific trap beyond 2147483647: {}; send it with --version 2c",
            notification.oid
        )
    })?;
    notification.enterprise = Some(enterprise);
    notification.generic = Some(generic);
    notification.specific = Some(specific);
    notification.agent = notification.agent.or_else(|| wire.local());
    Ok(())
}

fn varbind(text: &str, trap: &Oid<'static>, mib: &Mib) -> anyhow::Result<(Oid<'static>, Typed)> {
    let (name, value) = text.split_once('=').with_context(|| format!("'{text}' is no VARBIND=VALUE"))?;
    let oid = resolve(name, trap, mib).map_err(|(message, hint)| anyhow!("{message}; {hint}"))?;
    let syntax = mib.lookup(&oid).map(|object| &*object.syntax);
    let value = from_text(value, syntax, mib).with_context(|| {
        let known = syntax.map(|syntax| [&syntax.enums[..], &syntax.bits[..]].concat()).unwrap_or_default();
        let names: Vec<&str> = known.iter().map(|(_, name)| &**name).collect();
        let hint = if names.is_empty() {
            "write it as `trapline explain` shows it, octets in hex behind 0x".to_owned()
        } else {
            format!("one of {}", names.join(", "))
        };
        format!("'{value}' does not fit {name}; {hint}")
    })?;
    Ok((oid, value))
}
