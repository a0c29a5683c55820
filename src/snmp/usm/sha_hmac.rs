//! HMAC (RFC 2104) over SHA-1, SHA-224 and SHA-256, for messages that are at hand as a whole.
//!
//! The library's HMAC takes a message piece by piece through a buffer, which costs a quarter more for a trap of usual size. Here
//! the hash, which is the library's, gets all blocks at once.

use ctutils::CtEq as _;
use sha2::block_api::compress256;
use zeroize::Zeroizing;

/// A block of these hashes, in octets.
const BLOCK: usize = 64;
/// So many blocks are hashed at once: a trap of usual size.
const AT_ONCE: usize = 4;
/// What follows the message, before its length.
const END: u8 = 0x80;
/// Octets of the length, which ends the last block.
const LENGTH: usize = size_of::<u64>();
/// The longest digest of these hashes, in octets.
const LONGEST: usize = 32;

type Block = [u8; BLOCK];

/// A hash whose state is so many words (FIPS 180-4).
#[derive(Clone, Copy)]
struct Hash<const WORDS: usize> {
    /// The state before anything is hashed.
    start: [u32; WORDS],
    compress: fn(&mut [u32; WORDS], &[Block]),
    /// Octets of a digest.
    length: usize,
}

const SHA1: Hash<5> = Hash {
    start: [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0],
    compress: sha1::block_api::compress,
    length: 20,
};

const SHA224: Hash<8> = Hash {
    start: [
        0xc105_9ed8,
        0x367c_d507,
        0x3070_dd17,
        0xf70e_5939,
        0xffc0_0b31,
        0x6858_1511,
        0x64f9_8fa7,
        0xbefa_4fa4,
    ],
    compress: compress256,
    length: 28,
};

const SHA256: Hash<8> = Hash {
    start: [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ],
    compress: compress256,
    length: LONGEST,
};

/// An HMAC that has hashed the key. It is wiped when it goes.
#[derive(Clone)]
pub(crate) struct ShaHmac<const WORDS: usize> {
    hash: Hash<WORDS>,
    inner: Zeroizing<[u32; WORDS]>,
    outer: Zeroizing<[u32; WORDS]>,
}

impl ShaHmac<5> {
    /// HMAC-SHA-1; none if the key is longer than a block.
    pub(crate) fn sha1(key: &[u8]) -> Option<Self> {
        Self::new(SHA1, key)
    }
}

impl ShaHmac<8> {
    /// HMAC-SHA-224; none if the key is longer than a block.
    pub(crate) fn sha224(key: &[u8]) -> Option<Self> {
        Self::new(SHA224, key)
    }

    /// HMAC-SHA-256; none if the key is longer than a block.
    pub(crate) fn sha256(key: &[u8]) -> Option<Self> {
        Self::new(SHA256, key)
    }
}

impl<const WORDS: usize> ShaHmac<WORDS> {
    fn new(hash: Hash<WORDS>, key: &[u8]) -> Option<Self> {
        let keyed = |pad: u8| {
            let mut block = Zeroizing::new([pad; BLOCK]);
            block.get_mut(..key.len())?.iter_mut().zip(key).for_each(|(octet, key)| *octet ^= key);
            let mut state = Zeroizing::new(hash.start);
            (hash.compress)(&mut state, std::slice::from_ref(&block));
            Some(state)
        };
        Some(ShaHmac { hash, inner: keyed(0x36)?, outer: keyed(0x5c)? })
    }

    /// Whether a digest is the beginning of that of a message with zeros in its place: in the `length` octets from `offset` on, which
    /// lie within the message. Compared in constant time.
    pub(crate) fn proves(&self, message: &[u8], (offset, length): (usize, usize)) -> bool {
        let octets = self.digest(message, (offset, length));
        length <= self.hash.length && message[offset..offset + length].ct_eq(&octets[..length]).to_bool()
    }

    /// The digest, and behind a shorter one something else.
    fn digest(&self, message: &[u8], (offset, length): (usize, usize)) -> [u8; LONGEST] {
        let mut state = *self.inner;
        let octets = message.len();
        let padded = (octets + 1 + LENGTH).next_multiple_of(BLOCK);
        let mut start = 0;
        while start < padded {
            let end = padded.min(start + AT_ONCE * BLOCK);
            let within = |at: usize| at.clamp(start, end) - start;
            let mut blocks = [[0; BLOCK]; AT_ONCE];
            let place = &mut blocks.as_flattened_mut()[..end - start];
            place[..within(octets)].copy_from_slice(&message[start.min(octets)..end.min(octets)]);
            place[within(offset)..within(offset + length)].fill(0);
            if (start..end).contains(&octets) {
                place[octets - start] = END;
            }
            if end == padded {
                end_with_length(octets, place);
            }
            (self.hash.compress)(&mut state, &blocks[..(end - start) / BLOCK]);
            start = end;
        }
        let mut block = [0; BLOCK];
        write(&state, &mut block);
        block[self.hash.length..].fill(0);
        block[self.hash.length] = END;
        end_with_length(self.hash.length, &mut block);
        let mut state = *self.outer;
        (self.hash.compress)(&mut state, &[block]);
        let mut digest = [0; LONGEST];
        write(&state, &mut digest);
        digest
    }
}

/// Writes at the end how many bits are hashed: a block of the key, and so many octets.
fn end_with_length(octets: usize, place: &mut [u8]) {
    let bits = (BLOCK as u64 + octets as u64) * 8;
    if let Some(end) = place.last_chunk_mut() {
        *end = bits.to_be_bytes();
    }
}

fn write(state: &[u32], octets: &mut [u8]) {
    octets.as_chunks_mut().0.iter_mut().zip(state).for_each(|(octets, word)| *octets = word.to_be_bytes());
}
