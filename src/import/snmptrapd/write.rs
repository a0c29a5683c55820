//! The configuration that is made.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::import::snmptrapd::directives::{Directives, Grant, Secret, User};
use crate::import::snmptrapd::left_out::LeftOut;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};
use crate::settings::section::quoted;

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// The configuration; with passwords, so it is for its owner alone.
    pub text: String,
    /// The number of users.
    pub users: usize,
    /// The number of communities.
    pub communities: usize,
    /// Everything that was left out or changed.
    pub left_out: Diagnostics,
}

/// Translates files, given by name and text.
pub fn import(files: &[(String, String)]) -> Imported {
    let mut left_out = Diagnostics::default();
    let mut all = Directives::default();
    for (file, text) in files {
        all.read(file, text, &mut |line, what| left_out.push(warning(file, line, &what)));
    }
    for (grant, file, line) in &all.grants {
        if let Grant::User { name, .. } = grant
            && !all.users.iter().any(|(user, ..)| user.name == *name)
        {
            left_out.push(warning(file, *line, &LeftOut::NoSecrets(name.clone())));
        }
    }
    for (user, file, line) in all.users.iter().filter(|(user, ..)| !all.admits(user)) {
        left_out.push(warning(file, *line, &LeftOut::NoGrant(user.name.clone())));
    }
    let names: Vec<String> = files.iter().map(|(name, _)| name.escape_debug().to_string()).collect();
    let mut text = format!("# Made from {} by `trapline import snmptrapd`.\n", names.join(", "));
    let communities = snmp(&mut text, &all);
    let users: Vec<&User> = all.users.iter().map(|(user, ..)| user).filter(|user| all.admits(user)).collect();
    for user in &users {
        self::user(&mut text, user);
    }
    access(&mut text, &all);
    if !all.mib_folders.is_empty() {
        let folders: Vec<String> = all.mib_folders.iter().map(|folder| quoted(folder)).collect();
        let _ = writeln!(text, "\n[mibs]\npaths = [{}]", folders.join(", "));
    }
    Imported { text, users: users.len(), communities, left_out }
}

fn warning(file: &str, line: usize, what: &LeftOut) -> Diagnostic {
    Diagnostic {
        severity: Severity::Warning,
        file: file.to_owned(),
        place: Some((line, 1)),
        message: what.to_string(),
        hint: None,
    }
}

/// `[snmp]`; the number of communities.
fn snmp(text: &mut String, all: &Directives) -> usize {
    let listen = if all.listen.is_empty() { vec!["0.0.0.0:162".to_owned()] } else { all.listen.clone() };
    let listen: Vec<String> = listen.iter().map(|address| quoted(address)).collect();
    let _ = writeln!(text, "\n[snmp]\nlisten = [{}]", listen.join(", "));
    let communities: BTreeSet<&str> = all
        .grants
        .iter()
        .filter_map(|(grant, _, _)| match grant {
            Grant::Community { name, .. } => Some(name.as_str()),
            Grant::User { .. } => None,
        })
        .collect();
    if !all.anybody {
        if communities.is_empty() {
            // snmptrapd accepts no community that is not named.
            text.push_str("versions = [\"3\"]\n");
        } else {
            let quoted: Vec<String> = communities.iter().map(|name| quoted(name)).collect();
            let _ = writeln!(text, "communities = [{}]", quoted.join(", "));
        }
    }
    communities.len()
}

fn user(text: &mut String, user: &User) {
    let _ = writeln!(text, "\n[[snmp.users]]\nname = {}", quoted(&user.name));
    if let Some(engine) = &user.engine {
        let _ = writeln!(text, "engine = {}", quoted(engine));
    }
    for (what, part) in [("auth", &user.auth), ("priv", &user.privacy)] {
        if let Some((protocol, secret)) = part {
            let (key, value) = match secret {
                Secret::Password(password) => ("password", password),
                Secret::Key(key) => ("key", key),
            };
            let _ = writeln!(text, "{what} = \"{protocol}\"\n{what}_{key} = {}", quoted(value));
        }
    }
}

/// `[[snmp.access]]` for each grant. Without such, Trapline accepts every user at the level of its secrets.
fn access(text: &mut String, all: &Directives) {
    if all.anybody {
        return;
    }
    for (grant, _, _) in &all.grants {
        match grant {
            Grant::Community { name, from } => {
                let _ = writeln!(text, "\n[[snmp.access]]\ncommunities = [{}]", quoted(name));
                if let Some(from) = from {
                    let _ = writeln!(text, "from = [\"{from}\"]");
                }
            }
            Grant::User { name, level } => {
                let _ = writeln!(text, "\n[[snmp.access]]\nusers = [{}]\nlevel = \"{level}\"", quoted(name));
            }
        }
    }
}
