//! Keys that prove messages, with their share of each digest made in advance.

use async_snmp::v3::{AuthProtocol, LocalizedKey};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha2::{Sha384, Sha512};

use crate::snmp::usm::sha_hmac::ShaHmac;

/// The longest digest, that of HMAC-SHA-512 (RFC 7860, section 4.2.2), in octets.
const LONGEST_DIGEST: usize = 48;

/// A key that was localised for an engine.
///
/// An HMAC hashes two blocks that depend on the key alone. They are hashed once here, a quarter of the work for a trap of usual
/// size. Both are wiped from memory when they go.
#[derive(Clone)]
pub(crate) struct AuthKey {
    key: LocalizedKey,
    keyed: Keyed,
}

impl std::fmt::Debug for AuthKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key that proves")
    }
}

/// HMACs that have hashed the key.
#[derive(Clone)]
enum Keyed {
    Md5(Hmac<Md5>),
    Sha1(ShaHmac<5>),
    Sha2(ShaHmac<8>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl AuthKey {
    /// The key; none if the library takes none of its length, which does not happen.
    pub(crate) fn new(key: LocalizedKey) -> Option<Self> {
        let octets = key.as_bytes();
        let keyed = match key.protocol() {
            AuthProtocol::Md5 => Keyed::Md5(keyed(octets)?),
            AuthProtocol::Sha1 => Keyed::Sha1(ShaHmac::sha1(octets)?),
            AuthProtocol::Sha224 => Keyed::Sha2(ShaHmac::sha224(octets)?),
            AuthProtocol::Sha256 => Keyed::Sha2(ShaHmac::sha256(octets)?),
            AuthProtocol::Sha384 => Keyed::Sha384(keyed(octets)?),
            AuthProtocol::Sha512 => Keyed::Sha512(keyed(octets)?),
        };
        Some(AuthKey { key, keyed })
    }

    /// How long its digests are.
    pub(crate) fn length(&self) -> usize {
        self.key.mac_len()
    }

    #[cfg(test)]
    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.key.as_bytes()
    }

    /// The digest of a message.
    pub(crate) fn digest(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.key.compute_hmac(message).ok()
    }

    /// Whether the `length` octets of a message from `offset` on are the digest of the message with zeros in their place (RFC 3414,
    /// section 6.3.2); compared in constant time. A digest of another length than the protocol's is none: a shorter one were easier to
    /// guess (RFC 3414, RFC 7860).
    pub(crate) fn proves(&self, message: &[u8], (offset, length): (usize, usize)) -> bool {
        let within = offset.checked_add(length).is_some_and(|end| end <= message.len());
        length == self.length()
            && within
            && match &self.keyed {
                Keyed::Md5(mac) => proves(mac, message, (offset, length)),
                Keyed::Sha1(mac) => mac.proves(message, (offset, length)),
                Keyed::Sha2(mac) => mac.proves(message, (offset, length)),
                Keyed::Sha384(mac) => proves(mac, message, (offset, length)),
                Keyed::Sha512(mac) => proves(mac, message, (offset, length)),
            }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> Option<M> {
    M::new_from_slice(key).ok()
}

fn proves<M: Mac + Clone>(mac: &M, message: &[u8], (offset, length): (usize, usize)) -> bool {
    let (before, rest) = message.split_at(offset);
    let (digest, behind) = rest.split_at(length);
    let Some(zeros) = [0; LONGEST_DIGEST].get(..length) else { return false };
    let mut mac = mac.clone();
    for piece in [before, zeros, behind] {
        mac.update(piece);
    }
    mac.verify_truncated_left(digest).is_ok()
}

#[cfg(test)]
mod tests {
    use async_snmp::v3::auth::verify_message;
    use proptest::prelude::*;

    use super::*;

    /// Of a length with which the digest, the end and the padding come to lie in any block.
    fn octets() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            4 => prop::collection::vec(any::<u8>(), 0..300),
            1 => prop::collection::vec(any::<u8>(), 0..3000),
        ]
    }

    fn wiped<T: zeroize::ZeroizeOnDrop>() {}

    /// An HMAC of the library keeps nothing but the states of its hash.
    #[test]
    fn what_was_made_of_the_key_is_wiped() {
        wiped::<Md5>();
        wiped::<Sha384>();
        wiped::<Sha512>();
    }

    proptest! {
        /// As async-snmp verifies a message.
        #[test]
        fn it_proves_what_the_library_proves(
            protocol in prop::sample::select(vec![
                AuthProtocol::Md5, AuthProtocol::Sha1, AuthProtocol::Sha224, AuthProtocol::Sha256, AuthProtocol::Sha384, AuthProtocol::Sha512,
            ]),
            key in prop::collection::vec(any::<u8>(), 64),
            (before, behind) in (octets(), octets()),
            flipped in any::<prop::sample::Index>(),
        ) {
            let key = AuthKey::new(LocalizedKey::from_bytes(protocol, &key[..protocol.digest_len()]).unwrap()).unwrap();
            let zeros = vec![0; key.length()];
            let mut message = [&before[..], &zeros, &behind].concat();
            let mut digest = key.digest(&message).unwrap();
            for good in [true, false] {
                message[before.len()..before.len() + digest.len()].copy_from_slice(&digest);
                prop_assert_eq!(key.proves(&message, (before.len(), digest.len())), good);
                prop_assert_eq!(verify_message(&key.key, &message, before.len(), digest.len()).unwrap(), good);
                *flipped.get_mut(&mut digest) ^= 1;
            }
            for (offset, length) in [(before.len(), digest.len() - 1), (before.len() + 1, digest.len() - 1), (message.len(), digest.len()), (usize::MAX, digest.len())] {
                prop_assert!(!key.proves(&message, (offset, length)));
            }
        }
    }
}
