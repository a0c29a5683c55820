//! SCRAM (RFC 5802, RFC 7677), as far as a client needs it that takes the server's proof and no channel binding. Pure.

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

/// How often a server may have the password hashed: more would hold the sink up for seconds.
const MOST_ROUNDS: u32 = 1_000_000;

/// A digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

impl Hash {
    /// The name of the mechanism.
    pub(super) fn mechanism(self) -> &'static str {
        match self {
            Hash::Sha256 => "SCRAM-SHA-256",
            Hash::Sha512 => "SCRAM-SHA-512",
        }
    }
}

/// A login that has begun.
pub(super) struct Scram<'a> {
    hash: Hash,
    password: &'a str,
    nonce: String,
    bare: String,
}

/// The client's last message, and what the server has to prove itself with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) message: String,
    server: Vec<u8>,
}

impl<'a> Scram<'a> {
    /// Begins with a nonce, which has no comma.
    pub(super) fn new(hash: Hash, user: &str, password: &'a str, nonce: String) -> Self {
        let user = user.replace('=', "=3D").replace(',', "=2C");
        let bare = format!("n={user},r={nonce}");
        Scram { hash, password, nonce, bare }
    }

    /// The client's first message.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare)
    }

    /// The client's last message, by the server's first.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub(super) fn last(&self, first: &str) -> Result<Last, String> {
        let field = |name: &str| first.split(',').find_map(|field| field.strip_prefix(name));
        let nonce = field("r=").filter(|nonce| nonce.len() > self.nonce.len());
        let nonce = nonce.filter(|nonce| nonce.starts_with(&self.nonce)).ok_or("its nonce is not ours")?;
        let salt =
            field("s=").and_then(|salt| BASE64.decode(salt.as_bytes()).ok()).ok_or("it has no salt")?;
        let rounds = field("i=").and_then(|rounds| rounds.parse().ok());
        let rounds: u32 = rounds
            .filter(|rounds| (1..=MOST_ROUNDS).contains(rounds))
            .ok_or_else(|| format!("it wants no number of rounds from 1 to {MOST_ROUNDS}"))?;
        let without = format!("c=biws,r={nonce}");
        let about = format!("{},{first},{without}", self.bare);
        let (proof, server) = match self.hash {
            Hash::Sha256 => proofs::<Hmac<Sha256>, Sha256>(self.password, &salt, rounds, &about),
            Hash::Sha512 => proofs::<Hmac<Sha512>, Sha512>(self.password, &salt, rounds, &about),
        };
        Ok(Last { message: format!("{without},p={}", BASE64.encode(&proof)), server })
    }
}

impl Last {
    /// Whether the server knows the password, too, by its last message.
    ///
    /// # Errors
    ///
    /// Why not.
    pub(super) fn proven(&self, last: &str) -> Result<(), String> {
        if let Some(error) = last.split(',').find_map(|field| field.strip_prefix("e=")) {
            return Err(format!("it answers '{error}'"));
        }
        let proof = last.split(',').find_map(|field| field.strip_prefix("v="));
        let proof = proof.and_then(|proof| BASE64.decode(proof.as_bytes()).ok()).unwrap_or_default();
        // Both are made of the password, so what differs is nobody's to learn.
        let same = proof.len() == self.server.len()
            && proof.iter().zip(&self.server).fold(0, |found, (a, b)| found | (a ^ b)) == 0;
        if same { Ok(()) } else { Err("it does not prove that it knows the password".to_owned()) }
    }
}

/// The proof of the client, and that of the server.
fn proofs<M: Mac + KeyInit + Clone, D: Digest>(
    password: &str,
    salt: &[u8],
    rounds: u32,
    about: &str,
) -> (Vec<u8>, Vec<u8>) {
    let salted = salted::<M>(password, salt, rounds);
    let client = mac::<M>(&salted, b"Client Key");
    let signature = mac::<M>(&D::digest(&*client), about.as_bytes());
    let proof = client.iter().zip(&*signature).map(|(key, signature)| key ^ signature).collect();
    let server = mac::<M>(&mac::<M>(&salted, b"Server Key"), about.as_bytes());
    (proof, server.to_vec())
}

/// `Hi` of RFC 5802.
fn salted<M: Mac + KeyInit + Clone>(password: &str, salt: &[u8], rounds: u32) -> Zeroizing<Vec<u8>> {
    let mut last = mac::<M>(password.as_bytes(), &[salt, &1_u32.to_be_bytes()].concat());
    let mut all = last.clone();
    let Ok(keyed) = <M as KeyInit>::new_from_slice(password.as_bytes()) else { return all };
    for _ in 1..rounds {
        let mut next = keyed.clone();
        next.update(&last);
        last = Zeroizing::new(next.finalize().into_bytes().to_vec());
        all.iter_mut().zip(&*last).for_each(|(all, last)| *all ^= last);
    }
    all
}

fn mac<M: Mac + KeyInit>(key: &[u8], text: &[u8]) -> Zeroizing<Vec<u8>> {
    // A key of HMAC may have any length.
    let Ok(mut mac) = <M as KeyInit>::new_from_slice(key) else { return Zeroizing::default() };
    mac.update(text);
    Zeroizing::new(mac.finalize().into_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str =
        "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";

    /// The example of RFC 7677.
    #[test]
    fn a_login_as_in_rfc_7677() {
        let scram = Scram::new(Hash::Sha256, "user", "pencil", "rOprNGfwEbeRWgbNEkqO".to_owned());
        assert_eq!(scram.first(), "n,,n=user,r=rOprNGfwEbeRWgbNEkqO");
        let last = scram.last(FIRST).unwrap();
        assert_eq!(
            last.message,
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        );
        assert_eq!(last.proven("v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="), Ok(()));
        for wrong in ["v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G5=", "v=", "", "e=other-error"] {
            assert!(last.proven(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_server_that_is_none_gets_no_proof() {
        let scram = Scram::new(Hash::Sha512, "a=b,c", "pencil", "abc".to_owned());
        assert_eq!(scram.first(), "n,,n=a=3Db=2Cc,r=abc");
        for first in [
            "",
            "r=abc,s=AA==,i=1",
            "r=xyz1,s=AA==,i=1",
            "r=abcd,s=?,i=1",
            "r=abcd,s=AA==,i=0",
            "r=abcd,s=AA==,i=1000001",
        ] {
            assert!(scram.last(first).is_err(), "{first}");
        }
        assert!(scram.last("r=abcd,s=AA==,i=1").is_ok());
    }
}
