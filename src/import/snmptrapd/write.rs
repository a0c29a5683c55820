//! The configuration that is made.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crate::import::snmptrapd::directives::{Directives, Grant, Secret, User};
use crate::import::snmptrapd::left_out::LeftOut;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText};
use crate::settings::section::{self, Section, quoted};
use crate::snmp::usm::{User as UsmUser, users};

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
    let (mut taken, mut refused) = (Vec::new(), BTreeSet::new());
    for (user, file, line) in std::mem::take(&mut all.users) {
        if !all.admits(&user) {
            left_out.push(warning(&file, line, &LeftOut::NoGrant(user.name.clone())));
            refused.insert(user.name);
            continue;
        }
        match read_back(&user, &taken) {
            Ok(read) => {
                taken.push(read);
                all.users.push((user, file, line));
            }
            Err(why) => {
                refused.insert(user.name.clone());
                left_out.push(warning(&file, line, &LeftOut::User { name: user.name, why }));
            }
        }
    }
    for (grant, file, line) in &all.grants {
        if let Grant::User { name, .. } = grant
            && !refused.contains(name)
            && !all.users.iter().any(|(user, ..)| user.name == *name)
        {
            left_out.push(warning(file, *line, &LeftOut::NoSecrets(name.clone())));
        }
    }
    let names: Vec<String> = files.iter().map(|(name, _)| name.escape_debug().to_string()).collect();
    let mut text = format!("# Made from {} by `trapline import snmptrapd`.\n", names.join(", "));
    let communities = snmp(&mut text, &all);
    for (user, ..) in &all.users {
        self::user(&mut text, user);
    }
    access(&mut text, &all);
    if !all.mib_folders.is_empty() {
        let folders: Vec<String> = all.mib_folders.iter().map(|folder| quoted(folder)).collect();
        let _ = writeln!(text, "\n[mibs]\npaths = [{}]", folders.join(", "));
    }
    Imported { text, users: all.users.len(), communities, left_out }
}

/// A user as the configuration that is made will be read; `others` are in it already.
fn read_back(user: &User, others: &[UsmUser]) -> Result<UsmUser, String> {
    let mut text = String::new();
    self::user(&mut text, user);
    let source = SourceText { file: "", text: &text };
    let mut found = Diagnostics::default();
    let root = section::read(&source, &mut found);
    let read = root.and_then(|root| {
        let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
        let users = root.section("snmp", &mut found)?.sections("users", &mut found);
        users::read(users.into_iter().next()?, &|path| path.into(), others, &mut found)
    });
    let wrong = found.sorted().into_iter().find(|one| one.severity == Severity::Error);
    match (read, wrong) {
        (Some(user), None) => Ok(user),
        (_, Some(Diagnostic { message, hint: Some(hint), .. })) => Err(format!("{message}; {hint}")),
        (_, wrong) => Err(wrong.map_or_else(String::new, |wrong| wrong.message)),
    }
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
