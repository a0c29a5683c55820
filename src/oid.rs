//! Object identifiers, kept as the content octets of their BER encoding.
//!
//! Rules and MIB names compare and cut OIDs millions of times; on the encoded form both are a look at bytes.
//! That works because the encoding here is always the minimal one (X.690, 8.19.2), which the decoder sees to.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

/// The most sub-identifiers that an OID may have (RFC 2578, section 3.5).
pub const MAX_ARCS: usize = 128;

/// An object identifier.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid<'a>(Cow<'a, [u8]>);

/// `0.0`, zeroDotZero of SNMPv2-SMI.
pub const ZERO_DOT_ZERO: Oid<'static> = Oid(Cow::Borrowed(&[0]));

impl<'a> Oid<'a> {
    /// The OID with these content octets, made minimal where they are not; no octets are `0.0`, as net-snmp reads them.
    ///
    /// None if the last sub-identifier is cut off, one is larger than 2^32-1, or there are too many.
    #[inline]
    pub fn from_ber(bytes: &'a [u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(ZERO_DOT_ZERO);
        }
        // Most OIDs have only arcs below 128, one octet each.
        if bytes.len() < MAX_ARCS && is_ascii(bytes) {
            return Some(Oid(Cow::Borrowed(bytes)));
        }
        Self::with_large_arcs(bytes)
    }

    fn with_large_arcs(bytes: &'a [u8]) -> Option<Self> {
        let mut minimal = true;
        let mut at_start = true;
        let mut value: u64 = 0;
        let mut arcs = 1;
        for &byte in bytes {
            if at_start {
                minimal &= byte != 0x80;
                value = 0;
                arcs += 1;
            }
            value = value << 7 | u64::from(byte & 0x7f);
            // The first sub-identifier carries two arcs: up to 2^32-1 + 80 (X.690, 8.19.4).
            let most = u64::from(u32::MAX) + if arcs == 2 { 80 } else { 0 };
            if value > most {
                return None;
            }
            at_start = byte & 0x80 == 0;
        }
        if !at_start || arcs > MAX_ARCS {
            return None;
        }
        if minimal {
            return Some(Oid(Cow::Borrowed(bytes)));
        }
        let mut canonical = Vec::with_capacity(bytes.len());
        let mut at_start = true;
        for &byte in bytes {
            if at_start && byte == 0x80 {
                continue;
            }
            canonical.push(byte);
            at_start = byte & 0x80 == 0;
        }
        Some(Oid(Cow::Owned(canonical)))
    }

    /// The OID with these arcs; none if there are fewer than two or they cannot be encoded.
    pub fn from_arcs(arcs: &[u32]) -> Option<Oid<'static>> {
        let (&[first, second], rest) = arcs.split_first_chunk::<2>()?;
        if first > 2 || (first < 2 && second > 39) || arcs.len() > MAX_ARCS {
            return None;
        }
        let mut bytes = Vec::with_capacity(arcs.len() + 4);
        push_arc(&mut bytes, u64::from(first) * 40 + u64::from(second));
        for &arc in rest {
            push_arc(&mut bytes, arc.into());
        }
        Some(Oid(Cow::Owned(bytes)))
    }

    /// An OID from content octets that are known to be minimal, such as those of another `Oid`.
    pub const fn from_canonical(bytes: &'a [u8]) -> Self {
        Oid(Cow::Borrowed(bytes))
    }

    /// The content octets.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The arcs, from the root.
    pub fn arcs(&self) -> impl Iterator<Item = u32> + '_ {
        let mut subids = SubIds { bytes: &self.0 };
        let first = subids.next().unwrap_or(0);
        let root = (first / 40).min(2);
        [root as u32, (first - root * 40) as u32].into_iter().chain(subids.map(|v| v as u32))
    }

    /// Whether `prefix` is this OID or an ancestor of it.
    pub fn starts_with(&self, prefix: &Oid<'_>) -> bool {
        prefix.first_below(std::slice::from_ref(self), |oid| oid).is_some()
    }

    /// The first of some things whose OID is this one or below it.
    #[inline]
    pub fn first_below<'t, T>(
        &self,
        things: &'t [T],
        oid_of: impl Fn(&'t T) -> &'t Oid<'t>,
    ) -> Option<&'t T> {
        let prefix = self.as_bytes();
        let Some((last, _)) = prefix.split_last() else { return things.first() };
        // Columns of one table differ in their last octet, which is compared first.
        things.iter().find(|thing| {
            let octets = oid_of(thing).as_bytes();
            octets.get(prefix.len() - 1) == Some(last) && octets.starts_with(prefix)
        })
    }

    /// The arcs after `prefix`, where this OID is below it.
    pub fn suffix(&self, prefix: &Oid<'_>) -> Option<impl Iterator<Item = u32> + '_> {
        let bytes = self.0.strip_prefix(prefix.as_bytes())?;
        Some(SubIds { bytes }.map(|v| v as u32))
    }

    /// The OID and its ancestors, longest first, down to the one of two arcs.
    pub fn lineage(&self) -> impl Iterator<Item = Oid<'_>> {
        let mut rest: &[u8] = &self.0;
        std::iter::from_fn(move || {
            let (&_, head) = rest.split_last()?;
            let whole = rest;
            // The octet before a sub-identifier is the last one of another: its top bit is clear.
            rest = &head[..head.iter().rposition(|b| b & 0x80 == 0).map_or(0, |at| at + 1)];
            Some(Oid(Cow::Borrowed(whole)))
        })
    }

    /// The content octets of the OID and its ancestors that have one of these lengths, shortest first.
    pub fn ancestors_of(&self, lengths: Lengths) -> impl Iterator<Item = &[u8]> {
        let octets = self.as_bytes();
        lengths.up_to(octets.len()).map(|length| &octets[..length]).filter(|ancestor| {
            // The last octet of a sub-identifier has its top bit clear.
            ancestor.last().is_some_and(|last| last & 0x80 == 0)
        })
    }

    /// This OID with one more arc.
    pub fn child(&self, arc: u32) -> Oid<'static> {
        let mut bytes = self.0.to_vec();
        push_arc(&mut bytes, arc.into());
        Oid(Cow::Owned(bytes))
    }

    /// The same OID, borrowed.
    pub fn borrowed(&self) -> Oid<'_> {
        Oid(Cow::Borrowed(&self.0))
    }

    /// The same OID, owned.
    pub fn into_owned(self) -> Oid<'static> {
        Oid(Cow::Owned(self.0.into_owned()))
    }
}

/// Whether no octet has its top bit set. Most OIDs are too short for what the standard library does.
#[inline]
fn is_ascii(octets: &[u8]) -> bool {
    let Some(last) = octets.last_chunk::<8>() else {
        return octets.iter().fold(0, |all, octet| all | octet) < 0x80;
    };
    let (eights, _) = octets.as_chunks::<8>();
    let all = eights.iter().fold(u64::from_ne_bytes(*last), |all, eight| all | u64::from_ne_bytes(*eight));
    all & 0x8080_8080_8080_8080 == 0
}

/// Lengths of OIDs in octets: those below 63 exactly, and whether there are any from there on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lengths(u64);

impl Lengths {
    /// The bit that stands for all lengths from it on.
    const LONG: usize = 63;

    /// Adds the length of an OID.
    pub fn add(&mut self, length: usize) {
        self.0 |= 1 << length.min(Self::LONG);
    }

    /// Those that an OID of at most so many octets may have, in their order.
    fn up_to(self, most: usize) -> impl Iterator<Item = usize> {
        let long = if self.0 >> Self::LONG == 1 { Self::LONG..most + 1 } else { 0..0 };
        let mut short = self.0 & !(1 << Self::LONG);
        let next = move || {
            let length = short.trailing_zeros() as usize;
            short &= short.wrapping_sub(1);
            (length <= most && length < Self::LONG).then_some(length)
        };
        std::iter::from_fn(next).chain(long)
    }
}

fn push_arc(bytes: &mut Vec<u8>, value: u64) {
    for shift in [28, 21, 14, 7] {
        if value >> shift != 0 {
            bytes.push((value >> shift) as u8 | 0x80);
        }
    }
    bytes.push(value as u8 & 0x7f);
}

/// The sub-identifiers of content octets; the first one still carries two arcs.
struct SubIds<'b> {
    bytes: &'b [u8],
}

impl Iterator for SubIds<'_> {
    type Item = u64;

    fn next(&mut self) -> Option<u64> {
        let end = self.bytes.iter().position(|b| b & 0x80 == 0)?;
        let (subid, rest) = self.bytes.split_at(end + 1);
        self.bytes = rest;
        Some(subid.iter().fold(0, |v, b| v << 7 | u64::from(b & 0x7f)))
    }
}

impl fmt::Display for Oid<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, arc) in self.arcs().enumerate() {
            if n > 0 {
                f.write_str(".")?;
            }
            write!(f, "{arc}")?;
        }
        Ok(())
    }
}

/// Why a text is no OID.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is not an OID: expected two or more numbers joined by dots, such as 1.3.6.1.4.1.8072")]
pub struct ParseOidError(String);

impl FromStr for Oid<'static> {
    type Err = ParseOidError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseOidError(text.to_owned());
        let arcs: Vec<u32> = text
            .strip_prefix('.')
            .unwrap_or(text)
            .split('.')
            .map(|arc| if arc.bytes().all(|b| b.is_ascii_digit()) { arc.parse().ok() } else { None })
            .collect::<Option<_>>()
            .ok_or_else(error)?;
        Oid::from_arcs(&arcs).ok_or_else(error)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ascii_is_what_the_library_says(octets in prop::collection::vec(prop_oneof![9 => 0..0x80_u8, 1 => any::<u8>()], 0..30)) {
            prop_assert_eq!(is_ascii(&octets), octets.is_ascii());
        }
    }

    fn oid(text: &str) -> Oid<'static> {
        text.parse().unwrap()
    }

    #[test]
    fn text_and_back() {
        for text in ["1.3.6.1.6.3.1.1.5.3", "0.0", "2.100.3", "1.3.6.1.4.1.4294967295", "2.4294967295"] {
            assert_eq!(oid(text).to_string(), text);
        }
        assert_eq!(oid(".1.3").to_string(), "1.3");
        for bad in ["", "1", "1..3", "1.3.x", "3.1", "1.40", "1.3.4294967296", "1.+3"] {
            assert!(bad.parse::<Oid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn sloppy_encodings() {
        assert_eq!(Oid::from_ber(&[]).unwrap().to_string(), "0.0");
        assert_eq!(Oid::from_ber(&[0x2b, 0x80, 0x06]).unwrap(), oid("1.3.6"));
        assert_eq!(Oid::from_ber(&[0x2b, 0x86]), None);
        assert_eq!(Oid::from_ber(&[0x2b, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f]), None);
        // 2^32 + 79 is two arcs in the first place only.
        assert_eq!(Oid::from_ber(&[0x90, 0x80, 0x80, 0x80, 0x4f]).unwrap().to_string(), "2.4294967295");
        assert_eq!(Oid::from_ber(&[0x90, 0x80, 0x80, 0x80, 0x50]), None);
        assert_eq!(
            Oid::from_ber(&[0x2b, 0x8f, 0xff, 0xff, 0xff, 0x7f]).unwrap().to_string(),
            "1.3.4294967295"
        );
        assert_eq!(Oid::from_ber(&[0x2b, 0x90, 0x80, 0x80, 0x80, 0x00]), None);
        for forms in [&[][..], &[0], &[0x80, 0]] {
            assert_eq!(Oid::from_ber(forms).unwrap(), oid("0.0"), "{forms:?}");
        }
    }

    #[test]
    fn ancestors() {
        let table = oid("1.3.6.1.4.1.99999.1");
        let lineage: Vec<_> = table.lineage().map(|o| o.to_string()).collect();
        assert_eq!(
            lineage,
            [
                "1.3.6.1.4.1.99999.1",
                "1.3.6.1.4.1.99999",
                "1.3.6.1.4.1",
                "1.3.6.1.4",
                "1.3.6.1",
                "1.3.6",
                "1.3"
            ]
        );
        assert_eq!(table.suffix(&oid("1.3.6.1.4.1")).unwrap().collect::<Vec<_>>(), [99999, 1]);
        assert!(table.suffix(&oid("1.3.6.1.4.2")).is_none());
    }

    proptest! {
        #[test]
        fn arcs_round_trip(first in 0u32..3, second in 0u32..40, rest in prop::collection::vec(any::<u32>(), 0..100)) {
            let mut arcs = vec![first, second];
            arcs.extend(rest);
            let oid = Oid::from_arcs(&arcs).unwrap();
            prop_assert_eq!(oid.arcs().collect::<Vec<_>>(), arcs);
            prop_assert_eq!(Oid::from_ber(oid.as_bytes()).unwrap(), oid.clone());
            prop_assert_eq!(oid.to_string().parse::<Oid>().unwrap(), oid);
        }

        #[test]
        fn a_prefix_of_arcs_is_a_prefix_of_octets(arcs in prop::collection::vec(any::<u32>(), 1..20), cut in 0usize..20) {
            let all: Vec<u32> = [1, 3].into_iter().chain(arcs.iter().copied()).collect();
            let cut = 2 + cut.min(arcs.len());
            let (whole, part) = (Oid::from_arcs(&all).unwrap(), Oid::from_arcs(&all[..cut]).unwrap());
            prop_assert!(whole.starts_with(&part));
            prop_assert!(whole.lineage().any(|o| o == part));
        }

        #[test]
        fn ancestors_have_the_lengths_that_are_asked_for(
            arcs in prop::collection::vec(any::<u32>(), 0..40), asked in prop::collection::vec(0usize..200, 0..8),
        ) {
            let all: Vec<u32> = [1, 3].into_iter().chain(arcs).collect();
            let oid = Oid::from_arcs(&all).unwrap();
            let mut lengths = Lengths::default();
            for length in &asked {
                lengths.add(*length);
            }
            let wanted = |length: usize| asked.iter().any(|a| length.min(Lengths::LONG) == (*a).min(Lengths::LONG));
            let mut slow: Vec<Vec<u8>> = oid.lineage().map(|o| o.as_bytes().to_vec()).filter(|o| wanted(o.len())).collect();
            slow.reverse();
            let fast: Vec<Vec<u8>> = oid.ancestors_of(lengths).map(<[u8]>::to_vec).collect();
            prop_assert_eq!(fast, slow);
        }

        #[test]
        fn any_octets_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Some(oid) = Oid::from_ber(&bytes) {
                // One value has one form: what is written and what is read are the same.
                prop_assert_eq!(oid.to_string().parse::<Oid>().unwrap(), oid.clone());
                prop_assert_eq!(Oid::from_ber(oid.as_bytes()).unwrap(), oid.clone());
            }
        }
    }
}
