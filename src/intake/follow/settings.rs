//! `[[intake]] type = "file"` and `type = "journald"`

use std::path::PathBuf;
use std::sync::Arc;

pub use super::file::Start;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::Section;
use crate::settings::values::word;

/// Something that is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How status and metrics call it; where reading goes on is kept by this name.
    pub name: Arc<str>,
    /// What it is.
    pub kind: Kind,
    /// Where reading begins if nothing is known.
    pub start: Start,
}

/// What is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The file that has this name.
    File(PathBuf),
    /// The journal of systemd: that of a directory, else that of this machine; the entries that match.
    Journald(Option<PathBuf>, Vec<String>),
}

/// Reads one; `others` are those before it.
pub(crate) fn read(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    others: &[Arc<Source>],
    found: &mut Diagnostics,
) -> Option<Source> {
    let kind = section.string("type", found)?;
    let name = section.string("name", found);
    let starts = [("end", Start::End), ("start", Start::Beginning)];
    let start = word(&section, "from", &starts, "place to begin at", found).unwrap_or(Start::End);
    let (kind, usual) = if kind.value == "file" {
        let path = section.string("path", found);
        if section.get("path").is_none() {
            found.push(section.error("[[intake]] without 'path'", "add path = \"/var/log/network.log\""));
        }
        let path = path.map(|path| (resolve(&path.value), path.value));
        (path.as_ref().map(|(path, _)| Kind::File(path.clone())), path.map(|(_, text)| text))
    } else {
        let directory = section.string("directory", found).map(|path| resolve(&path.value));
        let matches = section.strings("matches", found).unwrap_or_default();
        for wrong in matches.iter().filter(|text| !is_match(text)) {
            let message = format!("'{}' is no match of journalctl", wrong.value.escape_debug());
            let hint = Some("write FIELD=VALUE, as in _SYSTEMD_UNIT=ssh.service".to_owned());
            found.push(section.source().error(&wrong.span, message, hint));
        }
        let matches = matches.into_iter().map(|text| text.value).collect();
        (Some(Kind::Journald(directory, matches)), Some("journald".to_owned()))
    };
    let name = name.as_ref().map(|name| name.value.clone()).or(usual);
    if let Some(name) = name.as_ref().filter(|name| name.is_empty() || name.contains(char::is_control)) {
        let message = format!("'{}' is no name", name.escape_debug());
        found.push(section.error(message, "write a name without control characters"));
    }
    if let Some(name) = name.as_ref().filter(|name| others.iter().any(|other| *other.name == ***name)) {
        let hint = "give one of them another name: where reading goes on is kept by it";
        found.push(section.error(format!("two [[intake]] are named '{name}'"), hint));
    }
    section.finish(found);
    Some(Source { name: name?.into(), kind: kind?, start })
}

/// A field of the journal with its value. What begins with a dash would be an option.
fn is_match(text: &str) -> bool {
    text.split_once('=').is_some_and(|(field, value)| {
        let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
        !field.is_empty() && field.chars().all(plain) && !value.contains('\0')
    })
}
