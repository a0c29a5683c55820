//! `trapline send`: test messages, one or a load of them.

mod inform;
mod security;
mod wire;

use std::borrow::Cow;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::intake::listener::{Protocol, Transport};
use crate::message::{Notification, NotificationKind, Oid, Varbind, Version};
use crate::mib::{Mib, load as mib};
use crate::rules::testing::from_text;
use crate::snmp::{encode, well_known};
use security::SecurityArgs;
use wire::{LoadArgs, Wire};

/// Arguments of `trapline send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// An SNMP trap
    Trap(TrapArgs),
    /// An SNMP inform: a trap that is answered
    Inform(InformArgs),
    /// A line of syslog
    Syslog(SyslogArgs),
}

#[derive(Debug, Args)]
struct TrapArgs {
    #[command(flatten)]
    notification: NotificationArgs,
    /// The version of SNMP; 3 where a user is given, else 2c
    #[arg(long, value_enum)]
    version: Option<VersionArg>,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Args)]
struct InformArgs {
    #[command(flatten)]
    notification: NotificationArgs,
    /// How long to wait for the answer, in seconds
    #[arg(long, default_value_t = 2.0)]
    timeout: f64,
    /// How often to send again when no answer comes
    #[arg(long, default_value_t = 3)]
    retries: u32,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Args)]
struct SyslogArgs {
    /// Where to: ADDRESS:PORT, udp://ADDRESS:PORT or tcp://ADDRESS:PORT
    #[arg(long, default_value = "127.0.0.1:1514")]
    to: String,
    /// The line, sent as it is
    line: String,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Args)]
struct NotificationArgs {
    /// Where to: HOST:PORT, udp://HOST:PORT or tcp://HOST:PORT
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1162")]
    to: String,
    /// The community of v1 and v2c
    #[arg(long, default_value = "public")]
    community: String,
    #[command(flatten)]
    security: SecurityArgs,
    /// The agent's address in a v1 trap
    #[arg(long, value_name = "ADDR")]
    agent: Option<Ipv4Addr>,
    /// A folder or file of MIBs beside the shipped ones
    #[arg(long, value_name = "PATH")]
    mibs: Vec<std::path::PathBuf>,
    /// The trap by name or OID
    trap: String,
    /// Varbinds as NAME.INSTANCE=VALUE or OID=VALUE, typed by the MIB
    #[arg(value_name = "VARBIND=VALUE")]
    varbinds: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum VersionArg {
    #[value(name = "1")]
    V1,
    #[value(name = "2c")]
    V2c,
    #[value(name = "3")]
    V3,
}

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
    }
}

fn trap(args: &TrapArgs) -> anyhow::Result<()> {
    let mib = mib::load(&args.notification.mibs).mib;
    let originator = args.notification.security.originator()?;
    let version = match (args.version, originator.is_some()) {
        (None | Some(VersionArg::V3), true) => Version::V3,
        (Some(VersionArg::V3), false) => bail!("--version 3 needs a --user"),
        (Some(_), true) => bail!("--user is of SNMPv3; leave --version away, or --user"),
        (Some(VersionArg::V1), false) => Version::V1,
        (None | Some(VersionArg::V2c), false) => Version::V2c,
    };
    let mut trap = notification(&args.notification, version, NotificationKind::Trap, &mib)?;
    let mut wire = Wire::open(&args.notification.to)?;
    let took = match originator {
        Some(originator) => wire.load(args.load, || {
            // Each another message: two that are the same to the octet are a replay.
            trap.request_id = trap.request_id.wrapping_add(1) & i32::MAX;
            let packet = originator.trap(&trap, trap.request_id, security::now());
            packet.map(Cow::Owned).context("the trap cannot be encrypted")
        })?,
        None => {
            let packet = encode::encode(&trap);
            wire.load(args.load, || Ok(Cow::Borrowed(packet.as_slice())))?
        }
    };
    report("traps", args.load.count, took);
    Ok(())
}

fn report(what: &str, count: u64, took: Duration) {
    if count > 1 {
        let rate = count as f64 / took.as_secs_f64().max(1e-9);
        println!("sent {count} {what} in {:.3} s, {rate:.0} a second", took.as_secs_f64());
    }
}

/// A number that the next run of the program will not begin with.
fn random() -> i32 {
    let random = std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), std::process::id());
    random as i32 & i32::MAX
}

fn notification<'a>(
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
    let varbinds = args.varbinds.iter().map(|text| varbind(text, mib)).collect::<anyhow::Result<_>>()?;
    let (generic, enterprise, specific) = as_v1(&oid);
    Ok(Notification {
        version,
        kind,
        community: args.community.as_bytes(),
        proxied_community: None,
        security: None,
        request_id: random(),
        oid,
        enterprise: Some(enterprise),
        agent: args.agent,
        generic: Some(generic),
        specific: Some(specific),
        uptime: Some(0),
        varbinds,
    })
}

fn varbind<'a>(text: &'a str, mib: &Mib) -> anyhow::Result<Varbind<'a>> {
    let (name, value) = text.split_once('=').with_context(|| format!("'{text}' is no VARBIND=VALUE"))?;
    let oid = mib.resolve(name).with_context(|| format!("no MIB knows '{name}'; give its OID"))?;
    let value =
        from_text(value, mib.lookup(&oid), mib).with_context(|| format!("'{value}' does not fit {name}"))?;
    Ok(Varbind { oid, value })
}

/// generic-trap, enterprise and specific-trap of a trap OID (RFC 3584, section 3.2).
fn as_v1(oid: &Oid<'_>) -> (i32, Oid<'static>, i32) {
    let arcs: Vec<u32> = oid.arcs().collect();
    let Some((&last, head)) = arcs.split_last() else { return (6, oid.clone().into_owned(), 0) };
    if oid.starts_with(&well_known::SNMP_TRAPS) && (1..=6).contains(&last) {
        return (last as i32 - 1, well_known::SNMP_TRAPS, 0);
    }
    let head = if head.last() == Some(&0) { &head[..head.len() - 1] } else { head };
    let enterprise = Oid::from_arcs(head).unwrap_or_else(|| oid.clone().into_owned());
    (6, enterprise, last as i32)
}

fn syslog(args: &SyslogArgs) -> anyhow::Result<()> {
    let to = Transport::parse(Protocol::Syslog, &args.to).map_err(|error| anyhow!("--to: {error}"))?;
    let (mut wire, line) = match to {
        Transport::Udp(address) => (Wire::udp(&address.to_string())?, args.line.clone()),
        Transport::Tcp(address) => (Wire::tcp(&address.to_string())?, format!("{}\n", args.line)),
    };
    let took = wire.load(args.load, || Ok(Cow::Borrowed(line.as_bytes())))?;
    report("lines", args.load.count, took);
    Ok(())
}
