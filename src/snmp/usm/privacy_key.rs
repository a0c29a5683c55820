//! Keys that encrypt, with what does not depend on the message made in advance.

use aes::cipher::consts::U16;
use aes::cipher::typenum::Unsigned;
use aes::cipher::{
    BlockCipherEncBackend, BlockCipherEncClosure, BlockCipherEncrypt, BlockSizeUser, KeyInit, ParBlocks,
};
use aes::{Aes128Enc, Aes192Enc, Aes256Enc, Block};
use async_snmp::v3::{PrivKey, PrivProtocol};

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

    /// Writes what a message has encrypted into `plain`, in the place of what is there; none where it is not of this protocol's
    /// form. `salt` is its msgPrivacyParameters.
    pub(crate) fn decrypt(
        &self,
        data: &[u8],
        (boots, time): (u32, u32),
        salt: &[u8],
        plain: &mut Vec<u8>,
    ) -> Option<()> {
        plain.clear();
        let Some(aes) = &self.aes else {
            plain.extend_from_slice(&self.key.decrypt(data, boots, time, salt).ok()?);
            return Some(());
        };
        // RFC 3826, section 3.1.2.1.
        let salt = <[u8; 8]>::try_from(salt).ok()?;
        let mut iv = Block::default();
        iv[..4].copy_from_slice(&boots.to_be_bytes());
        iv[4..8].copy_from_slice(&time.to_be_bytes());
        iv[8..].copy_from_slice(&salt);
        plain.extend_from_slice(data);
        let message = Cfb { iv, data, plain };
        match aes {
            Aes::Of128(aes) => aes.encrypt_with_backend(message),
            Aes::Of192(aes) => aes.encrypt_with_backend(message),
            Aes::Of256(aes) => aes.encrypt_with_backend(message),
        }
        Some(())
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

/// A message to decrypt in cipher feedback mode (RFC 3826, section 3.1.4): each block was XORed with the encrypted block before it,
/// encrypted once more.
///
/// Each call into the library prepares the round keys for the processor's registers, which costs as much as several blocks. So the
/// whole message is one call.
struct Cfb<'d> {
    iv: Block,
    data: &'d [u8],
    /// Where `data` stands, and what it says in the end.
    plain: &'d mut [u8],
}

/// The most blocks that are encrypted in parallel. For more the library needs other round keys, which traps are too short for.
const MOST_PARALLEL: usize = 8;

impl BlockSizeUser for Cfb<'_> {
    type BlockSize = U16;
}

impl BlockCipherEncClosure for Cfb<'_> {
    // The processor's own instructions for AES are for what is compiled into the library's function alone.
    #[allow(clippy::inline_always)]
    #[inline(always)]
    fn call<B: BlockCipherEncBackend<BlockSize = U16>>(self, backend: &B) {
        let Cfb { iv: mut before, data, plain } = self;
        let parallel = B::ParBlocksSize::USIZE;
        let mut done = 0;
        if parallel <= MOST_PARALLEL {
            let groups = data.chunks_exact(16 * parallel).zip(plain.chunks_exact_mut(16 * parallel));
            for (data, plain) in groups {
                let mut masks = ParBlocks::<B>::default();
                for (mask, block) in masks.iter_mut().zip(data.as_chunks().0) {
                    *mask = std::mem::replace(&mut before, Block::from(*block));
                }
                backend.encrypt_par_blocks((&mut masks).into());
                plain.as_chunks_mut().0.iter_mut().zip(&masks).for_each(|(block, mask)| unmask(block, mask));
                done += data.len();
            }
        }
        let (blocks, last) = data[done..].as_chunks();
        let (plain, plain_last) = plain[done..].as_chunks_mut();
        for (block, plain) in blocks.iter().zip(plain) {
            let mut mask = std::mem::replace(&mut before, Block::from(*block));
            backend.encrypt_block((&mut mask).into());
            unmask(plain, &mask);
        }
        if !last.is_empty() {
            backend.encrypt_block((&mut before).into());
            plain_last.iter_mut().zip(&before).for_each(|(octet, mask)| *octet ^= mask);
        }
    }
}

#[inline]
fn unmask(block: &mut [u8; 16], mask: &Block) {
    *block = (u128::from_ne_bytes(*block) ^ u128::from_ne_bytes((*mask).into())).to_ne_bytes();
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
            let mut plain = vec![7; 50];
            let decrypted = ours.decrypt(&data, (boots, time), &salt, &mut plain);
            prop_assert_eq!(decrypted.map(|()| plain.clone()), theirs);
            let salts = Salts::random().unwrap();
            let (encrypted, salt) = ours.encrypt(&data, (boots, time), &salts).unwrap();
            ours.decrypt(&encrypted, (boots, time), &salt, &mut plain).unwrap();
            // DES pads.
            prop_assert_eq!(&plain[..data.len()], &data[..]);
        }
    }
}
