//! The rules in force, kept beside the captured messages: edited rules are compared with them.

use std::io::{self, ErrorKind};

use serde::{Deserialize, Serialize};

use crate::files::Folder;
use crate::rules::compile::RuleFile;

/// The name of the file.
const FILE: &str = "rules.json";
/// The most bytes that are read.
const MOST: u64 = 1 << 30;

#[derive(Serialize, Deserialize)]
struct Kept<'a> {
    name: std::borrow::Cow<'a, str>,
    text: std::borrow::Cow<'a, str>,
}

/// Whether they are kept.
pub fn is_there(folder: &Folder) -> bool {
    folder.exists(FILE)
}

/// Removes them.
///
/// # Errors
///
/// If they cannot be removed.
pub fn remove(folder: &Folder) -> io::Result<()> {
    if is_there(folder) { folder.remove(FILE) } else { Ok(()) }
}

/// Keeps them.
///
/// # Errors
///
/// If they cannot be written.
pub fn write(folder: &Folder, rules: &[RuleFile]) -> io::Result<()> {
    let kept: Vec<Kept<'_>> =
        rules.iter().map(|file| Kept { name: (&*file.name).into(), text: (&*file.text).into() }).collect();
    folder.replace(FILE, |out| Ok(serde_json::to_writer(out, &kept)?))
}

/// What was kept; none if nothing was.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(folder: &Folder) -> io::Result<Option<Vec<RuleFile>>> {
    let bytes = match folder.read(FILE, MOST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let kept: Vec<Kept<'_>> = serde_json::from_slice(&bytes)?;
    Ok(Some(
        kept.into_iter()
            .map(|file| RuleFile { name: (&*file.name).into(), text: (&*file.text).into() })
            .collect(),
    ))
}
