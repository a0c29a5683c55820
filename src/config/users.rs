//! `[[snmp.users]]`: users of SNMPv3.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use crate::diagnostic::{Diagnostic, Diagnostics, Severity, did_you_mean};
use crate::document::{Located, Section};
use crate::snmp::usm::{AuthProtocol, PrivProtocol, User};

const AUTH: [(&str, AuthProtocol); 6] = [
    ("MD5", AuthProtocol::Md5),
    ("SHA-1", AuthProtocol::Sha1),
    ("SHA-224", AuthProtocol::Sha224),
    ("SHA-256", AuthProtocol::Sha256),
    ("SHA-384", AuthProtocol::Sha384),
    ("SHA-512", AuthProtocol::Sha512),
];
/// `-C`: with Cisco's key extension (Reeder's), else with Blumenthal's.
const PRIV: [(&str, PrivProtocol); 6] = [
    ("DES", PrivProtocol::Des),
    ("AES-128", PrivProtocol::Aes128),
    ("AES-192", PrivProtocol::Aes192Blumenthal),
    ("AES-256", PrivProtocol::Aes256Blumenthal),
    ("AES-192-C", PrivProtocol::Aes192Reeder),
    ("AES-256-C", PrivProtocol::Aes256Reeder),
];

/// Reads one user; none if something is wrong with it.
pub(super) fn read(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<User> {
    let name = section.string("name", found);
    if name.is_none() {
        found.push(section.error("a user without a name", "add name = \"...\""));
    }
    let auth = protocol(&section, "auth", &AUTH, found);
    let privacy = protocol(&section, "priv", &PRIV, found);
    let auth_password = password(&section, ["auth_password", "auth_password_file"], resolve, found);
    let priv_password = password(&section, ["priv_password", "priv_password_file"], resolve, found);
    for (weak, key) in
        [(auth == Some(AuthProtocol::Md5), "auth"), (privacy == Some(PrivProtocol::Des), "priv")]
    {
        if weak {
            let hint = "use SHA-256 and AES-128 if the device can";
            found.push(warning(&section, key, "this protocol no longer keeps anybody out", hint));
        }
    }
    for (key, password) in [("auth", auth_password.is_some()), ("priv", priv_password.is_some())] {
        let protocol = section.get(key).is_some();
        if protocol != password {
            let missing = if protocol { format!("{key}_password") } else { key.to_owned() };
            found.push(
                section
                    .error(format!("'{missing}' is missing"), "give both protocol and password, or neither"),
            );
        }
    }
    if privacy.is_some() && auth.is_none() {
        found
            .push(section.error("privacy without authentication is no security level of SNMPv3", "add auth"));
    }
    let user = match (name?, auth.zip(auth_password), privacy.zip(priv_password)) {
        (name, None, _) => Ok(User::open(&name)),
        (name, Some((auth, password)), privacy) => {
            let privacy = privacy.as_ref().map(|(protocol, password)| (*protocol, password.as_bytes()));
            User::new(&name, (auth, password.as_bytes()), privacy)
        }
    };
    let user = user.map_err(|error| {
        found.push(section.error(
            format!("no keys can be made for this user: {error}"),
            "passwords have 8 characters or more",
        ));
    });
    section.finish(found);
    user.ok()
}

fn protocol<P: Copy>(
    section: &Section<'_, '_>,
    key: &'static str,
    known: &[(&'static str, P)],
    found: &mut Diagnostics,
) -> Option<P> {
    let text: Located<String> = section.string(key, found)?;
    let wanted = text.value.to_uppercase();
    let protocol = known.iter().find(|(name, _)| *name == wanted).map(|(_, protocol)| *protocol);
    if protocol.is_none() {
        let names = known.iter().map(|(name, _)| *name);
        let hint = did_you_mean(&text, names.clone())
            .unwrap_or_else(|| format!("one of {}", names.collect::<Vec<_>>().join(", ")));
        found.push(section.source().error(
            &text.span,
            format!("'{}' is no protocol for {key}", text.value),
            Some(hint),
        ));
    }
    protocol
}

/// A password, or the first line of a file.
fn password(
    section: &Section<'_, '_>,
    [inline, file]: [&'static str; 2],
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<String> {
    if let Some(password) = section.string(inline, found) {
        return Some(password.value);
    }
    let name = section.string(file, found)?;
    let path = resolve(&name);
    match std::fs::read_to_string(&path) {
        Ok(text) => {
            let open = std::fs::metadata(&path).is_ok_and(|m| m.permissions().mode() & 0o004 != 0);
            if open {
                found.push(warning(section, file, "everybody can read this file", "chmod o-r it"));
            }
            Some(text.lines().next().unwrap_or_default().to_owned())
        }
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            found.push(section.source().error(
                &name.span,
                message,
                Some("name a file with the password in it".to_owned()),
            ));
            None
        }
    }
}

fn warning(section: &Section<'_, '_>, key: &str, message: &str, hint: &str) -> Diagnostic {
    let error = section.source().error(&section.key_span(key), message, Some(hint.to_owned()));
    Diagnostic { severity: Severity::Warning, ..error }
}
