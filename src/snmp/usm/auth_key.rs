//! Keys that prove messages, with their share of each digest made in advance.

use async_snmp::v3::{AuthProtocol, LocalizedKey};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use sha1::Sha1;
use sha2::{Sha224, Sha256, Sha384, Sha512};

/// A key that was localised for an engine.
///
/// An HMAC hashes two blocks that depend on the key alone. They are hashed once here, a quarter of the work for a trap of usual
/// size. The libraries wipe both from memory when they go.
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
    Sha1(Hmac<Sha1>),
    Sha224(Hmac<Sha224>),
    Sha256(Hmac<Sha256>),
    Sha384(Hmac<Sha384>),
    Sha512(Hmac<Sha512>),
}

impl AuthKey {
    /// The key; none if the library takes none of its length, which does not happen.
    pub(crate) fn new(key: LocalizedKey) -> Option<Self> {
        let octets = key.as_bytes();
        let keyed = match key.protocol() {
            AuthProtocol::Md5 => Keyed::Md5(keyed(octets)?),
            AuthProtocol::Sha1 => Keyed::Sha1(keyed(octets)?),
            AuthProtocol::Sha224 => Keyed::Sha224(keyed(octets)?),
            AuthProtocol::Sha256 => Keyed::Sha256(keyed(octets)?),
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

    /// Whether a digest is that of a message, which comes in pieces; compared in constant time. A digest of another length than
    /// the protocol's is none: a shorter one were easier to guess (RFC 3414, RFC 7860).
    pub(crate) fn proves(&self, pieces: [&[u8]; 3], digest: &[u8]) -> bool {
        digest.len() == self.length()
            && match &self.keyed {
                Keyed::Md5(mac) => is_of(mac, pieces, digest),
                Keyed::Sha1(mac) => is_of(mac, pieces, digest),
                Keyed::Sha224(mac) => is_of(mac, pieces, digest),
                Keyed::Sha256(mac) => is_of(mac, pieces, digest),
                Keyed::Sha384(mac) => is_of(mac, pieces, digest),
                Keyed::Sha512(mac) => is_of(mac, pieces, digest),
            }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> Option<M> {
    M::new_from_slice(key).ok()
}

fn is_of<M: Mac + Clone>(mac: &M, pieces: [&[u8]; 3], digest: &[u8]) -> bool {
    let mut mac = mac.clone();
    for piece in pieces {
        mac.update(piece);
    }
    mac.verify_truncated_left(digest).is_ok()
}

#[cfg(test)]
mod tests {
    use async_snmp::v3::auth::verify_message;
    use proptest::prelude::*;

    use super::*;

    fn wiped<T: zeroize::ZeroizeOnDrop>() {}

    /// An HMAC keeps nothing but the states of its hash.
    #[test]
    fn what_was_made_of_the_key_is_wiped() {
        wiped::<Md5>();
        wiped::<Sha1>();
        wiped::<Sha224>();
        wiped::<Sha256>();
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
            (before, behind) in any::<(Vec<u8>, Vec<u8>)>(),
            flipped in any::<prop::sample::Index>(),
        ) {
            let key = AuthKey::new(LocalizedKey::from_bytes(protocol, &key[..protocol.digest_len()]).unwrap()).unwrap();
            let zeros = vec![0; key.length()];
            let mut message = [&before[..], &zeros, &behind].concat();
            let mut digest = key.digest(&message).unwrap();
            for good in [true, false] {
                message[before.len()..before.len() + digest.len()].copy_from_slice(&digest);
                prop_assert_eq!(key.proves([&before, &zeros, &behind], &digest), good);
                prop_assert_eq!(verify_message(&key.key, &message, before.len(), digest.len()).unwrap(), good);
                *flipped.get_mut(&mut digest) ^= 1;
            }
            prop_assert!(!key.proves([&before, &zeros, &behind], &digest[1..]));
        }
    }
}
