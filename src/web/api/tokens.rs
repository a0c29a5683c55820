//! Tokens of the API: 256 random bits. The file has their SHA-256, which needs no salt and no slow hash, as nobody can guess what is random.

use std::io::{self, ErrorKind};
use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::role::Role;
use crate::files::Folder;
use crate::time::clock::{Wall, rfc3339};

/// The file of the state directory.
const FILE: &str = "tokens.json";
/// What keeps two programs from changing it at a time.
const LOCK: &str = "tokens.lock";
/// The file with the token of the first start.
pub const FIRST: &str = "admin-token";
/// The largest file that is read, in octets.
const LARGEST: u64 = 1 << 20;
/// How many tokens there may be.
const MOST: usize = 1000;
/// What tokens begin with, so that programs that look for secrets find them.
const MARK: &str = "trapline_";
/// How long to wait for another program.
const PATIENCE: Duration = Duration::from_secs(5);

/// The SHA-256 of a token.
pub type Hash = [u8; 32];

/// Why tokens are not changed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be used.
    #[error(
        "cannot use the tokens in {FILE} of the journal directory: {0}; run this as the daemon's user or root"
    )]
    File(#[from] io::Error),
    /// Another program has it.
    #[error("{0}")]
    Locked(String),
    /// The name cannot be used.
    #[error("a token's name has 1 to 64 letters, digits, '-', '_' or '.'; '{0}' is none")]
    Name(String),
    /// There is one of this name.
    #[error("there is a token '{0}'; choose another name, or remove it first")]
    There(String),
    /// There is none of this name.
    #[error("there is no token '{0}'; `trapline token list` shows them")]
    Absent(String),
    /// There are too many.
    #[error("there are {MOST} tokens; remove some")]
    Full,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Its name.
    pub name: String,
    /// What it may.
    pub role: Role,
    /// Its SHA-256, in hexadecimal.
    sha256: String,
    /// When it was made, in microseconds since 1970.
    pub created: i64,
    /// When it ends; none if it does not.
    pub expires: Option<i64>,
}

impl Token {
    /// Its SHA-256.
    pub fn hash(&self) -> Option<Hash> {
        HEXLOWER.decode(self.sha256.as_bytes()).ok()?.try_into().ok()
    }

    /// Whether it can be used.
    pub fn is_valid(&self, now: Wall) -> bool {
        self.expires.is_none_or(|end| now.micros() < end)
    }

    /// For people and the API.
    pub fn to_json(&self) -> Value {
        json!({
            "name": self.name,
            "role": self.role.as_str(),
            "created": rfc3339(self.created),
            "expires": self.expires.map(rfc3339),
        })
    }
}

/// The SHA-256 of a secret.
pub fn hash(secret: &str) -> Hash {
    Sha256::digest(secret.as_bytes()).into()
}

/// 256 random bits as text.
///
/// # Errors
///
/// If the system has none.
pub fn random() -> io::Result<String> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(io::Error::other)?;
    Ok(BASE64URL_NOPAD.encode(&bits))
}

/// The token of a secret, compared in a time that does not depend on how much of it is right.
pub fn find<'t>(tokens: &'t [Token], secret: &Hash) -> Option<&'t Token> {
    let mut found = None;
    for token in tokens {
        let differs =
            token.hash().map_or(1, |hash| hash.iter().zip(secret).fold(0, |all, (a, b)| all | (a ^ b)));
        if std::hint::black_box(differs) == 0 {
            found = Some(token);
        }
    }
    found
}

/// The tokens of a state directory. Blocks.
///
/// # Errors
///
/// If the file cannot be read.
pub fn read(folder: &Folder) -> io::Result<Vec<Token>> {
    match folder.read(FILE, LARGEST) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
            io::Error::new(
                ErrorKind::InvalidData,
                format!("{FILE} is damaged ({error}); remove it and add tokens again"),
            )
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Changes the tokens of a state directory. Durable when it returns. Blocks.
fn change<T>(
    folder: &Folder,
    how: impl FnOnce(&mut Vec<Token>) -> Result<T, TokenError>,
) -> Result<T, TokenError> {
    let _lock = folder.lock(LOCK, PATIENCE).map_err(|error| TokenError::Locked(error.to_string()))?;
    let mut tokens = read(folder)?;
    let done = how(&mut tokens)?;
    let text = serde_json::to_vec_pretty(&tokens).map_err(io::Error::other)?;
    folder.replace(FILE, |file| file.write_all(&text))?;
    Ok(done)
}

fn is_name(name: &str) -> bool {
    (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

/// Adds a token and gives its secret, which is not kept. Blocks.
///
/// # Errors
///
/// If it cannot be added.
pub fn add(
    folder: &Folder,
    name: &str,
    role: Role,
    now: Wall,
    lasts: Option<Duration>,
) -> Result<String, TokenError> {
    if !is_name(name) {
        return Err(TokenError::Name(name.escape_debug().to_string()));
    }
    let secret = format!("{MARK}{}", random()?);
    let expires =
        lasts.map(|time| now.micros().saturating_add(i64::try_from(time.as_micros()).unwrap_or(i64::MAX)));
    change(folder, |tokens| {
        tokens.retain(|token| token.is_valid(now) || token.name != name);
        if tokens.iter().any(|token| token.name == name) {
            return Err(TokenError::There(name.to_owned()));
        }
        if tokens.len() >= MOST {
            return Err(TokenError::Full);
        }
        let sha256 = HEXLOWER.encode(&hash(&secret));
        tokens.push(Token { name: name.to_owned(), role, sha256, created: now.micros(), expires });
        Ok(())
    })?;
    Ok(secret)
}

/// Removes a token. Blocks.
///
/// # Errors
///
/// If there is none of this name, or the file cannot be written.
pub fn remove(folder: &Folder, name: &str) -> Result<(), TokenError> {
    change(folder, |tokens| {
        let before = tokens.len();
        tokens.retain(|token| token.name != name);
        if tokens.len() == before {
            return Err(TokenError::Absent(name.escape_debug().to_string()));
        }
        Ok(())
    })
}

/// Where nobody has made a token yet, makes one for an administrator, and a file with it that only the user of the daemon reads. Its
/// secret, if it was made. Blocks.
///
/// # Errors
///
/// If it cannot be made.
pub fn first(folder: &Folder, now: Wall) -> Result<Option<String>, TokenError> {
    if folder.exists(FILE) {
        return Ok(None);
    }
    let secret = add(folder, "admin", Role::Admin, now, None)?;
    folder.replace(FIRST, |file| writeln!(file, "{secret}"))?;
    Ok(Some(secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_no_secret_and_finds_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let now = Wall::from_micros(1_000_000);
        let first = first(&folder, now).unwrap().unwrap();
        assert_eq!(super::first(&folder, now).unwrap(), None);
        let hour = Duration::from_hours(1);
        let other = add(&folder, "grafana", Role::Read, now, Some(hour)).unwrap();
        assert_ne!(first, other);
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert!(!text.contains(&first) && !text.contains(&other));
        let tokens = read(&folder).unwrap();
        assert_eq!(find(&tokens, &hash(&first)).unwrap().role, Role::Admin);
        let found = find(&tokens, &hash(&other)).unwrap();
        assert!(found.is_valid(now) && !found.is_valid(Wall::from_micros(1_000_000 + 3_600_000_000)));
        assert!(find(&tokens, &hash("trapline_")).is_none());
        assert!(matches!(add(&folder, "grafana", Role::Read, now, None), Err(TokenError::There(_))));
        for wrong in ["", "a b", "a\n", "ä", &"x".repeat(65)] {
            assert!(matches!(add(&folder, wrong, Role::Read, now, None), Err(TokenError::Name(_))));
        }
        remove(&folder, "grafana").unwrap();
        assert!(matches!(remove(&folder, "grafana"), Err(TokenError::Absent(_))));
        assert_eq!(read(&folder).unwrap().len(), 1);
    }
}
