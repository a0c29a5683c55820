//! Keys and files of credentials (docs.nats.io, NKeys, and JWT authentication). Pure.

use data_encoding::{BASE32_NOPAD, BASE64URL_NOPAD};
use ring::signature::{Ed25519KeyPair, KeyPair};
use zeroize::Zeroizing;

/// The first octet of the public key of a user: it begins with `U`.
const USER: u8 = 20 << 3;
/// The first bits of a seed: it begins with `S`.
const SEED: u8 = 18 << 3;
const TOKEN: &str = "-----BEGIN NATS USER JWT-----";

/// Who a user is, and the key that proves it.
#[derive(Clone)]
pub(super) struct Credentials {
    /// What an account says of the user; none where the server knows its public key.
    token: Option<Zeroizing<String>>,
    seed: Zeroizing<Vec<u8>>,
}

/// What a server is told.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Proof {
    pub(super) token: Option<Zeroizing<String>>,
    /// The public key.
    pub(super) key: String,
    /// Of the server's nonce.
    pub(super) signature: String,
}

impl Credentials {
    /// Reads a file that `nsc` or `nk` has written: the seed of a user, with or without the user's JWT.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn read(text: &str) -> Result<Self, &'static str> {
        let mut lines = text.lines().map(str::trim);
        let seed = lines.clone().find(|line| line.starts_with("SU") && line.len() == 58);
        let seed = seed.ok_or("it has no seed of a user, which begins with SU")?;
        let token = lines.find(|line| *line == TOKEN).and_then(|_| lines.next());
        let octets = BASE32_NOPAD.decode(seed.as_bytes()).map(Zeroizing::new);
        let octets = octets.map_err(|_| "its seed is no base32")?;
        let (body, sum) = octets.split_last_chunk().ok_or("its seed is too short")?;
        if crc16(body) != u16::from_le_bytes(*sum) {
            return Err("its seed has a wrong checksum: it is not whole");
        }
        let [first, second, seed @ ..] = body else { return Err("its seed is too short") };
        if (*first, *second) != (SEED | (USER >> 5), USER << 3)
            || Ed25519KeyPair::from_seed_unchecked(seed).is_err()
        {
            return Err("its seed is not that of a user");
        }
        let token = token.map(|token| Zeroizing::new(token.to_owned()));
        Ok(Credentials { token, seed: Zeroizing::new(seed.to_vec()) })
    }

    /// Proves who the user is, by the nonce of a server.
    pub(super) fn prove(&self, nonce: &str) -> Option<Proof> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&self.seed).ok()?;
        let mut key = vec![USER];
        key.extend_from_slice(pair.public_key().as_ref());
        key.extend_from_slice(&crc16(&key).to_le_bytes());
        let signature = BASE64URL_NOPAD.encode(pair.sign(nonce.as_bytes()).as_ref());
        Some(Proof { token: self.token.clone(), key: BASE32_NOPAD.encode(&key), signature })
    }
}

/// CRC-16 as XMODEM has it.
fn crc16(octets: &[u8]) -> u16 {
    octets.iter().fold(0, |sum, octet| {
        (0..8).fold(sum ^ (u16::from(*octet) << 8), |sum: u16, _| {
            if sum & 0x8000 == 0 { sum << 1 } else { (sum << 1) ^ 0x1021 }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pair of the documentation of NATS.
    const PAIR: (&str, &str) = (
        "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY",
        "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4",
    );

    #[test]
    fn the_public_key_follows_from_the_seed() {
        let credentials = Credentials::read(&format!("# a comment\n {} \n", PAIR.0)).unwrap();
        let proof = credentials.prove("nonce").unwrap();
        assert_eq!((proof.key.as_str(), &proof.token), (PAIR.1, &None));
        assert_eq!(proof.signature.len(), 86);
        assert_ne!(proof, credentials.prove("other").unwrap());
    }

    #[test]
    fn a_file_of_credentials_has_a_token_and_a_seed() {
        let file = format!(
            "{TOKEN}\neyJ0.e30.x\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n{}\n------END USER NKEY SEED------\n",
            PAIR.0
        );
        let proof = Credentials::read(&file).unwrap().prove("n").unwrap();
        assert_eq!(proof.token.as_deref().map(String::as_str), Some("eyJ0.e30.x"));
        let other = PAIR.0.replace("CU3VY", "CU3VZ");
        for bad in ["", PAIR.1, &other, &PAIR.0[..57], &PAIR.0.replace("SUA", "SAA")] {
            assert!(Credentials::read(bad).is_err(), "{bad}");
        }
    }
}
