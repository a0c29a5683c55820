//! Keys that encrypt, with what does not depend on the message made in advance.

use aes::cipher::consts::U16;
use aes::cipher::{BlockCipherEncrypt, InnerIvInit, KeyInit};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc};
use async_snmp::v3::{PrivKey, PrivProtocol};
use cfb_mode::Decryptor;

use crate::snmp::usm::salts::Salts;

/// A key that was localised for an engine.
///
/// The round keys of AES depend on the key alone, and making them costs more than to decrypt a trap of usual size. The libraries
/// wipe them and the key from memory when they go.
#[derive(Clone)]
pub(crate) struct PrivacyKey {
    key: PrivKey,
    /// None for DES, whose few users are served by the library.
    aes: Option<Aes>,
}

impl std::fmt::Debug for PrivacyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a key that encrypts")
    }
}

/// AES with its round keys. CFB encrypts blocks in both directions.
#[derive(Clone)]
enum Aes {
    Of128(Aes128Enc),
    Of192(Aes192Enc),
    Of256(Aes256Enc),
}

impl PrivacyKey {
    /// The key, ready for messages.
    pub(crate) fn new(key: PrivKey) -> Self {
        let octets = key.encryption_key();
        let aes = match key.protocol() {
            PrivProtocol::Des | PrivProtocol::Des3 => None,
            PrivProtocol::Aes128 => Aes128Enc::new_from_slice(octets).ok().map(Aes::Of128),
            PrivProtocol::Aes192Blumenthal | PrivProtocol::Aes192Reeder => {
                Aes192Enc::new_from_slice(octets).ok().map(Aes::Of192)
            }
            PrivProtocol::Aes256Blumenthal | PrivProtocol::Aes256Reeder => {
                Aes256Enc::new_from_slice(octets).ok().map(Aes::Of256)
            }
        };
        PrivacyKey { key, aes }
    }

    #[cfg(test)]
    pub(crate) fn encryption_key(&self) -> &[u8] {
        self.key.encryption_key()
    }

    /// What a message has encrypted; none where it is not of this protocol's form. `salt` is its msgPrivacyParameters.
    pub(crate) fn decrypt(&self, data: &[u8], (boots, time): (u32, u32), salt: &[u8]) -> Option<Vec<u8>> {
        let Some(aes) = &self.aes else {
            return self.key.decrypt(data, boots, time, salt).ok().map(Vec::from);
        };
        // RFC 3826, section 3.1.2.1.
        let salt = <[u8; 8]>::try_from(salt).ok()?;
        let mut iv = [0; 16];
        iv[..4].copy_from_slice(&boots.to_be_bytes());
        iv[4..8].copy_from_slice(&time.to_be_bytes());
        iv[8..].copy_from_slice(&salt);
        let mut plain = data.to_vec();
        match aes {
            Aes::Of128(aes) => decrypt_cfb(aes, iv, &mut plain),
            Aes::Of192(aes) => decrypt_cfb(aes, iv, &mut plain),
            Aes::Of256(aes) => decrypt_cfb(aes, iv, &mut plain),
        }
        Some(plain)
    }

    /// What a message says, encrypted, and the salt that it was encrypted with, which was not used before.
    pub(crate) fn encrypt(
        &self,
        plain: &[u8],
        (boots, time): (u32, u32),
        salts: &Salts,
    ) -> Option<(Vec<u8>, Vec<u8>)> {
        let encrypted = match self.key.protocol() {
            PrivProtocol::Des | PrivProtocol::Des3 => self.key.encrypt_des_family(plain, &salts.des),
            _ => self.key.encrypt_aes(plain, boots, time, &salts.aes),
        };
        encrypted.ok().map(|(data, salt)| (data.into(), salt.into()))
    }
}

fn decrypt_cfb<C: BlockCipherEncrypt<BlockSize = U16>>(cipher: &C, iv: [u8; 16], data: &mut [u8]) {
    Decryptor::<&C>::inner_iv_init(cipher, &iv.into()).decrypt(data);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn wiped<T: zeroize::ZeroizeOnDrop>() {}

    #[test]
    fn what_was_made_of_the_key_is_wiped() {
        wiped::<Aes128Enc>();
        wiped::<Aes192Enc>();
        wiped::<Aes256Enc>();
    }

    proptest! {
        /// As async-snmp decrypts a message.
        #[test]
        fn it_decrypts_what_the_library_decrypts(
            protocol in prop::sample::select(vec![
                PrivProtocol::Des, PrivProtocol::Des3, PrivProtocol::Aes128, PrivProtocol::Aes192Blumenthal,
                PrivProtocol::Aes192Reeder, PrivProtocol::Aes256Blumenthal, PrivProtocol::Aes256Reeder,
            ]),
            key in prop::collection::vec(any::<u8>(), 64),
            data in prop::collection::vec(any::<u8>(), 0..300),
            (boots, time) in any::<(u32, u32)>(),
            salt in prop_oneof![9 => prop::collection::vec(any::<u8>(), 8), 1 => prop::collection::vec(any::<u8>(), 0..12)],
        ) {
            let key = PrivKey::from_bytes(protocol, &key[..]).unwrap();
            let ours = PrivacyKey::new(key.clone());
            let theirs = key.decrypt(&data, boots, time, &salt).ok().map(Vec::from);
            prop_assert_eq!(ours.decrypt(&data, (boots, time), &salt), theirs);
            let salts = Salts::random().unwrap();
            let (encrypted, salt) = ours.encrypt(&data, (boots, time), &salts).unwrap();
            let plain = ours.decrypt(&encrypted, (boots, time), &salt).unwrap();
            // DES pads.
            prop_assert_eq!(&plain[..data.len()], &data[..]);
        }
    }
}
