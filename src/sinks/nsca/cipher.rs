//! NSCA's encryption methods: XOR, and block ciphers in 8-bit cipher feedback, keyed as libmcrypt does it: with the
//! password, cut or padded with zeros to the longest key of the cipher.

use cfb8::Encryptor;
use cfb8::cipher::{Array, BlockCipherEncrypt, BlockModeEncrypt, InnerIvInit, KeyInit};

use super::packet::IV;

/// An encryption method, as nsca.cfg numbers them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// 0
    None,
    /// 1
    Xor,
    /// 2
    Des,
    /// 3
    TripleDes,
    /// 4
    Cast128,
    /// 6
    Xtea,
    /// 8
    Blowfish,
    /// 9
    Twofish,
    /// 11
    Rc2,
    /// 14
    Aes,
    /// 20
    Serpent,
}

impl Method {
    /// All methods: their number, their name, and the length of their key in octets.
    pub const ALL: [(Method, u8, &'static str, usize); 11] = [
        (Method::None, 0, "none", 0),
        (Method::Xor, 1, "xor", 0),
        (Method::Des, 2, "des", 8),
        (Method::TripleDes, 3, "3des", 24),
        (Method::Cast128, 4, "cast-128", 16),
        (Method::Xtea, 6, "xtea", 16),
        (Method::Blowfish, 8, "blowfish", 56),
        (Method::Twofish, 9, "twofish", 32),
        (Method::Rc2, 11, "rc2", 128),
        (Method::Aes, 14, "rijndael-128", 32),
        (Method::Serpent, 20, "serpent", 32),
    ];

    /// The method of a number.
    pub fn numbered(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, n, ..)| i64::from(*n) == number).map(|(method, ..)| method)
    }

    /// The method of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(_, _, n, _)| n.eq_ignore_ascii_case(name)).map(|(method, ..)| method)
    }

    fn key(self, password: &[u8]) -> Vec<u8> {
        let length =
            Self::ALL.into_iter().find(|(method, ..)| *method == self).map_or(0, |(.., length)| length);
        let mut key = password.to_vec();
        key.resize(length, 0);
        key
    }

    /// The cipher for one connection. `iv` is what the daemon has sent.
    pub(super) fn cipher(self, password: &[u8], iv: &[u8]) -> Cipher {
        let key = self.key(password);
        let stream = match self {
            Method::None => None,
            Method::Xor => return Cipher::Xor(iv.to_vec(), password.to_vec()),
            Method::Des => feedback::<des::Des>(&key, iv),
            Method::TripleDes => feedback::<des::TdesEde3>(&key, iv),
            Method::Cast128 => feedback::<cast5::Cast5>(&key, iv),
            Method::Xtea => feedback::<xtea::Xtea>(&key, iv),
            Method::Blowfish => feedback::<blowfish::Blowfish>(&key, iv),
            Method::Twofish => feedback::<twofish::Twofish>(&key, iv),
            Method::Rc2 => feedback::<rc2::Rc2>(&key, iv),
            Method::Aes => feedback::<aes::Aes256>(&key, iv),
            Method::Serpent => feedback::<serpent::Serpent>(&key, iv),
        };
        stream.map_or(Cipher::None, Cipher::Feedback)
    }
}

/// What encrypts the packets of one connection, in order.
pub(super) enum Cipher {
    None,
    Xor(Vec<u8>, Vec<u8>),
    Feedback(Box<dyn Feedback>),
}

impl Cipher {
    pub(super) fn encrypt(&mut self, packet: &mut [u8]) {
        match self {
            Cipher::None => {}
            Cipher::Xor(iv, password) => {
                for key in [iv, password] {
                    if !key.is_empty() {
                        packet.iter_mut().zip(key.iter().cycle()).for_each(|(byte, key)| *byte ^= key);
                    }
                }
            }
            Cipher::Feedback(stream) => stream.encrypt(packet),
        }
    }
}

/// A cipher in 8-bit feedback, which goes on from packet to packet.
pub(super) trait Feedback: Send {
    fn encrypt(&mut self, bytes: &mut [u8]);
}

impl<C: BlockCipherEncrypt + Send> Feedback for Encryptor<C> {
    fn encrypt(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            let mut block = Array([*byte]);
            self.encrypt_block(&mut block);
            *byte = block[0];
        }
    }
}

fn feedback<C>(key: &[u8], iv: &[u8]) -> Option<Box<dyn Feedback>>
where
    C: BlockCipherEncrypt + KeyInit + Send + 'static,
{
    // The keys have the lengths of their ciphers, and the vector is longer than any block.
    debug_assert!(iv.len() == IV && C::block_size() <= IV);
    let cipher = C::new_from_slice(key).ok()?;
    let encryptor = Encryptor::<C>::inner_iv_slice_init(cipher, &iv[..C::block_size()]).ok()?;
    Some(Box::new(encryptor))
}
