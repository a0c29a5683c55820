//! Reading the rule files that a configuration names.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::rules::compile::RuleFile;
use crate::rules::console::ConsoleRules;
use crate::rules::shipped::{self, Packs};
use crate::settings::diagnostic::{Diagnostics, Severity};
use crate::settings::folder::{self, Why};
use crate::settings::input;

/// The rule files at some paths, in the order of their file names, behind them the rules of the console, and behind these the
/// shipped packs. A folder stands for the `*.toml` files in it, without subfolders and without files whose names begin with a dot,
/// as editors leave them there. A file of a folder that is a copy of a pack in force stays with the packs, so that the rules beside
/// it come first: so it is in a clone of Trapline.
pub fn rule_files(
    paths: &[PathBuf],
    console: Option<&ConsoleRules>,
    packs: &Packs,
    found: &mut Diagnostics,
) -> Vec<RuleFile> {
    let mut files = BTreeSet::new();
    // A folder of the user's may be the one where the console's file is.
    let of_console = console.and_then(|console| console.path().canonicalize().ok());
    let is_of_console = |path: &PathBuf| of_console.is_some() && path.canonicalize().ok() == of_console;
    for path in paths {
        match toml_files(path, found) {
            Ok(some) => files.extend(
                some.into_iter()
                    .filter(|f| !is_of_console(f))
                    .map(|f| (f.file_name().map(ToOwned::to_owned), f)),
            ),
            Err(error) => found.file_error(
                &path.display().to_string(),
                format!("cannot read the rules: {error}"),
                "correct [rules] paths, or create the file or folder",
            ),
        }
    }
    let is_copy = |path: &Path, text: &str| {
        let of_folder = !paths.iter().any(|named| named == path);
        let file = path.file_name().and_then(|name| name.to_str()).filter(|_| of_folder);
        file.is_some_and(|file| shipped::is_copy(packs, file, text))
    };
    let read = |(_, path): (_, PathBuf)| {
        let name = path.display().to_string();
        match input::text(&path, input::TEXT) {
            Ok(text) if is_copy(&path, &text) => None,
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
    all.extend(console.and_then(|console| console.file(found)));
    all.extend(shipped::files(packs));
    all
}

fn toml_files(path: &Path, found: &mut Diagnostics) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let contents = folder::contents(path)?;
    for one in contents.left_out.iter().filter(|one| is_rule_file(&one.path)) {
        // A link to /dev/null takes a file's place on purpose; one that leads nowhere loses rules.
        let special = matches!(one.why, Why::Special(_));
        found.push(one.diagnostic(if special { Severity::Warning } else { Severity::Error }));
    }
    Ok(contents.files.into_iter().filter(|path| is_rule_file(path)).collect())
}

fn is_rule_file(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    !hidden && path.extension().is_some_and(|extension| extension == "toml")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use nix::sys::stat::Mode;
    use nix::unistd::mkfifo;

    use super::*;

    #[test]
    fn a_copy_of_a_pack_in_force_comes_behind_the_rules_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let (name, text) = shipped::PACKS[0];
        std::fs::write(dir.path().join("zz.toml"), "").unwrap();
        let names = |packs: &Packs| -> Vec<String> {
            let files = rule_files(&[dir.path().to_owned()], None, packs, &mut Diagnostics::default());
            files.iter().map(|file| file.name.replace(&dir.path().display().to_string(), "DIR")).collect()
        };
        let in_force = Packs::Only(vec![name.trim_end_matches(".toml").to_owned()]);
        let shipped = shipped::files(&in_force)[0].name.to_string();
        let own = format!("DIR/{name}");
        for (content, packs, expected) in [
            (text.to_owned(), &in_force, ["DIR/zz.toml", &shipped].map(str::to_owned).to_vec()),
            (text.to_owned(), &Packs::Only(Vec::new()), vec![own.clone(), "DIR/zz.toml".to_owned()]),
            (format!("{text}\n"), &in_force, vec![own.clone(), "DIR/zz.toml".to_owned(), shipped.clone()]),
        ] {
            std::fs::write(dir.path().join(name), content).unwrap();
            assert_eq!(names(packs), expected);
        }
        // One that is named is meant.
        std::fs::write(dir.path().join(name), text).unwrap();
        let named = rule_files(&[dir.path().join(name)], None, &in_force, &mut Diagnostics::default());
        assert_eq!(named.len(), 2);
    }

    #[test]
    fn rules_are_regular_files_that_are_not_hidden() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        for file in ["b.toml", ".#c.toml", "notes.md"] {
            std::fs::write(path(file), "").unwrap();
        }
        symlink("someone@host:17", path(".#b.toml")).unwrap();
        symlink("b.toml", path("a.toml")).unwrap();
        symlink("/dev/null", path("masked.toml")).unwrap();
        symlink("gone", path("lost.toml")).unwrap();
        mkfifo(&path("slow.toml"), Mode::S_IRWXU).unwrap();
        let mut found = Diagnostics::default();
        let files = rule_files(&[dir.path().to_owned()], None, &Packs::Only(Vec::new()), &mut found);
        let names: Vec<String> =
            files.iter().map(|file| file.name.rsplit('/').next().unwrap().to_owned()).collect();
        assert_eq!(names, ["a.toml", "b.toml"]);
        insta::assert_snapshot!(found.to_text().replace(&dir.path().display().to_string(), "DIR"));
    }
}
