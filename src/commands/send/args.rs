//! Arguments of `trapline send`.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::commands::args::{ConfigArg, ipv4_address, seconds, whole};
use crate::commands::send::checkin::CheckInArgs;
use crate::commands::send::security::SecurityArgs;
use crate::commands::send::target::{snmp_argument, syslog_argument};
use crate::commands::send::wire::LoadArgs;

/// Arguments of `trapline send`.
#[derive(Debug, Args)]
pub struct SendArgs {
    #[command(subcommand)]
    pub(crate) what: What,
}

#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// An SNMP trap
    Trap(TrapArgs),
    /// An SNMP inform: a trap that is answered
    Inform(InformArgs),
    /// A syslog line
    Syslog(SyslogArgs),
    /// A check-in: the state of a service
    Checkin(CheckInArgs),
}

#[derive(Debug, Args)]
pub(crate) struct TrapArgs {
    #[command(flatten)]
    pub(crate) notification: NotificationArgs,
    /// The SNMP version. Default: 3 if a user is given, otherwise 2c
    #[arg(long, value_enum)]
    pub(crate) version: Option<VersionArg>,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct InformArgs {
    #[command(flatten)]
    pub(crate) notification: NotificationArgs,
    /// How long to wait for the answer, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "2", value_parser = seconds(86_400, 0.5))]
    pub(crate) timeout: Duration,
    /// Number of retries if no answer arrives
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = whole::<u32>(0..=u32::MAX.into(), 5))]
    pub(crate) retries: u32,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct SyslogArgs {
    /// Destination: ADDRESS, ADDRESS:PORT, udp://ADDRESS:PORT or tcp://ADDRESS:PORT; without a port 514. Default: the first listener of
    /// the configuration
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = syslog_argument)]
    pub(crate) to: Option<String>,
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// The line, sent as it is
    pub(crate) line: String,
    #[command(flatten)]
    pub(crate) load: LoadArgs,
}

#[derive(Debug, Args)]
pub(crate) struct NotificationArgs {
    /// Destination: HOST, HOST:PORT, udp://HOST:PORT or tcp://HOST:PORT; without a port 162. Default: the first listener of the
    /// configuration
    #[arg(long, value_name = "HOST[:PORT]", value_parser = snmp_argument)]
    pub(crate) to: Option<String>,
    /// The community of v1 and v2c
    #[arg(long, default_value = "public")]
    pub(crate) community: String,
    #[command(flatten)]
    pub(crate) security: SecurityArgs,
    /// The agent's address in a v1 trap
    #[arg(long, value_name = "ADDR", value_parser = ipv4_address)]
    pub(crate) agent: Option<Ipv4Addr>,
    /// A folder or file of MIBs in addition to the shipped ones
    #[arg(long, value_name = "PATH")]
    pub(crate) mibs: Vec<PathBuf>,
    /// The MIBs that it names are known, too
    #[command(flatten)]
    pub(crate) config: ConfigArg,
    /// The trap by name or OID
    pub(crate) trap: String,
    /// Varbinds as NAME.INSTANCE=VALUE or OID=VALUE, typed by the MIB
    #[arg(value_name = "VARBIND=VALUE")]
    pub(crate) varbinds: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum VersionArg {
    #[value(name = "1")]
    V1,
    #[value(name = "2c")]
    V2c,
    #[value(name = "3")]
    V3,
}
