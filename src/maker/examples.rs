//! Addresses for documentation (RFC 5737, RFC 3849) in the place of those of a message, so that a test that is made of it can be shown
//! to others. Pure.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER;

use crate::inbox::{Raw, Sample};
use crate::message::{Notification, Oid, Value, Varbind};
use crate::mib::index::Coding;
use crate::mib::{Mib, Object};
use crate::settings::values::unhex;
use crate::snmp;
use crate::snmp::encode::encode;

/// TEST-NET-1 to 3.
const BLOCKS: [[u8; 3]; 3] = [[192, 0, 2], [198, 51, 100], [203, 0, 113]];
/// The addresses of a block, without the network and the broadcast address.
const IN_BLOCK: usize = 254;

/// The same message with other addresses; each stands for one, wherever it is. What has none, or cannot be read, stays as it is.
pub fn with_example_addresses(sample: &Sample, mib: &Mib) -> Sample {
    let mut addresses = Addresses::default();
    let raw = match &sample.raw {
        Raw::Line(line) => Raw::Line(addresses.in_text(line)),
        Raw::Packet(hex) => Raw::Packet(addresses.in_packet(hex, mib).unwrap_or_else(|| hex.clone())),
        other => other.clone(),
    };
    Sample { raw, ..sample.clone() }
}

/// Which address stands for which.
#[derive(Debug, Default)]
struct Addresses {
    v4: HashMap<Ipv4Addr, Ipv4Addr>,
    v6: HashMap<Ipv6Addr, Ipv6Addr>,
}

impl Addresses {
    fn v4(&mut self, real: Ipv4Addr) -> Ipv4Addr {
        if real.is_unspecified() || real.is_loopback() || real.is_broadcast() || real.is_multicast() {
            return real;
        }
        let next = self.v4.len();
        *self.v4.entry(real).or_insert_with(|| {
            let [a, b, c] = BLOCKS[next / IN_BLOCK % BLOCKS.len()];
            Ipv4Addr::new(a, b, c, (next % IN_BLOCK + 1) as u8)
        })
    }

    fn v6(&mut self, real: Ipv6Addr) -> Ipv6Addr {
        if real.is_unspecified() || real.is_loopback() || real.is_multicast() {
            return real;
        }
        let next = self.v6.len();
        *self.v6.entry(real).or_insert_with(|| Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, (next + 1) as u16))
    }

    fn in_text(&mut self, text: &str) -> String {
        let is_part = |c: char| c.is_ascii_hexdigit() || c == ':' || c == '.';
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        let mut before = None;
        while let Some(first) = rest.chars().next() {
            let end = rest.find(|c: char| is_part(c) != is_part(first)).unwrap_or(rest.len());
            let (run, after) = rest.split_at(end);
            let is_apart = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
            if is_part(first) && is_apart(before) && is_apart(after.chars().next()) {
                self.in_run(run, &mut out);
            } else {
                out.push_str(run);
            }
            before = run.chars().next_back();
            rest = after;
        }
        out
    }

    /// A run of digits, colons and dots: an address, perhaps with a port or the end of a sentence behind it.
    fn in_run(&mut self, run: &str, out: &mut String) {
        let bare = run.trim_end_matches('.').trim_end_matches(|c: char| c == ':' && !run.ends_with("::"));
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            out.push_str(&self.v6(address).to_string());
            out.push_str(&run[bare.len()..]);
            return;
        }
        for (at, part) in run.split(':').enumerate() {
            if at > 0 {
                out.push(':');
            }
            let bare = part.trim_end_matches('.');
            match bare.parse::<Ipv4Addr>() {
                Ok(address) => out.push_str(&self.v4(address).to_string()),
                Err(_) => out.push_str(bare),
            }
            out.push_str(&part[bare.len()..]);
        }
    }

    fn in_packet(&mut self, hex: &str, mib: &Mib) -> Option<String> {
        let octets = unhex(hex)?;
        let mut notification = snmp::decode(&octets).ok()?.notification;
        notification.agent = notification.agent.map(|agent| self.v4(agent));
        // Values first: they say which numbers of instances are addresses.
        let texts: Vec<Option<Vec<u8>>> =
            notification.varbinds.iter().map(|varbind| self.in_octets(varbind, mib)).collect();
        let mut varbinds = Vec::with_capacity(texts.len());
        for (varbind, text) in notification.varbinds.iter().zip(&texts) {
            varbinds.push(self.in_varbind(varbind, text.as_deref(), mib));
        }
        Some(HEXLOWER.encode(&encode(&Notification { varbinds, ..notification.clone() })))
    }

    /// Other octets for an octet string, if it has an address.
    fn in_octets(&mut self, varbind: &Varbind<'_>, mib: &Mib) -> Option<Vec<u8>> {
        let Value::OctetString(octets) = varbind.value else { return None };
        let is_address = mib.lookup(&varbind.oid).is_some_and(is_inet);
        match (is_address, <[u8; 4]>::try_from(octets), <[u8; 16]>::try_from(octets)) {
            (true, Ok(octets), _) => Some(self.v4(octets.into()).octets().to_vec()),
            (true, _, Ok(octets)) => Some(self.v6(octets.into()).octets().to_vec()),
            _ => std::str::from_utf8(octets).ok().map(|text| self.in_text(text).into_bytes()),
        }
    }

    fn in_varbind<'v>(&mut self, varbind: &'v Varbind<'_>, text: Option<&'v [u8]>, mib: &Mib) -> Varbind<'v> {
        let value = match (&varbind.value, text) {
            (Value::IpAddress(address), _) => Value::IpAddress(self.v4(*address)),
            (Value::OctetString(_), Some(text)) => Value::OctetString(text),
            (other, _) => other.clone(),
        };
        Varbind { oid: self.in_instance(&varbind.oid, mib).unwrap_or_else(|| varbind.oid.clone()), value }
    }

    /// An instance whose indexes are addresses.
    fn in_instance(&mut self, oid: &Oid<'_>, mib: &Mib) -> Option<Oid<'static>> {
        let column = mib.lookup(oid)?;
        let mut arcs: Vec<u32> = oid.arcs().collect();
        let mut at = column.oid.arcs().count();
        for part in &*column.indexes {
            let length = usize::try_from(*arcs.get(at)?).ok()?;
            let of_inet = part.object.and_then(|at| mib.objects().get(at as usize)).is_some_and(is_inet);
            let (start, end) = match part.coding {
                Coding::Integer => (at, at + 1),
                Coding::Address => (at, at + 4),
                Coding::Fixed(size) => (at, at + usize::from(size)),
                Coding::Counted | Coding::CountedOid => (at + 1, (at + 1).checked_add(length)?),
                Coding::Rest | Coding::RestOid => (at, arcs.len()),
            };
            if part.coding == Coding::Address || (of_inet && end - start == 4) {
                self.in_arcs(arcs.get_mut(start..end)?);
            }
            at = end;
        }
        Oid::from_arcs(&arcs)
    }

    fn in_arcs(&mut self, arcs: &mut [u32]) {
        let octets: Vec<u8> = arcs.iter().filter_map(|arc| u8::try_from(*arc).ok()).collect();
        let Ok(octets) = <[u8; 4]>::try_from(octets) else { return };
        let example = self.v4(octets.into()).octets();
        arcs.iter_mut().zip(example).for_each(|(arc, octet)| *arc = octet.into());
    }
}

fn is_inet(object: &Object) -> bool {
    object.syntax.convention.starts_with("InetAddress") && &*object.syntax.convention != "InetAddressType"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{NotificationKind, Version};
    use crate::mib::load::shipped_once;

    fn of_line(line: &str) -> String {
        Addresses::default().in_text(line)
    }

    #[test]
    fn addresses_of_a_line_stand_for_others_each_for_one() {
        for (line, expected) in [
            ("from 10.1.2.3 port 22", "from 192.0.2.1 port 22"),
            ("10.1.2.3:514, 10.1.2.4 and 10.1.2.3.", "192.0.2.1:514, 192.0.2.2 and 192.0.2.1."),
            ("[fd00::7]:514 fd00::8.", "[2001:db8::1]:514 2001:db8::2."),
            ("Nov 20 12:00:01 00:1b:2c:3d:4e:5f", "Nov 20 12:00:01 00:1b:2c:3d:4e:5f"),
            ("version v1.2.3.4 127.0.0.1 0.0.0.0 1.2.3", "version v1.2.3.4 127.0.0.1 0.0.0.0 1.2.3"),
            ("ÿ10.1.2.3", "ÿ10.1.2.3"),
            ("", ""),
        ] {
            assert_eq!(of_line(line), expected);
        }
        let many: Vec<String> = (0..600u32).map(|n| Ipv4Addr::from(0x0a00_0000 + n).to_string()).collect();
        let last = of_line(&many.join(" "));
        assert!(last.split(' ').next_back().unwrap().starts_with("203.0.113."), "{last}");
    }

    #[test]
    fn addresses_of_a_packet_in_values_texts_and_instances() {
        let varbind = |oid: &str, value| Varbind { oid: oid.parse::<Oid<'static>>().unwrap(), value };
        let real = Ipv4Addr::new(10, 1, 2, 3);
        let notification = Notification {
            varbinds: vec![
                // bgpPeerState, whose index is the address of the peer.
                varbind("1.3.6.1.2.1.15.3.1.2.10.1.2.3", Value::Integer(1)),
                varbind("1.3.6.1.4.1.99999.1.0", Value::IpAddress(real)),
                varbind("1.3.6.1.4.1.99999.2.0", Value::OctetString(b"peer 10.1.2.3 of 10.1.2.4 is down")),
                varbind("1.3.6.1.4.1.99999.3.0", Value::OctetString(b"\xff\x00")),
            ],
            version: Version::V1,
            kind: NotificationKind::Trap,
            community: b"",
            proxied_community: None,
            security: None,
            request_id: 0,
            oid: "1.3.6.1.4.1.99999.0.7".parse().unwrap(),
            enterprise: Some("1.3.6.1.4.1.99999".parse().unwrap()),
            agent: Some(real),
            generic: Some(6),
            specific: Some(7),
            uptime: Some(0),
        };
        let sample = Sample {
            received: 0,
            from: real.into(),
            user: None,
            cut: false,
            raw: Raw::Packet(HEXLOWER.encode(&encode(&notification))),
        };
        let Raw::Packet(hex) = with_example_addresses(&sample, &shipped_once()).raw else { panic!() };
        let octets = unhex(&hex).unwrap();
        let changed = snmp::decode(&octets).unwrap().notification;
        let example = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(
            (changed.agent, changed.specific, &changed.oid),
            (Some(example), Some(7), &notification.oid)
        );
        assert_eq!(changed.varbinds[0].oid.to_string(), "1.3.6.1.2.1.15.3.1.2.192.0.2.1");
        assert_eq!(changed.varbinds[1].value, Value::IpAddress(example));
        assert_eq!(changed.varbinds[2].value, Value::OctetString(b"peer 192.0.2.1 of 192.0.2.2 is down"));
        assert_eq!(changed.varbinds[3], notification.varbinds[3]);
        let damaged = Sample { raw: Raw::Packet("30".to_owned()), ..sample };
        assert_eq!(with_example_addresses(&damaged, &shipped_once()), damaged);
    }
}
