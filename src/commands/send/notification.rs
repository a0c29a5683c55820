//! The notification that the arguments describe.

use anyhow::{Context as _, anyhow, bail};

use crate::commands::send::args::NotificationArgs;
use crate::commands::send::wire::Wire;
use crate::message::{Notification, NotificationKind, Value, Varbind, Version};
use crate::mib::Mib;
use crate::oid::Oid;
use crate::rules::testing::{from_text, resolve};
use crate::snmp::encode::as_v1;
use crate::time::clock::{Clock as _, SystemClock};

/// A random request id.
pub(crate) fn random() -> anyhow::Result<i32> {
    Ok(getrandom::u32()? as i32 & i32::MAX)
}

pub(crate) fn notification<'a>(
    args: &'a NotificationArgs,
    version: Version,
    kind: NotificationKind,
    mib: &Mib,
    wire: &Wire,
) -> anyhow::Result<Notification<'a>> {
    let candidates = mib.ambiguous(&args.trap, |_| true);
    if !candidates.is_empty() {
        bail!("'{}' is ambiguous: {}; write the one that is meant", args.trap, candidates.join(", "));
    }
    let oid = mib.resolve(&args.trap).ok_or_else(|| {
        anyhow!("no MIB knows the trap '{}'; give its OID, or the folder of its MIB with --mibs", args.trap)
    })?;
    let varbinds: Vec<Varbind<'_>> =
        args.varbinds.iter().map(|text| varbind(text, &oid, mib)).collect::<anyhow::Result<_>>()?;
    let mut notification = Notification {
        version,
        kind,
        community: args.community.as_bytes(),
        proxied_community: None,
        security: None,
        request_id: random()?,
        oid,
        enterprise: None,
        agent: args.agent,
        generic: None,
        specific: None,
        // As long as the machine runs; it begins anew after 497 days (RFC 3418).
        uptime: Some((SystemClock.now().mono.nanos() / 10_000_000) as u32),
        varbinds,
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

fn varbind<'a>(text: &'a str, trap: &Oid<'static>, mib: &Mib) -> anyhow::Result<Varbind<'a>> {
    let (name, value) = text.split_once('=').with_context(|| format!("'{text}' is no VARBIND=VALUE"))?;
    let oid = resolve(name, trap, mib).map_err(|(message, hint)| anyhow!("{message}; {hint}"))?;
    let value =
        from_text(value, mib.lookup(&oid), mib).with_context(|| format!("'{value}' does not fit {name}"))?;
    Ok(Varbind { oid, value })
}
