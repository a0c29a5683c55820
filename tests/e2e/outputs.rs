//! Where commands write to, and what they say of names that others have given.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use clap::CommandFactory as _;
use tempfile::TempDir;
use trapline::commands::Cli;

use crate::daemon::{Daemon, trapline};

const RULE: &str =
    "[[rule]]\nid = \"r\"\nsyslog = { message = 'down' }\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\n";

/// The commands that write to a file that is named behind the words.
const WRITERS: [&str; 6] = [
    "report --format csv --output",
    "mib compile -o",
    "import snmptt snmptt.conf -o",
    "import snmptrapd snmptrapd.conf -o",
    "rule copy ups-on-battery --to",
    "init",
];

/// A folder with what these commands read.
fn folder() -> Daemon {
    let mut daemon = Daemon::prepare("[history]\n[rules]\npacks = []\n");
    for (name, text) in [
        ("snmptt.conf", "EVENT a .1.3.6.1.4.1.9.1 \"c\" Normal\nFORMAT a\n"),
        ("snmptrapd.conf", "authCommunity log public\n"),
    ] {
        std::fs::write(daemon.path(name), text).unwrap();
    }
    daemon.restart();
    daemon.stop();
    daemon
}

fn run(folder: &Path, words: &str, name: &str) -> Output {
    trapline().args(words.split(' ')).arg(name).current_dir(folder).output().unwrap()
}

fn said(ended: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&ended.stdout), text(&ended.stderr))
}

/// The commands that have `--output FILE`.
fn with_output(command: &clap::Command, path: &str, all: &mut BTreeSet<String>) {
    let names_file = |argument: &clap::Arg| {
        argument.get_long() == Some("output")
            && argument.get_value_names().is_some_and(|names| names.iter().any(|name| name == "FILE"))
    };
    if command.get_arguments().any(names_file) {
        all.insert(path.trim_start().to_owned());
    }
    for below in command.get_subcommands() {
        with_output(below, &format!("{path} {}", below.get_name()), all);
    }
}

#[test]
fn a_hyphen_is_standard_output_for_every_command() {
    let mut all = BTreeSet::new();
    with_output(&Cli::command(), "", &mut all);
    assert!(all.len() >= 4, "{all:?}");
    for command in &all {
        assert!(WRITERS.iter().any(|words| words.starts_with(&format!("{command} "))), "{command}");
    }
    let daemon = folder();
    let folder = daemon.dir.path();
    for words in WRITERS {
        let ended = run(folder, words, "-");
        assert!(ended.status.success() && !ended.stdout.is_empty(), "{words}: {ended:?}");
        assert!(!folder.join("-").exists(), "{words}");
        // It is as any output: who does not read on has what he wants.
        let mut command = trapline();
        command.args(words.split(' ')).arg("-").current_dir(folder).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        drop(child.stdout.take());
        if !words.starts_with("mib") {
            assert!(child.wait().unwrap().success(), "{words}");
        }
        let _ = child.wait();
    }
}

#[test]
fn what_a_device_does_not_take_is_said_with_what_to_do() {
    let daemon = folder();
    let folder = daemon.dir.path();
    std::os::unix::fs::symlink("/dev/full", folder.join("full.tlp")).unwrap();
    for words in WRITERS {
        let name = if words.starts_with("mib") { "full.tlp" } else { "/dev/full" };
        let ended = run(folder, words, name);
        let (_, said) = said(&ended);
        let part =
            format!("{name}: No space left on device (os error 28); make room, or name a file elsewhere");
        assert!(ended.status.code() == Some(1) && said.contains(&part), "{words}: {said}");
    }
    let ended = run(folder, "rule copy ups-on-battery --to", "/dev/null");
    assert!(ended.status.success() && !said(&ended).1.contains("reload"), "{ended:?}");
}

#[test]
fn the_first_obstacle_that_is_said_is_the_one_that_stays() {
    let daemon = folder();
    let folder = daemon.dir.path();
    std::fs::write(folder.join("there.toml"), "edited by hand").unwrap();
    std::os::unix::fs::symlink("there.toml", folder.join("link.toml")).unwrap();
    std::os::unix::fs::symlink("nowhere.toml", folder.join("dangling.toml")).unwrap();
    let import = |force: &str, name: &str| {
        let ended = run(folder, &format!("import snmptt snmptt.conf{force} -o"), name);
        (ended.status.success(), said(&ended).1)
    };
    for name in ["link.toml", "dangling.toml"] {
        for force in ["", " --force"] {
            let (done, said) = import(force, name);
            assert!(!done && said.contains("is a symbolic link; name the file"), "{name}{force}: {said}");
            assert!(!said.contains("--force"), "{name}{force}: {said}");
        }
    }
    let (done, said) = import("", "there.toml");
    assert!(!done && said.contains("or add --force"), "{said}");
    let (done, said) = import("", "none/new.toml");
    assert!(!done && said.contains("there is no folder none: make it"), "{said}");
    assert!(import(" --force", "there.toml").0);
    assert!(!folder.join("nowhere.toml").exists());
}

/// A terminal that is behind a pipe, such as that of a pager, obeys as well.
#[test]
fn no_name_of_a_file_rules_the_terminal() {
    const NAME: &str = "e\u{1b}[31m\u{202e}";
    let daemon = folder();
    let folder = daemon.dir.path();
    let plain = |what: &str, ended: &Output| {
        let (out, err) = said(ended);
        assert!(!out.contains(['\u{1b}', '\u{202e}']), "{what}: {out:?}");
        assert!(!err.contains(['\u{1b}', '\u{202e}']), "{what}: {err:?}");
        format!("{out}{err}")
    };
    for words in WRITERS {
        let ending = if words.starts_with("mib") { "tlp" } else { "toml" };
        let name = format!("{NAME}{ending}.{ending}");
        // Written, refused, and a folder in its place.
        for _ in 0..2 {
            plain(words, &run(folder, words, &name));
        }
        std::fs::remove_file(folder.join(&name)).unwrap();
        std::fs::create_dir(folder.join(&name)).unwrap();
        plain(words, &run(folder, words, &format!("{name}/.")));
        std::fs::remove_dir_all(folder.join(&name)).unwrap();
    }
    let rules = format!("{NAME}.toml");
    std::fs::write(folder.join(&rules), RULE).unwrap();
    let config = std::fs::read_to_string(folder.join("trapline.toml")).unwrap();
    let quoted = rules.replace('\u{1b}', "\\u001b").replace('\u{202e}', "\\u202e");
    let named = format!("packs = []\npaths = [\"{quoted}\"]");
    std::fs::write(folder.join("trapline.toml"), config.replace("packs = []", &named)).unwrap();
    let line = "<36>Nov 20 12:00:01 db1 app: down";
    let explained = plain("explain", &run(folder, "explain --line", line));
    assert!(explained.contains("taken by        r (") && explained.contains("\\u{1b}[31m"), "{explained}");
    let listed = plain("rule list", &run(folder, "rule list", "r"));
    assert!(listed.contains("\\u{1b}[31m"), "{listed}");
    // Where the daemon keeps what it has, somebody may have put another file.
    std::fs::create_dir_all(folder.join("var/dead")).unwrap();
    std::fs::write(folder.join(format!("var/dead/{NAME}.jsonl")), "").unwrap();
    for words in ["sinks", "dead", "token", "unmatched"] {
        let words = if words == "unmatched" { words.to_owned() } else { format!("{words} list") };
        plain(&words, &trapline().args(words.split(' ')).current_dir(folder).output().unwrap());
    }
}

/// A device that gives zeros for ever would be read up to the largest size, in memory.
#[test]
fn what_has_no_end_and_no_message_is_not_read_for_long() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("trapline.toml"), "[mibs]\npaths = []\n[rules]\npacks = []\n").unwrap();
    std::fs::write(folder.path().join("rules.toml"), RULE).unwrap();
    let limited = |words: &[&str], input: Stdio| {
        let mut command = Command::new("prlimit");
        command.args(["--as=900000000", env!("CARGO_BIN_EXE_trapline")]).args(words);
        let ended = command.current_dir(&folder).stdin(input).output().unwrap();
        (ended.status.code(), said(&ended).1)
    };
    let zeros = || Stdio::from(std::fs::File::open("/dev/zero").unwrap());
    for (words, part) in [
        (&["explain", "--pcap", "/dev/zero"][..], "this is no capture"),
        (&["explain", "--pcap", "/dev/urandom"], "this is no capture"),
        (&["explain", "--pcap", "-"], "this is no capture"),
        (&["explain", "/dev/zero"], "there is nothing in it"),
        (&["explain", "-"], "there is nothing in it"),
        (&["test", "--against", "/dev/zero", "rules.toml"], "there is nothing in it"),
    ] {
        let (code, said) = limited(words, zeros());
        assert!(code == Some(1) && said.contains(part), "{words:?}: {code:?} {said}");
    }
}
