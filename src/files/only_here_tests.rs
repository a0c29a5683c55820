//! Whether files are written elsewhere than in this module.

use std::path::{Path, PathBuf};

/// What creates, changes or removes a file by its path.
const WRITES: [&str; 11] = [
    "File::create",
    "OpenOptions",
    "File::options",
    "fs::write(",
    "fs::copy(",
    "fs::rename(",
    "fs::remove_",
    "fs::create_dir",
    "fs::set_permissions(",
    "fs::hard_link(",
    "chown(",
];

/// What goes through a link that somebody puts in the place of a name: commands of root work in folders of other users.
const FOLLOWS: [&str; 6] =
    ["File::create(", "fs::write(", "fs::copy(", "fs::set_permissions(", "lchown(", " chown("];

/// Files of others, and sockets.
const ELSEWHERE: [(&str, &str); 6] = [
    ("commands/init/run.rs", "a first configuration is for the group of the service as well"),
    ("commands/rule_file.rs", "a new rule file that the daemon refuses is removed again"),
    ("daemon/control.rs", "a socket"),
    ("settings/input.rs", "files that users name, to read them only"),
    ("sinks/file/stream.rs", "pipes and terminals that the user names"),
    ("sinks/nagios/pipe.rs", "the command pipe is Nagios's"),
];

/// The source files below a folder.
pub(crate) fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The names of the source files outside of this module, with their lines that are no tests.
fn programs() -> Vec<(String, Vec<String>)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let mut programs = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let is_test = name.ends_with("tests.rs") || name.ends_with("model.rs");
        if is_test || name.starts_with("files/") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        programs.push((name, program.lines().map(str::to_owned).collect()));
    }
    programs.sort();
    programs
}

/// The files that have a line with one of these.
fn with(what: &[&str]) -> Vec<String> {
    let has = |line: &String| what.iter().any(|what| line.contains(what));
    let found = programs().into_iter().filter(|(_, lines)| lines.iter().any(has));
    found.map(|(name, _)| name).collect()
}

#[test]
fn the_state_directory_has_one_owner() {
    let allowed: Vec<_> = ELSEWHERE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        with(&WRITES),
        allowed,
        "files of the state directory are opened, replaced and removed by a Folder"
    );
}

#[test]
fn nobody_redirects_what_is_written_or_whose_owner_and_mode_are_set() {
    // A socket of the daemon in its own directory, which others cannot enter.
    assert_eq!(with(&FOLLOWS), ["daemon/control.rs"], "use handles, and files that are new for certain");
}
