//! `trapline send`: test messages, one or a load of them.

use std::borrow::Cow;

use anyhow::{Context as _, anyhow, bail};

use crate::commands::send::args::{SendArgs, SyslogArgs, TrapArgs, VersionArg, What};
use crate::commands::send::notification::{describe, notification, target_and_names};
use crate::commands::send::wire::{Wire, report};
use crate::commands::send::{checkin, inform, security, target};
use crate::intake::listener::{Protocol, Transport};
use crate::message::{NotificationKind, Version};
use crate::snmp::encode;

/// Sends; false if an inform was not answered.
///
/// # Errors
///
/// If something cannot be sent.
pub fn run(args: &SendArgs) -> anyhow::Result<bool> {
    match &args.what {
        What::Trap(args) => trap(args).map(|()| true),
        What::Inform(args) => inform::run(args),
        What::Syslog(args) => syslog(args).map(|()| true),
        What::Checkin(args) => checkin::run(args).map(|()| true),
    }
}

fn trap(args: &TrapArgs) -> anyhow::Result<()> {
    let (to, mib) = target_and_names(&args.notification)?;
    let originator = args.notification.security.originator()?;
    let version = match (args.version, originator.is_some()) {
        (None | Some(VersionArg::V3), true) => Version::V3,
        (Some(VersionArg::V3), false) => bail!("--version 3 needs a --user"),
        (Some(_), true) => bail!("--user is of SNMPv3; leave --version away, or --user"),
        (Some(VersionArg::V1), false) => Version::V1,
        (None | Some(VersionArg::V2c), false) => Version::V2c,
    };
    let mut wire = Wire::open(&to)?;
    let described = describe(&args.notification, &mib)?;
    let mut trap = notification(&args.notification, &described, version, NotificationKind::Trap, &wire)?;
    let clock = security::Seconds::default();
    let took = match originator {
        Some(originator) => wire.load(args.load, || {
            // Each another message: two that are the same to the octet are a replay.
            trap.request_id = trap.request_id.wrapping_add(1) & i32::MAX;
            let packet = originator.trap(&trap, trap.request_id, clock.now());
            packet.map(Cow::Owned).context("the trap cannot be encrypted")
        })?,
        None => {
            let packet = encode::encode(&trap);
            wire.load(args.load, || Ok(Cow::Borrowed(packet.as_slice())))?
        }
    };
    report("trap", &wire, args.load.count, took);
    Ok(())
}

fn syslog(args: &SyslogArgs) -> anyhow::Result<()> {
    let config = target::config(&args.config)?;
    let to = target::syslog(args.to.as_deref(), config.as_ref())?;
    let to = Transport::parse(Protocol::Syslog, &to).map_err(|error| anyhow!("--to: {error}"))?;
    let (mut wire, line) = match to {
        Transport::Udp(address) => (Wire::udp(&address.to_string())?, args.line.clone()),
        Transport::Tcp(address) => {
            let line = framed(&args.line)?;
            (Wire::tcp(&address.to_string())?, line)
        }
        other => bail!("--to: cannot send to {other}; use udp:// or tcp://"),
    };
    let took = wire.load(args.load, || Ok(Cow::Borrowed(line.as_bytes())))?;
    report("line", &wire, args.load.count, took);
    Ok(())
}

/// A line as it goes over a stream, where a line break ends a message (RFC 6587, section 3.4.2).
fn framed(line: &str) -> anyhow::Result<String> {
    let line = line.strip_suffix('\n').unwrap_or(line);
    if line.contains('\n') {
        bail!(
            "a line break ends a message over TCP: send each line by a command of its own, or all as one with --to udp://"
        );
    }
    Ok(format!("{line}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_over_a_stream_is_one_message() {
        for (given, sent) in [
            ("<13>one", Some("<13>one\n")),
            ("<13>one\n", Some("<13>one\n")),
            ("<13>one\n<13>two", None),
            ("<13>one\n\n", None),
            ("\n<13>one", None),
        ] {
            assert_eq!(framed(given).ok().as_deref(), sent, "{given:?}");
        }
    }
}
