//! `trapline send`: test messages, one or a load of them.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};

use crate::config::{SyslogListen, listen};
use crate::message::{Notification, NotificationKind, Oid, Varbind, Version};
use crate::mib::{self, Mib};
use crate::rules::testing::from_text;
use crate::snmp::{encode, well_known};
use crate::sys;

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
    /// The version of SNMP
    #[arg(long, value_enum, default_value = "2c")]
    version: VersionArg,
    #[command(flatten)]
    load: LoadArgs,
}

#[derive(Debug, Args)]
struct InformArgs {
    #[command(flatten)]
    notification: NotificationArgs,
    /// How long to wait for the answer, in seconds
    #[arg(long, default_value_t = 2)]
    timeout: u64,
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
    /// Where to
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:1162")]
    to: String,
    /// The community
    #[arg(long, default_value = "public")]
    community: String,
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

#[derive(Debug, Args, Clone, Copy)]
struct LoadArgs {
    /// How many to send
    #[arg(long, default_value_t = 1)]
    count: u64,
    /// How many a second; as many as possible if left out
    #[arg(long)]
    rate: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum VersionArg {
    #[value(name = "1")]
    V1,
    #[value(name = "2c")]
    V2c,
}

/// Sends; false if an inform was not answered.
///
/// # Errors
///
/// If something cannot be sent.
pub fn run(args: SendArgs) -> anyhow::Result<bool> {
    match args.what {
        What::Trap(args) => {
            let mib = mib::load(&args.notification.mibs).mib;
            let version = match args.version {
                VersionArg::V1 => Version::V1,
                VersionArg::V2c => Version::V2c,
            };
            let notification = notification(&args.notification, version, NotificationKind::Trap, &mib)?;
            let packet = encode::encode(&notification);
            let socket = connect(&args.notification.to)?;
            report("traps", args.load.count, send_load(&socket, &packet, args.load)?);
            Ok(true)
        }
        What::Inform(args) => informs(&args),
        What::Syslog(args) => syslog(&args),
    }
}

fn report(what: &str, count: u64, took: Duration) {
    if count > 1 {
        let rate = count as f64 / took.as_secs_f64().max(1e-9);
        println!("sent {count} {what} in {:.3} s, {rate:.0} a second", took.as_secs_f64());
    }
}

fn connect(to: &str) -> anyhow::Result<UdpSocket> {
    let address = to
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .with_context(|| format!("--to: '{to}' is no HOST:PORT"))?;
    let local: SocketAddr =
        if address.is_ipv6() { "[::]:0".parse()? } else { SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)) };
    let socket = UdpSocket::bind(local)?;
    socket.connect(address).with_context(|| format!("cannot send to {address}"))?;
    Ok(socket)
}

fn notification<'a>(
    args: &'a NotificationArgs,
    version: Version,
    kind: NotificationKind,
    mib: &Mib,
) -> anyhow::Result<Notification<'a>> {
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
        user: None,
        request_id: 1,
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

/// Sends one packet many times, in batches; returns how long it took.
fn send_load(socket: &UdpSocket, packet: &[u8], load: LoadArgs) -> anyhow::Result<Duration> {
    const BATCH: u64 = 64;
    let packets = vec![packet; BATCH as usize];
    let start = Instant::now();
    let mut sent = 0;
    while sent < load.count {
        let due = match load.rate {
            Some(rate) => {
                let due = (start.elapsed().as_secs_f64() * rate as f64) as u64 + 1;
                if due <= sent {
                    let until = Duration::from_secs_f64((sent - due + 1) as f64 / rate as f64);
                    std::thread::sleep(until.clamp(Duration::from_micros(50), Duration::from_millis(10)));
                    continue;
                }
                due
            }
            None => load.count,
        };
        let now = (due.min(load.count) - sent).min(BATCH);
        match sys::send_batch(socket, &packets[..now as usize]) {
            Ok(count) => sent += count as u64,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                bail!("nobody listens at {}; is `trapline run` running?", peer(socket));
            }
            Err(error) => return Err(error).with_context(|| format!("cannot send to {}", peer(socket))),
        }
    }
    Ok(start.elapsed())
}

fn peer(socket: &UdpSocket) -> String {
    socket.peer_addr().map_or_else(|_| "?".to_owned(), |a| a.to_string())
}

fn informs(args: &InformArgs) -> anyhow::Result<bool> {
    let mib = mib::load(&args.notification.mibs).mib;
    let mut inform = notification(&args.notification, Version::V2c, NotificationKind::Inform, &mib)?;
    let socket = connect(&args.notification.to)?;
    socket.set_read_timeout(Some(Duration::from_secs(args.timeout.max(1))))?;
    let start = Instant::now();
    for n in 0..args.load.count {
        inform.request_id = (n & 0x7fff_ffff) as i32 + 1;
        let packet = encode::encode(&inform);
        if let Some(rate) = args.load.rate {
            let due = Duration::from_secs_f64(n as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(start.elapsed()));
        }
        if !acknowledged(&socket, &packet, args.retries)? {
            eprintln!(
                "trapline: no answer from {} after {} tries: is the community right, and does its journal take outcomes?",
                args.notification.to,
                args.retries + 1
            );
            return Ok(false);
        }
    }
    println!("{} acknowledged", args.load.count);
    report("informs", args.load.count, start.elapsed());
    Ok(true)
}

/// Sends a packet until its answer comes: the same packet as a Response-PDU.
fn acknowledged(socket: &UdpSocket, packet: &[u8], retries: u32) -> anyhow::Result<bool> {
    let expected = crate::snmp::decode(packet).map(|d| d.answer()).unwrap_or_default();
    let mut answer = vec![0; 65_536];
    for _ in 0..=retries {
        if let Err(error) = socket.send(packet)
            && error.kind() != std::io::ErrorKind::ConnectionRefused
        {
            return Err(error.into());
        }
        match socket.recv(&mut answer) {
            Ok(length) if answer[..length] == expected => return Ok(true),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                bail!("nobody listens at {}; is `trapline run` running?", peer(socket));
            }
            Err(_) => {}
        }
    }
    Ok(false)
}

fn syslog(args: &SyslogArgs) -> anyhow::Result<bool> {
    match listen::syslog(&args.to).map_err(|error| anyhow!("--to: {error}"))? {
        SyslogListen::Udp(address) => {
            let socket = connect(&address.to_string())?;
            report("lines", args.load.count, send_load(&socket, args.line.as_bytes(), args.load)?);
        }
        SyslogListen::Tcp(address) => {
            let stream = TcpStream::connect(address)
                .with_context(|| format!("cannot connect to {address}; is `trapline run` running?"))?;
            report("lines", args.load.count, stream_load(stream, &args.line, args.load)?);
        }
    }
    Ok(true)
}

fn stream_load(stream: TcpStream, line: &str, load: LoadArgs) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let mut stream = std::io::BufWriter::with_capacity(64 * 1024, stream);
    for n in 0..load.count {
        if let Some(rate) = load.rate {
            let due = Duration::from_secs_f64(n as f64 / rate as f64);
            if due > start.elapsed() {
                stream.flush()?;
                std::thread::sleep(due.saturating_sub(start.elapsed()));
            }
        }
        stream.write_all(line.as_bytes())?;
        stream.write_all(b"\n")?;
    }
    stream.flush()?;
    Ok(start.elapsed())
}
