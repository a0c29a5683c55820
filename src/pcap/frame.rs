//! Frames of the link layer, as either format of captures gives them, and what can be said of those left out.

use std::fmt;

/// Why a file is no capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// Another format.
    #[error("this is no capture; it must be a pcap or pcapng file, as tcpdump -w and Wireshark write them")]
    Format,
    /// A kind of link that is not known.
    #[error("captured on a link of type {0}, which is not supported; capture on Ethernet, loopback or 'any'")]
    Link(u32),
}

/// What of a capture gives no packet, in packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Skipped {
    /// Other protocols than UDP.
    pub other: u64,
    /// Packets on links of a type that is not known.
    pub links: u64,
    /// Packets that were not captured to their end.
    pub cut: u64,
    /// Fragments of which others lack, or that overlap.
    pub fragments: u64,
    /// Whether the file ends within a packet, or is damaged.
    pub damaged: bool,
}

/// In words; empty if nothing was skipped that could have been a message.
impl fmt::Display for Skipped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.other, "without UDP"),
            (self.links, "of an interface of an unknown type"),
            (self.cut, "cut off (capture whole packets: tcpdump -s 0)"),
            (self.fragments, "that are fragments without the rest"),
        ];
        let mut before = "";
        for (count, what) in counts.into_iter().filter(|(count, _)| *count > 0) {
            write!(f, "{before}{count} {what}")?;
            before = ", ";
        }
        if self.damaged {
            write!(f, "{before}all behind a damaged place, or the file ends within a packet")?;
        }
        Ok(())
    }
}

/// A frame of the link layer.
#[derive(Debug)]
pub(super) struct Frame<'f> {
    pub time: Option<i64>,
    pub link: u32,
    pub bytes: &'f [u8],
    /// Whether more was sent than captured.
    pub cut: bool,
}

/// The frames of a file, one after the other.
pub(super) trait Frames<'f>: fmt::Debug {
    /// The next frame; none at the end, and at a place that is damaged.
    fn next(&mut self) -> Option<Frame<'f>>;
    /// Whether all of the file has been read.
    fn is_at_end(&self) -> bool;
}
