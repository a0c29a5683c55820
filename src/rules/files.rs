//! Reading the rule files that a configuration names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::rules::compile::RuleFile;
use crate::rules::shipped::{self, Packs};
use crate::settings::diagnostic::Diagnostics;
use crate::settings::input;

/// The rule files at some paths, in the order of their file names, and behind them the shipped packs. A folder stands for
/// the `*.toml` files in it, without subfolders.
pub fn rule_files(paths: &[PathBuf], packs: &Packs, found: &mut Diagnostics) -> Vec<RuleFile> {
    let mut files = BTreeSet::new();
    for path in paths {
        match toml_files(path) {
            Ok(some) => files.extend(some.into_iter().map(|f| (f.file_name().map(ToOwned::to_owned), f))),
            Err(error) => found.file_error(
                &path.display().to_string(),
                format!("cannot read the rules: {error}"),
                "correct [rules] paths, or create the file or folder",
            ),
        }
    }
    let read = |(_, path): (_, PathBuf)| {
        let name = path.display().to_string();
        match input::text(&path, input::TEXT) {
            Ok(text) => Some(RuleFile { name: name.into(), text: text.as_str().into() }),
            Err(error) => {
                found.file_error(
                    &name,
                    format!("cannot read the rule file: {error}"),
                    "rule files are UTF-8 text; the daemon's user must be able to read them",
                );
                None
            }
        }
    };
    let mut all: Vec<RuleFile> = files.into_iter().filter_map(read).collect();
    all.extend(shipped::files(packs));
    all
}

fn toml_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect())
}
