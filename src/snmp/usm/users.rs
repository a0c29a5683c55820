//! `[[snmp.users]]`: users of SNMPv3.

use std::path::PathBuf;

use async_snmp::v3::{AuthProtocol, PrivProtocol};
use zeroize::Zeroizing;

use crate::settings::diagnostic::{Diagnostics, did_you_mean};
use crate::settings::secret::{self, warning};
use crate::settings::section::{Located, Section};
use crate::settings::values::unhex;
use crate::snmp::usm::user::User;

const AUTH: [(&str, AuthProtocol); 6] = [
    ("MD5", AuthProtocol::Md5),
    ("SHA-1", AuthProtocol::Sha1),
    ("SHA-224", AuthProtocol::Sha224),
    ("SHA-256", AuthProtocol::Sha256),
    ("SHA-384", AuthProtocol::Sha384),
    ("SHA-512", AuthProtocol::Sha512),
];
/// `-C`: with Cisco's key extension (Reeder's), else with Blumenthal's.
const PRIV: [(&str, PrivProtocol); 7] = [
    ("DES", PrivProtocol::Des),
    ("3DES", PrivProtocol::Des3),
    ("AES-128", PrivProtocol::Aes128),
    ("AES-192", PrivProtocol::Aes192Blumenthal),
    ("AES-256", PrivProtocol::Aes256Blumenthal),
    ("AES-192-C", PrivProtocol::Aes192Reeder),
    ("AES-256-C", PrivProtocol::Aes256Reeder),
];
/// What net-snmp, Telegraf and devices call some of them, without hyphens.
const ALIASES: [(&str, &str); 6] = [
    ("SHA", "SHA1"),
    ("AES", "AES128"),
    ("3DESEDE", "3DES"),
    ("DES3", "3DES"),
    ("TDES", "3DES"),
    ("TRIPLEDES", "3DES"),
];

/// The protocol for authentication of this name, in any case and with or without hyphens; or by another name of it.
///
/// # Errors
///
/// What to write.
pub fn auth_protocol(name: &str) -> Result<AuthProtocol, String> {
    among(name, &AUTH)
}

/// The protocol for privacy of this name, in any case and with or without hyphens; or by another name of it.
///
/// # Errors
///
/// What to write.
pub fn priv_protocol(name: &str) -> Result<PrivProtocol, String> {
    among(name, &PRIV)
}

fn among<P: Copy>(name: &str, known: &[(&'static str, P)]) -> Result<P, String> {
    let bare = |name: &str| name.to_uppercase().replace(['-', '_', ' '], "");
    let given = bare(name);
    let wanted = ALIASES.iter().find(|(alias, _)| *alias == given).map_or(given.as_str(), |(_, name)| name);
    let names = || known.iter().map(|(name, _)| *name);
    known.iter().find(|(name, _)| bare(name) == wanted).map(|(_, protocol)| *protocol).ok_or_else(|| {
        did_you_mean(name, names())
            .unwrap_or_else(|| format!("one of {}", names().collect::<Vec<_>>().join(", ")))
    })
}

/// How long a user name may be, in octets (RFC 3414, section 2.4). An empty one is that of a discovery.
const NAME: std::ops::RangeInclusive<usize> = 1..=32;

/// What keys are made of; wiped from memory when it goes.
enum Secret {
    Password(Zeroizing<String>),
    /// A key that is localised for the engine of the user.
    Key(Zeroizing<Vec<u8>>),
}

impl Secret {
    fn bytes(&self) -> &[u8] {
        match self {
            Secret::Password(password) => password.as_bytes(),
            Secret::Key(key) => key,
        }
    }
}

/// What belongs to one protocol.
struct Keys {
    protocol: &'static str,
    password: secret::Keys,
    key: &'static str,
}

const AUTH_KEYS: Keys = Keys {
    protocol: "auth",
    password: secret::Keys { inline: "auth_password", file: "auth_password_file", env: "auth_password_env" },
    key: "auth_key",
};
const PRIV_KEYS: Keys = Keys {
    protocol: "priv",
    password: secret::Keys { inline: "priv_password", file: "priv_password_file", env: "priv_password_env" },
    key: "priv_key",
};

/// Reads one user; none if something is wrong with it.
pub(crate) fn read(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    others: &[User],
    found: &mut Diagnostics,
) -> Option<User> {
    let name = section.string("name", found);
    if name.is_none() {
        found.push(section.lacks(&["name"], "a user without a name", "add name = \"...\""));
    }
    if let Some(name) = name.as_ref().filter(|name| !NAME.contains(&name.len())) {
        let message = format!("a user name has 1 to 32 octets, not {}", name.len());
        let hint = Some("write the name that the device sends".to_owned());
        found.push(section.source().error(&name.span, message, hint));
    }
    let engine = section.string("engine", found);
    let engine_id = engine.as_ref().and_then(|text| octets(&section, text, 1..=32, "engine", found));
    let auth = protocol(&section, "auth", &AUTH, found);
    let privacy = protocol(&section, "priv", &PRIV, found);
    let auth_secret = secret(&section, &AUTH_KEYS, resolve, found);
    let priv_secret = secret(&section, &PRIV_KEYS, resolve, found);
    let weak_privacy = matches!(privacy, Some(PrivProtocol::Des | PrivProtocol::Des3));
    for (weak, key) in [(auth == Some(AuthProtocol::Md5), "auth"), (weak_privacy, "priv")] {
        if weak {
            let hint = "use SHA-256 and AES-128 if the device can";
            let message = "MD5, DES and 3DES are insecure";
            found.push(warning(&section, key, message, hint));
        }
    }
    if section.get("auth").is_none() && name.is_some() {
        let message = "a user without 'auth' proves nothing: anybody can send under this name";
        let said = warning(&section, "name", message, "add auth and auth_password if the device can");
        found.push(section.follows(&["auth"], said));
    }
    for (keys, given) in [(&AUTH_KEYS, auth_secret.is_some()), (&PRIV_KEYS, priv_secret.is_some())] {
        pairs(&section, keys, given, found);
    }
    if privacy.is_some() && auth.is_none() {
        let message = "privacy without authentication is no security level of SNMPv3";
        found.push(section.lacks(&["auth"], message, "add auth"));
    }
    let name = name.map(|name| name.value);
    let twin = |other: &&User| Some(&other.name) == name.as_ref() && other.engine == engine_id;
    if let Some(other) = others.iter().find(twin) {
        let message = format!("there is already a user '{}' for the same engine", other.name);
        found.push(section.error(message, "give each an engine = \"0x...\" of its own, or remove one"));
    }
    let user = match (name, auth.zip(auth_secret.as_ref()), privacy.zip(priv_secret.as_ref())) {
        (None, ..) => None,
        (Some(name), None, _) => Some(User::open(&name)),
        (Some(name), Some(auth), privacy) => {
            keyed(&section, &name, engine_id.as_deref(), auth, privacy, found)
        }
    };
    let relay = section.boolean("relay", found).filter(|relay| relay.value);
    if let Some(relay) = relay.as_ref().filter(|_| auth.is_none()) {
        let hint =
            Some("add auth and auth_password, or list the sender's address in [snmp] relays".to_owned());
        let message = "a relay without authentication: anyone could speak for every host";
        found.push(section.follows(&["auth"], section.source().error(&relay.span, message, hint)));
    }
    section.finish(found);
    let user = user?.with_relay(relay.is_some());
    Some(match engine_id {
        Some(id) => user.bound_to(&id),
        None => user,
    })
}

fn keyed(
    section: &Section<'_, '_>,
    name: &str,
    engine: Option<&[u8]>,
    (auth, auth_secret): (AuthProtocol, &Secret),
    privacy: Option<(PrivProtocol, &Secret)>,
    found: &mut Diagnostics,
) -> Option<User> {
    let auth = (auth, auth_secret.bytes());
    let priv_key = privacy.map(|(_, secret)| matches!(secret, Secret::Key(_)));
    let privacy = privacy.map(|(protocol, secret)| (protocol, secret.bytes()));
    let user = match (matches!(auth_secret, Secret::Key(_)), priv_key) {
        (false, None | Some(false)) => {
            User::new(name, auth, privacy).map_err(|error| (error, "passwords have 8 characters or more"))
        }
        (true, None | Some(true)) => match engine {
            Some(engine) => User::localised(name, engine, auth, privacy)
                .map_err(|error| (error, "give the whole key in hex")),
            None => Err((
                "a localised key belongs to one engine".to_owned(),
                "say which: engine = \"0x80001f88...\"",
            )),
        },
        _ => Err(("a password and a localised key".to_owned(), "give two passwords or two keys")),
    };
    user.map_err(|(error, hint)| {
        found.push(section.error(format!("no keys can be made for this user: {error}"), hint));
    })
    .ok()
}

/// A protocol needs a secret, and a secret a protocol.
fn pairs(section: &Section<'_, '_>, keys: &Keys, given: bool, found: &mut Diagnostics) {
    let protocol = section.get(keys.protocol).is_some();
    let tried = keys.password.given(section) || section.get(keys.key).is_some();
    if protocol != given && protocol != tried {
        let missing = if protocol { keys.password.inline } else { keys.protocol };
        found.push(
            section.error(format!("'{missing}' is missing"), "give both protocol and password, or neither"),
        );
    }
}

fn protocol<P: Copy>(
    section: &Section<'_, '_>,
    key: &'static str,
    known: &[(&'static str, P)],
    found: &mut Diagnostics,
) -> Option<P> {
    let text: Located<String> = section.string(key, found)?;
    among(&text, known)
        .map_err(|hint| {
            let message = format!("'{}' is no protocol for {key}", text.value);
            found.push(section.source().error(&text.span, message, Some(hint)));
        })
        .ok()
}

/// A password, or a localised key.
fn secret(
    section: &Section<'_, '_>,
    keys: &Keys,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Secret> {
    if let Some(key) = section.string(keys.key, found) {
        return octets(section, &key, 1..=64, keys.key, found).map(|key| Secret::Key(Zeroizing::new(key)));
    }
    keys.password.read(section, resolve, found).map(Secret::Password)
}

/// Octets in hex, with or without `0x`.
fn octets(
    section: &Section<'_, '_>,
    text: &Located<String>,
    lengths: std::ops::RangeInclusive<usize>,
    key: &str,
    found: &mut Diagnostics,
) -> Option<Vec<u8>> {
    let octets = unhex(text).filter(|octets| lengths.contains(&octets.len()));
    if octets.is_none() {
        let message = format!("'{key}' must be {} to {} octets in hex", lengths.start(), lengths.end());
        let hint = Some("write it like 0x80001f8804747261706c".to_owned());
        found.push(section.source().error(&text.span, message, hint));
    }
    octets
}
