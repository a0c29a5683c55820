//! The packets of NSCA's protocol, version 3, as `common.h` of nsca 2.10 lays them out on a machine with padding.

use crate::outcome::result::CheckResult;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::plugin_output::{Newlines, Unfit, push_host, push_output, push_service};

/// Octets of the initialisation vector.
pub(crate) const IV: usize = 128;
const VERSION: i16 = 3;
const HOST: usize = 64;
const SERVICE: usize = 128;

/// How much output a packet has room for: the daemon must have been built with the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// 512, up to nsca 2.7.
    Short,
    /// 4096, since nsca 2.9.
    Long,
}

impl Size {
    fn output(self) -> usize {
        match self {
            Size::Short => 512,
            Size::Long => 4096,
        }
    }

    /// The length of a packet, which is padded to a multiple of four.
    pub(crate) fn octets(self) -> usize {
        (14 + HOST + SERVICE + self.output()).next_multiple_of(4)
    }
}

/// One result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    code: i16,
    host: Vec<u8>,
    service: Vec<u8>,
    output: Vec<u8>,
}

impl Packet {
    /// The packet of a result, and whether its output had to be cut.
    ///
    /// # Errors
    ///
    /// If a name does not fit.
    pub(crate) fn new(
        check: &CheckResult<'_>,
        size: Size,
        newlines: Newlines,
    ) -> Result<(Self, bool), Unfit> {
        let (mut host, mut service, mut output) = (Vec::new(), Vec::new(), Vec::new());
        // Each ends in a zero.
        push_host(&mut host, check, HOST - 1)?;
        if let Some(name) = &check.service {
            push_service(&mut service, name, SERVICE - 1)?;
        }
        let cut = push_output(&mut output, check, newlines, size.output() - 1);
        Ok((Packet { code: check.common.state.code().into(), host, service, output }, cut))
    }

    /// The texts of its fields, with the state.
    pub(crate) fn pieces(self, size: Size) -> [Piece; 4] {
        [
            Piece::new(Format::Field(HOST), self.host),
            Piece::new(Format::Field(SERVICE), self.service),
            Piece::new(Format::Field(2), self.code.to_string()),
            Piece::new(Format::Field(size.output()), self.output),
        ]
    }

    /// Appends it as it is before it is encrypted. `time` is the daemon's.
    pub(crate) fn push(&self, out: &mut Vec<u8>, time: u32, size: Size) {
        let start = out.len();
        out.extend(VERSION.to_be_bytes());
        out.extend([0; 2]);
        out.extend([0; 4]);
        out.extend(time.to_be_bytes());
        out.extend(self.code.to_be_bytes());
        for (text, room) in [(&self.host, HOST), (&self.service, SERVICE), (&self.output, size.output())] {
            let end = out.len() + room;
            out.extend(text);
            out.resize(end, 0);
        }
        out.resize(start + size.octets(), 0);
        let crc = crc32(&out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_be_bytes());
    }
}

/// CRC-32 as zlib has it.
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sinks::testing::check;

    #[test]
    fn the_layout() {
        assert_eq!((Size::Short.octets(), Size::Long.octets()), (720, 4304));
        let host = "h".repeat(63);
        let check = check(&host, Some("TCP Wrappers"), "Denied; evil\nsecond");
        let (packet, cut) = Packet::new(&check, Size::Long, Newlines::Escaped).unwrap();
        assert!(!cut);
        let mut out = Vec::new();
        packet.push(&mut out, 0x0102_0304, Size::Long);
        assert_eq!(out[..4], [0, 3, 0, 0]);
        assert_eq!(out[8..14], [1, 2, 3, 4, 0, 2]);
        assert_eq!(out[14..14 + 63], [b'h'; 63]);
        assert_eq!(out[14 + 63], 0);
        assert!(out[78..].starts_with(b"TCP Wrappers\0"));
        assert!(out[206..].starts_with(b"Denied; evil\\nsecond\0"));
        let crc = u32::from_be_bytes([out[4], out[5], out[6], out[7]]);
        out[4..8].fill(0);
        assert_eq!(crc32(&out), crc);
    }

    #[test]
    fn a_name_that_does_not_fit_is_refused() {
        let long = "core-switch-01.building-c.campus-north.region-emea.corp.example.com";
        let error = Packet::new(&check(long, None, ""), Size::Long, Newlines::Raw).unwrap_err();
        assert_eq!(error.to_string(), "the host name has 67 bytes, and 63 fit");
        assert!(Packet::new(&check("h", Some(&"s".repeat(128)), ""), Size::Short, Newlines::Raw).is_err());
    }

    proptest! {
        #[test]
        fn no_value_leaves_its_field(host in "\\PC{0,20}|[\\x00-\\x1f;|]{0,63}", service in ".{0,30}", output in any::<String>(), raw: bool) {
            let newlines = if raw { Newlines::Raw } else { Newlines::Joined };
            let Ok((packet, _)) = Packet::new(&check(&host, Some(&service), &output), Size::Short, newlines) else {
                return Ok(());
            };
            let mut out = Vec::new();
            packet.push(&mut out, 7, Size::Short);
            prop_assert_eq!(out.len(), Size::Short.octets());
            for (at, field) in [&out[14..78], &out[78..206], &out[206..718]].into_iter().enumerate() {
                let end = field.iter().position(|b| *b == 0).unwrap();
                prop_assert!(field[end..].iter().all(|b| *b == 0));
                let kept = |b: u8| at == 2 && raw && b == b'\n';
                prop_assert!(!field[..end].iter().any(|b| (*b < b' ' && !kept(*b)) || *b == 0x7f));
            }
        }
    }
}
