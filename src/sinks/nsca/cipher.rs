//! NSCA's encryption methods: XOR, and block ciphers in 8-bit cipher feedback, keyed as libmcrypt does it: with the
//! password, cut or padded with zeros to the longest key of the cipher.

use aes::cipher::{Array, BlockCipherEncrypt, BlockSizeUser, KeyInit};

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
    /// 5
    Cast256,
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
    pub const ALL: [(Method, u8, &'static str, usize); 12] = [
        (Method::None, 0, "none", 0),
        (Method::Xor, 1, "xor", 0),
        (Method::Des, 2, "des", 8),
        (Method::TripleDes, 3, "3des", 24),
        (Method::Cast128, 4, "cast-128", 16),
        (Method::Cast256, 5, "cast-256", 32),
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
    pub(crate) fn cipher(self, password: &[u8], iv: &[u8]) -> Cipher {
        let key = self.key(password);
        let block = match self {
            Method::None => None,
            Method::Xor => return Cipher::Xor(iv.to_vec(), password.to_vec()),
            Method::Des => block::<des::Des>(&key),
            Method::TripleDes => block::<des::TdesEde3>(&key),
            Method::Cast128 => block::<cast5::Cast5>(&key),
            Method::Cast256 => swapped::<cast6::Cast6>(&key),
            Method::Xtea => swapped::<xtea::Xtea>(&key),
            Method::Blowfish => block::<blowfish::Blowfish>(&key),
            Method::Twofish => block::<twofish::Twofish>(&key),
            Method::Rc2 => block::<rc2::Rc2>(&key),
            Method::Aes => block::<aes::Aes256>(&key),
            Method::Serpent => block::<serpent::Serpent>(&key),
        };
        match block {
            Some((size, encrypt)) => {
                Cipher::Feedback(Feedback { register: iv.iter().copied().take(size).collect(), encrypt })
            }
            None => Cipher::None,
        }
    }
}

/// What encrypts the packets of one connection, in order.
pub(crate) enum Cipher {
    None,
    Xor(Vec<u8>, Vec<u8>),
    Feedback(Feedback),
}

impl Cipher {
    pub(crate) fn encrypt(&mut self, packet: &mut [u8]) {
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

/// Encrypts one block in place.
type Block = Box<dyn Fn(&mut [u8]) + Send>;

/// A block cipher in 8-bit cipher feedback, which goes on from packet to packet.
pub(crate) struct Feedback {
    /// The last octets that were sent, as many as a block has.
    register: Vec<u8>,
    encrypt: Block,
}

impl Feedback {
    fn encrypt(&mut self, bytes: &mut [u8]) {
        let mut block = self.register.clone();
        for byte in bytes {
            block.copy_from_slice(&self.register);
            (self.encrypt)(&mut block);
            *byte ^= block.first().copied().unwrap_or_default();
            self.register.rotate_left(1);
            if let Some(last) = self.register.last_mut() {
                *last = *byte;
            }
        }
    }
}

/// The size of a cipher's blocks, and what encrypts one; none if the key does not fit.
fn block<C>(key: &[u8]) -> Option<(usize, Block)>
where
    C: BlockCipherEncrypt + BlockSizeUser + KeyInit + Send + 'static,
{
    let cipher = C::new_from_slice(key).ok()?;
    let encrypt = move |bytes: &mut [u8]| {
        if let Ok(block) = <&mut Array<u8, C::BlockSize>>::try_from(bytes) {
            cipher.encrypt_block(block);
        }
    };
    Some((C::block_size(), Box::new(encrypt)))
}

/// The same with the octets of each word of four the other way round: so libmcrypt has xTEA and CAST-256, other than
/// their definitions or their crates.
fn swapped<C>(key: &[u8]) -> Option<(usize, Block)>
where
    C: BlockCipherEncrypt + BlockSizeUser + KeyInit + Send + 'static,
{
    let swap =
        |bytes: &[u8]| -> Vec<u8> { bytes.chunks(4).flat_map(|word| word.iter().rev().copied()).collect() };
    let (size, encrypt) = block::<C>(&swap(key))?;
    let swapping = move |bytes: &mut [u8]| {
        let mut block = swap(bytes);
        encrypt(&mut block);
        bytes.copy_from_slice(&swap(&block));
    };
    Some((size, Box::new(swapping)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_as_libmcrypt_makes_them() {
        let encrypted = |(size, encrypt): (usize, Block), text: &[u8]| {
            assert_eq!(size, text.len());
            let mut block = text.to_vec();
            encrypt(&mut block);
            data_encoding::HEXLOWER.encode(&block)
        };
        let key: Vec<u8> = (0..32).collect();
        assert_eq!(encrypted(swapped::<xtea::Xtea>(&key[..16]).unwrap(), b"ABCDEFGH"), "497df3d072612cb5");
        let text: Vec<u8> = (0..16).collect();
        let serpent = block::<serpent::Serpent>(&key).unwrap();
        assert_eq!(encrypted(serpent, &text), "de269ff833e432b85b2e88d2701ce75c");
        let cast = swapped::<cast6::Cast6>(&key).unwrap();
        assert_eq!(encrypted(cast, &text), "b3fb2cefcad5532de25bfc0f905a19f4");
    }

    #[test]
    fn feedback_goes_on_from_packet_to_packet() {
        let iv = [7; 128];
        let whole: Vec<u8> = (0..200).collect();
        for (method, ..) in Method::ALL.into_iter().filter(|(m, ..)| *m != Method::Xor) {
            let (mut once, mut twice) = (whole.clone(), whole.clone());
            method.cipher(b"secret", &iv).encrypt(&mut once);
            let mut cipher = method.cipher(b"secret", &iv);
            let (first, second) = twice.split_at_mut(77);
            cipher.encrypt(first);
            cipher.encrypt(second);
            assert_eq!(once, twice);
            assert_eq!(once == whole, method == Method::None, "{method:?}");
        }
    }
}
