//! Packets in hex, as programs print them and people paste them.
//!
//! A row is an offset, octets in hex and perhaps the same as text. Rows without offsets are taken too. The offsets tell
//! where a packet begins, and whether rows are missing. Lines of any other form are passed over.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use super::frame::Skipped;
use super::ip::{Datagrams, Skip};
use super::link::{self, Octets};

/// The most octets of a packet: those of IP and a frame around it.
const LARGEST: usize = 66_000;
/// The most octets of a row.
const ROW: usize = 16;
/// The fewest octets of the first row of a dump without offsets: a shorter one may be a word. A row that does not begin at
/// the offset 0 must be full, for the same reason.
const BARE: usize = 8;

/// A packet in hex.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dump {
    /// The line of the text that it begins in, from 1.
    pub line: usize,
    /// The sender, if the program says so beside the packet.
    pub from: Option<IpAddr>,
    /// Its octets.
    pub octets: Vec<u8>,
}

/// What is wrong with a dump, which is left out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Mistake {
    /// Rows are missing.
    #[error("the octets from {0:#06x} on are missing; paste all rows of the packet")]
    Missing(usize),
    /// It is in the order of the machine.
    #[error("octets are swapped in words of two; print them one by one, with hexdump -C or xxd")]
    Words,
    /// It is longer than a packet can be.
    #[error("it has more than {LARGEST} octets, which no packet has")]
    Long,
}

/// The dumps in a text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Dumps {
    /// In the order of the text.
    pub dumps: Vec<Dump>,
    /// What is wrong, with the line.
    pub mistakes: Vec<(usize, Mistake)>,
}

impl Dumps {
    /// Finds the dumps in a text.
    pub fn read(text: &str) -> Self {
        let mut reading = Reading::default();
        for (at, line) in text.lines().enumerate() {
            reading.line(at + 1, line);
        }
        reading.end();
        reading.found
    }

    /// Whether there is none, not even one with a mistake.
    pub fn is_empty(&self) -> bool {
        self.dumps.is_empty() && self.mistakes.is_empty()
    }

    /// What the dumps carry.
    pub fn payloads(&self) -> Payloads<'_> {
        Payloads { dumps: self.dumps.iter(), datagrams: Datagrams::default(), skipped: Skipped::default() }
    }
}

/// What a dump carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload<'p> {
    /// The sender, if the dump shows it.
    pub from: Option<IpAddr>,
    /// The message.
    pub octets: Cow<'p, [u8]>,
}

/// What dumps carry, one after the other. A datagram in fragments comes with the last of them.
#[derive(Debug)]
pub struct Payloads<'p> {
    dumps: std::slice::Iter<'p, Dump>,
    datagrams: Datagrams<'p>,
    skipped: Skipped,
}

impl Payloads<'_> {
    /// What was skipped so far.
    pub fn skipped(&self) -> Skipped {
        Skipped { fragments: self.datagrams.lost(), ..self.skipped }
    }
}

impl<'p> Iterator for Payloads<'p> {
    type Item = Payload<'p>;

    fn next(&mut self) -> Option<Payload<'p>> {
        loop {
            let dump = self.dumps.next()?;
            let packet = match link::octets(&dump.octets) {
                Octets::Payload(octets) => return Some(Payload { from: dump.from, octets: octets.into() }),
                Octets::Ip(packet) => packet,
            };
            match self.datagrams.take(packet) {
                Ok(datagram) => return Some(Payload { from: Some(datagram.from), octets: datagram.payload }),
                Err(Skip::Other) => self.skipped.other += 1,
                Err(Skip::Cut) => self.skipped.cut += 1,
                Err(Skip::Fragment) => {}
            }
        }
    }
}

#[derive(Debug, Default)]
struct Reading {
    found: Dumps,
    open: Option<Open>,
    /// The sender that a line named for the packet below.
    from: Option<IpAddr>,
}

#[derive(Debug)]
struct Open {
    dump: Dump,
    /// It has no offsets.
    bare: bool,
    /// How its offsets may be written.
    radixes: Vec<u32>,
    /// It has a mistake: its rows are passed over.
    wrong: bool,
}

impl Reading {
    fn line(&mut self, number: usize, line: &str) {
        if let Some(from) = sender(line) {
            self.end();
            self.from = Some(from);
        } else if let Some(row) = row(line) {
            self.row(number, row);
        } else if self.open.as_ref().is_some_and(|open| open.bare) {
            self.end();
        }
    }

    fn row(&mut self, number: usize, row: Row<'_>) {
        let bare = row.offset.is_none();
        let is_first = row.offset.as_ref().is_some_and(Offset::is_zero);
        if is_first || self.open.as_ref().is_some_and(|open| open.bare != bare) {
            self.end();
        }
        if self.open.is_none() {
            let fewest = if bare {
                BARE
            } else if is_first {
                1
            } else {
                ROW
            };
            if row.octets.len() < fewest {
                return;
            }
            let dump = Dump { line: number, from: self.from.take(), octets: Vec::new() };
            let radixes = row.offset.as_ref().map_or(Vec::new(), |offset| offset.radixes.to_vec());
            self.open = Some(Open { dump, bare, radixes, wrong: false });
        }
        let Some(open) = &mut self.open else { return };
        if open.wrong {
            return;
        }
        if let Err(mistake) = open.add(&row) {
            open.wrong = true;
            self.found.mistakes.push((number, mistake));
        }
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take().filter(|open| !open.wrong) {
            self.found.dumps.push(open.dump);
        }
    }
}

impl Open {
    fn add(&mut self, row: &Row<'_>) -> Result<(), Mistake> {
        let have = self.dump.octets.len();
        if let Some(offset) = &row.offset {
            let fits = |radix: &u32| offset.radixes.contains(radix) && offset.is(have, *radix);
            self.radixes.retain(fits);
            if self.radixes.is_empty() {
                return Err(Mistake::Missing(have));
            }
        }
        if row.words {
            return Err(Mistake::Words);
        }
        if have + row.octets.len() > LARGEST {
            return Err(Mistake::Long);
        }
        self.dump.octets.extend(&row.octets);
        Ok(())
    }
}

/// The sender in a line of snmptrapd -d: `Received 59 byte packet from UDP: [127.0.0.1]:54606->[127.0.0.1]:162`.
fn sender(line: &str) -> Option<IpAddr> {
    let (_, rest) = line.split_once("Received ")?;
    let (_, rest) = rest.split_once(" byte packet from ")?;
    let (_, address) = rest.split_once(": ")?;
    let address = address.split("->").next()?.trim();
    if let Ok(address) = address.parse::<SocketAddr>() {
        return Some(address.ip());
    }
    let (address, _) = address.strip_prefix('[')?.split_once(']')?;
    address.parse().ok()
}

struct Row<'l> {
    offset: Option<Offset<'l>>,
    octets: Vec<u8>,
    /// Two octets a word, in the order of the machine.
    words: bool,
}

/// The offset that a row begins with.
#[derive(Debug, Clone, Copy)]
struct Offset<'l> {
    digits: &'l str,
    /// What it can be written in.
    radixes: &'static [u32],
}

impl Offset<'_> {
    fn is(&self, value: usize, radix: u32) -> bool {
        usize::from_str_radix(self.digits, radix) == Ok(value)
    }

    fn is_zero(&self) -> bool {
        self.is(0, 16)
    }
}

/// A row of a dump; none for any other line.
fn row(line: &str) -> Option<Row<'_>> {
    let line = line.trim();
    // Wireshark shows what is no text as dots beyond ASCII.
    let ascii = line.find(|c: char| !c.is_ascii()).map_or(line, |end| &line[..end]);
    let (first, rest) = ascii.split_once(char::is_whitespace).unwrap_or((ascii, ""));
    if let Some(offset) = offset(first, rest) {
        let (octets, longest) = octets(rest.trim_start());
        // hexdump and od without options.
        let words = offset.digits.len() == 7 && longest == 4;
        return (!octets.is_empty()).then_some(Row { offset: Some(offset), octets, words });
    }
    let is_hex = |c: char| c.is_ascii_hexdigit() || c == ':' || c == ' ';
    let digits: String =
        line.strip_prefix("0x").unwrap_or(line).chars().filter(char::is_ascii_hexdigit).collect();
    let whole = line.strip_prefix("0x").unwrap_or(line).chars().all(is_hex) && digits.len().is_multiple_of(2);
    let octets = whole.then(|| pairs(&digits).collect::<Vec<u8>>()).filter(|octets| !octets.is_empty())?;
    Some(Row { offset: None, octets, words: false })
}

fn offset<'l>(first: &'l str, rest: &str) -> Option<Offset<'l>> {
    let second = rest.split_whitespace().next()?;
    if !(matches!(second.len(), 2 | 4 | 8) && is_hex(second)) {
        return None;
    }
    let colon = first.strip_suffix(':');
    let (digits, radixes): (&str, &[u32]) = match (first.strip_prefix("0x"), colon) {
        // tcpdump
        (Some(digits), _) => (digits.strip_suffix(':').unwrap_or(digits), &[16]),
        // snmptrapd has four decimal digits, xxd eight of hex.
        (None, Some(digits)) => (digits, &[16, 10]),
        // od
        (None, None) if first.len() == 7 => (first, &[8, 16]),
        // Wireshark, hexdump -C. A row without an offset has groups of one length.
        (None, None) if matches!(first.len(), 4 | 6 | 8) && second.len() == 2 => (first, &[16]),
        _ => return None,
    };
    ((3..=8).contains(&digits.len()) && is_hex(digits)).then_some(Offset { digits, radixes })
}

/// The octets at the start of a row, behind its offset, and the digits of the longest group. Three spaces, a bar or what is
/// no hex ends them: the text follows.
fn octets(row: &str) -> (Vec<u8>, usize) {
    let (mut octets, mut longest) = (Vec::new(), 0);
    let mut rest = row;
    while octets.len() < ROW {
        let group = rest.split([' ', '\t']).next().unwrap_or_default();
        if group.is_empty()
            || !group.len().is_multiple_of(2)
            || !is_hex(group)
            || octets.len() + group.len() / 2 > ROW
        {
            break;
        }
        octets.extend(pairs(group));
        longest = longest.max(group.len());
        let after = &rest[group.len()..];
        rest = after.trim_start_matches(' ');
        if after.len() - rest.len() > 2 {
            break;
        }
    }
    (octets, longest)
}

fn is_hex(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_hexdigit())
}

/// The octets of pairs of digits.
fn pairs(digits: &str) -> impl Iterator<Item = u8> {
    digits.as_bytes().chunks_exact(2).filter_map(|pair| {
        let digit = |octet: u8| char::from(octet).to_digit(16);
        Some((digit(pair[0])? << 4 | digit(pair[1])?) as u8)
    })
}

#[cfg(test)]
#[path = "dump_tests.rs"]
mod tests;
