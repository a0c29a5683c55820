//! Messages in what people capture and paste: captures, packets, hex dumps and lines of syslog.

use std::io;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context as _, bail};

use crate::import::printed;
use crate::message::Source;
use crate::mib::Mib;
use crate::pcap::{Capture, Dumps, PcapError, Skipped, is_capture};
use crate::settings::input;
use crate::syslog::framing::of_datagram;
use crate::terminal::eprintln;
use crate::time::clock::now;

/// Ports of SNMP notifications and of syslog, in a capture.
const SNMP: [u16; 2] = [162, 1162];
const SYSLOG: [u16; 2] = [514, 1514];
/// The most mistakes that are printed.
const MOST_MISTAKES: usize = 10;

/// A message as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found<'f> {
    /// A packet of SNMP.
    Packet(&'f [u8]),
    /// A line of syslog.
    Line(&'f [u8]),
}

/// What is said of a file that has no message.
const NOTHING: &str = "there is nothing in it; it must be a capture, a hex dump, or lines of syslog";

/// The content of a file, or of standard input for `-`; of a capture, if it must be one.
///
/// # Errors
///
/// If it cannot be read, is larger than 1 GiB, is no such capture, or begins with zeros, as what never ends may.
pub fn read(path: &Path, must_be_capture: bool) -> anyhow::Result<Vec<u8>> {
    let mut begins = |head: &[u8]| {
        if must_be_capture && !is_capture(head) {
            return Err(io::Error::other(PcapError::Format));
        }
        if head.len() == input::HEAD && head.iter().all(|octet| *octet == 0) {
            return Err(io::Error::other(NOTHING));
        }
        Ok(())
    };
    if path == Path::new("-") {
        return input::standard(&mut begins, input::DATA).context("cannot read standard input");
    }
    let read = input::bytes_that(&mut begins, path, input::DATA);
    Ok(std::mem::take(&mut *read.with_context(|| format!("cannot read {}", path.display()))?))
}

/// Hands over the messages in a file, and says on standard error what was left out. The file is a capture, a packet, or a
/// text: of hex dumps if it has any, of traps as snmptrapd prints them, otherwise of lines of syslog. `from` is the sender where
/// the file does not say; `mib` knows the names in printed traps.
///
/// # Errors
///
/// If there is no message in it, it is a capture of an unknown link, or what `take` says.
pub fn each(
    content: &[u8],
    from: IpAddr,
    mib: &Mib,
    mut take: impl FnMut(Found<'_>, &Source) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    if is_capture(content) {
        return of_capture(content, take);
    }
    let source = |from| Source { peer: (from, 0).into(), received: now() };
    let Ok(text) = str::from_utf8(content) else {
        return of_octets(content, |found| take(found, &source(from)));
    };
    let dumps = Dumps::read(text);
    if dumps.is_empty() && printed::is_printed(text) {
        return of_printed(text, from, mib, take);
    }
    if dumps.is_empty() {
        return of_octets(content, |found| take(found, &source(from)));
    }
    for (line, mistake) in dumps.mistakes.iter().take(MOST_MISTAKES) {
        eprintln!("trapline: line {line}: a packet is left out: {mistake}");
    }
    if let Some(more) = dumps.mistakes.len().checked_sub(MOST_MISTAKES + 1) {
        eprintln!("trapline: {} more packets are left out", more + 1);
    }
    let mut payloads = dumps.payloads();
    let mut seen = 0;
    for payload in &mut payloads {
        seen += 1;
        let is_line = of_datagram(&payload.octets).first() == Some(&b'<');
        let found = if is_line { Found::Line(&payload.octets) } else { Found::Packet(&payload.octets) };
        take(found, &source(payload.from.unwrap_or(from)))?;
    }
    say_skipped(&payloads.skipped(), 0);
    if seen == 0 {
        bail!("no packet in the text is whole; paste all rows, from the offset 0 on");
    }
    Ok(())
}

fn of_printed(
    text: &str,
    from: IpAddr,
    mib: &Mib,
    mut take: impl FnMut(Found<'_>, &Source) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let (mut seen, mut mistakes) = (0, 0);
    for trap in printed::traps(text, mib) {
        match &trap.packet {
            Ok(packet) => {
                seen += 1;
                let peer = (trap.from.unwrap_or(from), 0).into();
                take(Found::Packet(packet), &Source { peer, received: now() })?;
            }
            Err(error) => {
                mistakes += 1;
                if mistakes <= MOST_MISTAKES {
                    eprintln!("trapline: line {}: a trap is left out: {error}", trap.line);
                }
            }
        }
    }
    if mistakes > MOST_MISTAKES {
        eprintln!("trapline: {} more traps are left out", mistakes - MOST_MISTAKES);
    }
    if seen == 0 {
        bail!("no trap in the text can be read");
    }
    Ok(())
}

fn of_capture(
    content: &[u8],
    mut take: impl FnMut(Found<'_>, &Source) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut capture = Capture::open(content)?;
    let (mut seen, mut elsewhere) = (0, 0);
    for packet in &mut capture {
        let found = if SYSLOG.contains(&packet.port) {
            Found::Line(&packet.payload)
        } else if SNMP.contains(&packet.port) {
            Found::Packet(&packet.payload)
        } else {
            elsewhere += 1;
            continue;
        };
        seen += 1;
        let received = packet.time.unwrap_or_else(now);
        take(found, &Source { peer: (packet.from, 0).into(), received })?;
    }
    say_skipped(&capture.skipped(), elsewhere);
    if seen == 0 {
        bail!("the capture has no UDP packet to port 162, 1162, 514 or 1514");
    }
    Ok(())
}

/// A packet, or lines of syslog.
fn of_octets(content: &[u8], mut take: impl FnMut(Found<'_>) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let is_text = str::from_utf8(content).is_ok_and(|text| !text.contains('\0'));
    if content.first() == Some(&0x30) && !is_text {
        return take(Found::Packet(content));
    }
    let mut seen = 0;
    for line in content.split(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !line.trim_ascii().is_empty() {
            seen += 1;
            take(Found::Line(line))?;
        }
    }
    if seen == 0 {
        bail!(NOTHING);
    }
    Ok(())
}

fn say_skipped(skipped: &Skipped, elsewhere: u64) {
    let ports = if elsewhere > 0 { format!("{elsewhere} to other ports") } else { String::new() };
    let all: Vec<String> = [ports, skipped.to_string()].into_iter().filter(|text| !text.is_empty()).collect();
    if !all.is_empty() {
        eprintln!("trapline: packets left out: {}", all.join(", "));
    }
}
