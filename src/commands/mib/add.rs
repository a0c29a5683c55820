//! `trapline mib add`: modules as vendors ship them, into a folder of the configuration.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use nix::unistd::{AccessFlags, access};
use serde_json::json;

use super::zip;
use crate::commands::args::ConfigArg;
use crate::config::Config;
use crate::config::loaded as setup;
use crate::files::Folder;
use crate::inbox::{Key, store};
use crate::mib::load::modules::missing_in;
use crate::mib::load::{Held, ModuleFile, module_files};
use crate::mib::{Kind, Mib};
use crate::oid::Oid;
use crate::settings::diagnostic::{Diagnostic, Diagnostics};
use crate::settings::{folder, input};
use crate::terminal::{eprintln, println, say};

/// The most bytes of all that is added: thousands of modules.
const MOST: u64 = 1 << 30;
/// The most bytes of a file.
const MOST_FILE: u64 = 64 << 20;
/// The most files of a folder.
const MAX_FILES: usize = 200_000;

/// Arguments of `trapline mib add`.
#[derive(Debug, Args)]
pub struct AddArgs {
    #[command(flatten)]
    config: ConfigArg,
    /// Module files, ZIP archives and folders; files in them may have any name
    #[arg(required = true)]
    what: Vec<PathBuf>,
    /// The folder for the modules. Default: the first folder of [mibs] paths that this user may write to
    #[arg(long, value_name = "FOLDER")]
    to: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A module to be added: where it is from, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    from: String,
    bytes: Vec<u8>,
}

/// Modules that were added, the name of their file, and another file that has an older revision.
type Added = (String, String, Option<String>);

/// What was in the files.
#[derive(Debug, Default)]
struct Gathered {
    /// By the names of the modules in a file, the first of which names the file that is written.
    modules: BTreeMap<Vec<String>, Found>,
    /// What is no module, with the reason.
    left_out: Vec<(String, String)>,
    bytes: u64,
}

/// Adds modules; false if one imports what is not there, or something named has none.
///
/// # Errors
///
/// If there is no folder for them, or it cannot be written to.
pub fn run(args: &AddArgs) -> anyhow::Result<bool> {
    let Ok((config, _)) = setup::config(args.config.path().as_deref()).map_err(|found| setup::print(&found))
    else {
        return Ok(false);
    };
    let to = match &args.to {
        Some(to) => to.clone(),
        None => place(&config)?,
    };
    let mut gathered = Gathered::default();
    for path in &args.what {
        gathered.add(path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let (before, _) = setup::mibs(&config, &[]);
    let existing = existing(&config.mib_paths, &to);
    // Modules are no secret, and the daemon is another user.
    let folder = Folder::public(&to).with_context(|| format!("cannot use the folder {}", to.display()))?;
    let (mut added, mut kept) = (Vec::new(), Vec::new());
    for (names, found) in &gathered.modules {
        let known = existing.get(&names[0]);
        match known.and_then(|known| older(found, known)) {
            Some(why) => kept.push((names.join(", "), why)),
            None => {
                let name = file_name(&names[0], known, &to);
                if let Err(error) = folder.replace(&name, |out| out.write_all(&found.bytes)) {
                    take_back(&folder, &added, &existing, &to);
                    return Err(error).with_context(|| format!("cannot write {}", to.join(&name).display()));
                }
                added.push((names.join(", "), name, shadow(known, &to)));
            }
        }
    }
    let in_force = config.mib_paths.iter().any(|path| to.starts_with(path));
    let more: Vec<PathBuf> = if in_force { Vec::new() } else { vec![to.clone()] };
    let (after, _) = setup::mibs(&config, &more);
    let report = Report {
        to: &to,
        in_force,
        added: &added,
        kept,
        gathered: &gathered,
        warnings: warnings(&after, &added, &to),
        gain: gain(&before.mib, &after.mib, &config),
    };
    if args.json {
        println!("{}", report.to_json());
    } else {
        report.print();
    }
    Ok(report.missing().is_empty() && !gathered.modules.is_empty())
}

/// Removes what was new, as not all of it could be written. What has taken the place of an older revision stays.
fn take_back(folder: &Folder, added: &[Added], existing: &HashMap<String, Found>, to: &Path) {
    let was_there: HashSet<&Path> = existing.values().map(|known| Path::new(&known.from)).collect();
    for (_, name, _) in added.iter().filter(|(_, name, _)| !was_there.contains(to.join(name).as_path())) {
        let _ = folder.remove(name);
    }
}

/// The first folder of the configuration that may be written to.
fn place(config: &Config) -> anyhow::Result<PathBuf> {
    let may = |path: &&PathBuf| {
        path.is_dir() && access(path.as_path(), AccessFlags::W_OK | AccessFlags::X_OK).is_ok()
    };
    match config.mib_paths.iter().find(may) {
        Some(path) => Ok(path.clone()),
        None => bail!(
            "this user may write to no folder of [mibs] paths; make one, add it there (paths = [\"/usr/share/snmp/mibs\", \"mibs\"]), or name one with --to"
        ),
    }
}

impl Gathered {
    fn add(&mut self, path: &Path) -> io::Result<()> {
        if !std::fs::metadata(path)?.is_dir() {
            return self.file(path, path.display().to_string());
        }
        let (mut open, mut seen) = (vec![path.to_owned()], HashSet::new());
        let mut count = 0;
        while let Some(path) = open.pop() {
            // A link may lead back.
            if !seen.insert(std::fs::canonicalize(&path)?) {
                continue;
            }
            let contents = folder::contents(&path)?;
            for one in &contents.left_out {
                self.left_out.push((one.path.display().to_string(), "it is no file".to_owned()));
            }
            for file in contents.files {
                count += 1;
                if count > MAX_FILES {
                    return Err(io::Error::other(format!("it has more than {MAX_FILES} files")));
                }
                self.file(&file, file.display().to_string())?;
            }
            open.extend(contents.folders.into_iter().rev());
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, from: String) -> io::Result<()> {
        let content = input::bytes(path, MOST)?;
        if zip::is_archive(&content) {
            return self.archive(&content, &from);
        }
        self.text(content.to_vec(), from)
    }

    fn archive(&mut self, content: &[u8], from: &str) -> io::Result<()> {
        let files = zip::files(content).map_err(|error| io::Error::other(format!("{from}: {error}")))?;
        for file in files {
            // Names are only shown: `../x` writes nowhere.
            let from = format!("{from}: {}", file.name);
            match file.content(MOST_FILE) {
                Ok(content) => self.text(content, from)?,
                Err(error) => self.left_out.push((from, error.to_string())),
            }
        }
        Ok(())
    }

    fn text(&mut self, bytes: Vec<u8>, from: String) -> io::Result<()> {
        self.bytes += bytes.len() as u64;
        if self.bytes > MOST {
            return Err(io::Error::other(format!("{from}: all files have more than {MOST} bytes together")));
        }
        if bytes.len() as u64 > MOST_FILE {
            self.left_out.push((from, format!("it has more than {MOST_FILE} bytes")));
            return Ok(());
        }
        let names = module_names(&bytes);
        let is_name = |name: &String| {
            !name.is_empty()
                && name.len() <= 64
                && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        };
        if names.is_empty() || !names.iter().all(is_name) {
            self.left_out.push((from, "it has no MIB module".to_owned()));
            return Ok(());
        }
        let found = Found { from, bytes };
        match self.modules.get(&names) {
            Some(other) if older(&found, other).is_some() => {
                self.left_out.push((found.from, format!("{} has this module as new or newer", other.from)));
            }
            _ => drop(self.modules.insert(names, found)),
        }
        Ok(())
    }
}

/// The file that a module is written into: the one that has it, if that is in the folder, as no module should be there twice.
fn file_name(module: &str, known: Option<&Found>, to: &Path) -> String {
    let there = known.map(|known| Path::new(&known.from)).filter(|path| path.parent() == Some(to));
    let name = there.and_then(|path| path.file_name()).and_then(|name| name.to_str());
    name.map_or_else(|| format!("{module}.txt"), str::to_owned)
}

/// Another folder that has an older revision of a module.
fn shadow(known: Option<&Found>, to: &Path) -> Option<String> {
    known.filter(|known| Path::new(&known.from).parent() != Some(to)).map(|known| known.from.clone())
}

/// Why a module does not take the place of another one; none if it does.
fn older(new: &Found, known: &Found) -> Option<String> {
    if new.bytes == known.bytes {
        return Some(format!("{} is the same", known.from));
    }
    let (of_new, of_known) = (revision(&new.bytes)?, revision(&known.bytes)?);
    (of_new < of_known).then(|| format!("{} is newer: {of_known}, this one {of_new}", known.from))
}

/// The names of the modules in a text: `NAME DEFINITIONS ::= BEGIN`, perhaps with an OID or tags in between.
fn module_names(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    // Comments may speak of definitions.
    let code: String = text
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .fold(String::with_capacity(text.len()), |code, line| code + line + "\n");
    let mut names = Vec::new();
    for (at, word) in code.match_indices("DEFINITIONS") {
        let behind: Vec<&str> = code[at + word.len()..].split_whitespace().take(4).collect();
        let begins = behind.iter().any(|word| word.starts_with("::="));
        let mut before = code[..at].trim_end();
        if let Some(oid) = before.strip_suffix('}') {
            before = oid.rsplit_once('{').map_or("", |(name, _)| name).trim_end();
        }
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
        let name = before.rsplit(|c: char| !is_part(c)).next().unwrap_or_default();
        if begins
            && name.starts_with(|c: char| c.is_ascii_alphabetic())
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
    }
    names
}

/// When a module was changed last, by its LAST-UPDATED (RFC 2578, section 5.1), as twelve digits.
fn revision(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once("LAST-UPDATED")?;
    let digits: String =
        rest.trim_start().strip_prefix('"')?.chars().take_while(char::is_ascii_digit).collect();
    match digits.len() {
        // Until 2000 years had two digits.
        10 => Some(format!("19{digits}")),
        12 => Some(digits),
        _ => None,
    }
}

/// The modules that the folders of the configuration have, by the first name in their files.
fn existing(paths: &[PathBuf], to: &Path) -> HashMap<String, Found> {
    let mut paths = paths.to_vec();
    paths.push(to.to_owned());
    let mut all = HashMap::new();
    for ModuleFile { path, .. } in module_files(&paths).files {
        let Ok(bytes) = input::bytes(&path, MOST_FILE) else { continue };
        let names = module_names(&bytes);
        if let Some(first) = names.into_iter().next() {
            all.entry(first)
                .or_insert_with(|| Found { from: path.display().to_string(), bytes: bytes.to_vec() });
        }
    }
    all
}

/// What is said of the added modules: imports that no folder has, and what cannot be read in them.
fn warnings(after: &Held, added: &[Added], to: &Path) -> Vec<Diagnostic> {
    let files: HashSet<String> =
        added.iter().map(|(_, name, _)| to.join(name).display().to_string()).collect();
    let found = after.found.clone().sorted();
    found.into_iter().filter(|one| files.contains(&one.file)).collect()
}

/// What is known now and was not before.
#[derive(Debug)]
struct Gain {
    modules: usize,
    objects: usize,
    notifications: usize,
    /// Unmatched groups that have a name now.
    named: usize,
}

fn gain(before: &Mib, after: &Mib, config: &Config) -> Gain {
    let count = |mib: &Mib, kind| mib.objects().iter().filter(|object| object.kind == kind).count();
    let more = |kind| count(after, kind).saturating_sub(count(before, kind));
    let groups = store::read(&config.journal.directory).unwrap_or_default();
    let traps: Vec<Oid<'static>> = groups
        .iter()
        .filter_map(|group| match &group.key {
            Key::Trap(oid) => oid.parse().ok(),
            _ => None,
        })
        .collect();
    let is_named = |mib: &Mib, oid: &Oid<'_>| {
        mib.lookup(oid).is_some_and(|object| object.kind == Kind::Notification && object.oid == *oid)
    };
    Gain {
        modules: after.modules().len().saturating_sub(before.modules().len()),
        objects: more(Kind::Object),
        notifications: more(Kind::Notification),
        named: traps.iter().filter(|oid| is_named(after, oid) && !is_named(before, oid)).count(),
    }
}

struct Report<'r> {
    to: &'r Path,
    in_force: bool,
    added: &'r [Added],
    kept: Vec<(String, String)>,
    gathered: &'r Gathered,
    warnings: Vec<Diagnostic>,
    gain: Gain,
}

impl Report<'_> {
    /// The names of the modules that the added ones import and no folder has.
    fn missing(&self) -> BTreeSet<&str> {
        self.warnings.iter().flat_map(missing_in).collect()
    }

    fn print(&self) {
        for (from, why) in &self.gathered.left_out {
            eprintln!("trapline: {from}: left out: {why}");
        }
        for (name, why) in &self.kept {
            say!("{name}: not added: {why}");
        }
        for (modules, name, other) in self.added {
            say!("{modules}: added as {name}");
            if let Some(other) = other {
                eprintln!(
                    "trapline: {other} has an older revision; remove that file, which may count before this one"
                );
            }
        }
        for warning in &self.warnings {
            eprintln!("{warning}");
        }
        let Gain { modules, objects, notifications, named } = self.gain;
        println!("{modules} modules, {objects} objects and {notifications} notifications more");
        if named > 0 {
            println!(
                "{named} groups of `trapline unmatched` have names now; `trapline rule new GROUP` makes rules of them"
            );
        }
        if !self.in_force {
            eprintln!("trapline: {} is not in [mibs] paths; add it", self.to.display());
        } else if !self.added.is_empty() {
            println!("`trapline reload` puts them in force");
        }
    }

    fn to_json(&self) -> serde_json::Value {
        let pairs = |all: &[(String, String)], name: &str| -> Vec<serde_json::Value> {
            all.iter().map(|(what, why)| json!({ name: what, "because": why })).collect()
        };
        let Gain { modules, objects, notifications, named } = &self.gain;
        let added: Vec<serde_json::Value> = (self.added.iter())
            .map(|(modules, file, other)| json!({ "modules": modules, "file": file, "older": other }))
            .collect();
        let mut warnings = Diagnostics::default();
        self.warnings.iter().for_each(|one| warnings.push(one.clone()));
        json!({
            "folder": self.to, "in_mibs_paths": self.in_force, "added": added,
            "not_added": pairs(&self.kept, "module"), "left_out": pairs(&self.gathered.left_out, "file"),
            "missing": self.missing(), "warnings": warnings.to_json(), "modules": modules, "objects": objects, "notifications": notifications,
            "groups_named": named,
        })
    }
}

#[cfg(test)]
#[path = "add_tests.rs"]
mod tests;
