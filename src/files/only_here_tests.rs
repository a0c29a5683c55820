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

/// Files of others, and sockets.
const ELSEWHERE: [(&str, &str); 10] = [
    ("commands/import.rs", "the rules go to a file that the user names"),
    ("commands/init/run.rs", "a first configuration goes to a new file that the user names"),
    ("commands/mib/add.rs", "the mode of modules, which everybody may read"),
    ("commands/rule.rs", "copies of rules go to a file that the user names"),
    ("commands/rule_file.rs", "rules go to a rule file that the user names"),
    ("daemon/control.rs", "a socket"),
    ("settings/input.rs", "files that users name, to read them only"),
    ("sinks/file/stream.rs", "pipes and terminals that the user names"),
    ("sinks/nagios/pipe.rs", "the command pipe is Nagios's"),
    ("sinks/nagios/spool.rs", "the directory of check results is Nagios's"),
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

#[test]
fn the_state_directory_has_one_owner() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    sources(&root, &mut paths);
    let mut writers = Vec::new();
    for path in paths {
        let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let is_test = name.ends_with("tests.rs") || name.ends_with("model.rs");
        if is_test || name.starts_with("files/") {
            continue;
        }
        let text = std::fs::read_to_string(path).unwrap();
        let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        if program.lines().any(|line| WRITES.iter().any(|write| line.contains(write))) {
            writers.push(name);
        }
    }
    writers.sort();
    let allowed: Vec<_> = ELSEWHERE.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(writers, allowed, "files of the state directory are opened, replaced and removed by a Folder");
}
