//! A capture file, of either format.

use std::borrow::Cow;
use std::net::IpAddr;

use super::classic::{self, Classic};
use super::frame::{Frames, PcapError, Skipped};
use super::ip::{Datagrams, Skip};
use super::link;
use super::ng::{self, Ng};

/// A UDP packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet<'p> {
    /// When it was captured, in microseconds since 1970 UTC; none if the file does not say.
    pub time: Option<i64>,
    /// The sender's address.
    pub from: IpAddr,
    /// The port that it was sent to.
    pub port: u16,
    /// What it carries.
    pub payload: Cow<'p, [u8]>,
}

/// Whether a file starts as a capture does.
pub fn is_capture(file: &[u8]) -> bool {
    classic::magic(file).is_some() || ng::is_ng(file)
}

/// The UDP packets of a capture, in the order of the file. A datagram in fragments comes with the last of them.
#[derive(Debug)]
pub struct Capture<'f> {
    frames: Box<dyn Frames<'f> + 'f>,
    datagrams: Datagrams<'f>,
    skipped: Skipped,
}

impl<'f> Capture<'f> {
    /// Reads the head of a file.
    ///
    /// # Errors
    ///
    /// [`PcapError`], if it is no capture.
    pub fn open(file: &'f [u8]) -> Result<Self, PcapError> {
        let frames: Box<dyn Frames<'f> + 'f> =
            if ng::is_ng(file) { Box::new(Ng::new(file)) } else { Box::new(Classic::new(file)?) };
        Ok(Capture { frames, datagrams: Datagrams::default(), skipped: Skipped::default() })
    }

    /// What was skipped so far.
    pub fn skipped(&self) -> Skipped {
        Skipped { fragments: self.datagrams.lost(), ..self.skipped }
    }
}

impl<'f> Iterator for Capture<'f> {
    type Item = Packet<'f>;

    fn next(&mut self) -> Option<Packet<'f>> {
        loop {
            let Some(frame) = self.frames.next() else {
                self.skipped.damaged = !self.frames.is_at_end();
                return None;
            };
            if !link::is_known(frame.link) {
                self.skipped.links += 1;
                continue;
            }
            let datagram = match link::ip(frame.link, frame.bytes) {
                Some(packet) => self.datagrams.take(packet),
                None => Err(if frame.cut { Skip::Cut } else { Skip::Other }),
            };
            match datagram {
                Ok(datagram) => {
                    return Some(Packet {
                        time: frame.time,
                        from: datagram.from,
                        port: datagram.port,
                        payload: datagram.payload,
                    });
                }
                Err(Skip::Other) => self.skipped.other += 1,
                Err(Skip::Cut) => self.skipped.cut += 1,
                Err(Skip::Fragment) => {}
            }
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
