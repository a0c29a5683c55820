//! The notification that the arguments describe.

use anyhow::{Context as _, anyhow, bail};

use crate::commands::send::args::NotificationArgs;
use crate::message::{Notification, NotificationKind, Varbind, Version};
use crate::mib::Mib;
use crate::oid::Oid;
use crate::rules::testing::{from_text, resolve};
use crate::snmp::encode::as_v1;

/// A random request id.
pub(crate) fn random() -> anyhow::Result<i32> {
    Ok(getrandom::u32()? as i32 & i32::MAX)
}

pub(crate) fn notification<'a>(
    args: &'a NotificationArgs,
    version: Version,
    kind: NotificationKind,
    mib: &Mib,
) -> anyhow::Result<Notification<'a>> {
    let candidates = mib.ambiguous(&args.trap, |_| true);
    if !candidates.is_empty() {
        bail!("'{}' is ambiguous: {}; write the one that is meant", args.trap, candidates.join(", "));
    }
    let oid = mib.resolve(&args.trap).ok_or_else(|| {
        anyhow!("no MIB knows the trap '{}'; give its OID, or the folder of its MIB with --mibs", args.trap)
    })?;
    let varbinds =
        args.varbinds.iter().map(|text| varbind(text, &oid, mib)).collect::<anyhow::Result<_>>()?;
    let (generic, enterprise, specific) = as_v1(&oid);
    Ok(Notification {
        version,
        kind,
        community: args.community.as_bytes(),
        proxied_community: None,
        security: None,
        request_id: random()?,
        oid,
        enterprise: Some(enterprise),
        agent: args.agent,
        generic: Some(generic),
        specific: Some(specific),
        uptime: Some(0),
        varbinds,
    })
}

fn varbind<'a>(text: &'a str, trap: &Oid<'static>, mib: &Mib) -> anyhow::Result<Varbind<'a>> {
    let (name, value) = text.split_once('=').with_context(|| format!("'{text}' is no VARBIND=VALUE"))?;
    let oid = resolve(name, trap, mib).map_err(|(message, hint)| anyhow!("{message}; {hint}"))?;
    let value =
        from_text(value, mib.lookup(&oid), mib).with_context(|| format!("'{value}' does not fit {name}"))?;
    Ok(Varbind { oid, value })
}
