//! The commands that the pages show can be given as they are shown.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};

use super::{Cli, Shown, asks_plugin, said_of, wrong_call};

/// The pages below docs/ and README.md.
fn pages() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![root.join("README.md")];
    let mut folders = vec![root.join("docs")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|end| end == "md") {
                pages.push(path);
            }
        }
    }
    pages.sort();
    pages
}

/// The commands of a line of a shell, as words.
fn commands(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('\''), c) => word.get_or_insert_default().push(c),
            (_, '\\') => word.get_or_insert_default().extend(chars.next()),
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '#') if word.is_none() => break,
            (None, c) if c.is_whitespace() => all.last_mut().unwrap().extend(word.take()),
            (None, '|' | ';' | '&' | '(' | ')' | '<' | '>') => {
                // `2>` belongs to the sign.
                let number = word.as_ref().is_some_and(|word| word.parse::<u8>().is_ok());
                let word = word.take().filter(|_| c != '>' || !number);
                all.last_mut().unwrap().extend(word);
                all.push(Vec::new());
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    all.last_mut().unwrap().extend(word);
    all
}

/// The arguments of each `trapline` in a line, with its name.
fn of_trapline(line: &str) -> Vec<Vec<String>> {
    let before = ["$", "sudo", "exec", "#"];
    let of = |words: Vec<String>| -> Option<Vec<String>> {
        let words: Vec<String> =
            words.into_iter().skip_while(|word| before.contains(&word.as_str())).collect();
        (words.first().is_some_and(|word| word == "trapline")).then_some(words)
    };
    commands(line).into_iter().filter_map(of).collect()
}

/// The lines of the blocks of code, those that a backslash goes on in as one; and what stands between back quotes elsewhere.
fn shown(page: &str) -> (Vec<String>, Vec<String>) {
    let (mut lines, mut quoted) = (Vec::new(), Vec::new());
    let (mut in_block, mut going_on) = (false, String::new());
    for line in page.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            quoted.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        } else if let Some(part) = line.strip_suffix('\\') {
            going_on.push_str(part);
        } else {
            lines.push(std::mem::take(&mut going_on) + line);
        }
    }
    (lines, quoted)
}

#[test]
fn every_command_of_the_pages_can_be_given() {
    let (mut wrong, mut seen) = (Vec::new(), 0);
    for page in pages() {
        let (lines, quoted) = shown(&std::fs::read_to_string(&page).unwrap());
        let lines = lines.iter().map(|line| (line, true));
        for (line, whole) in lines.chain(quoted.iter().map(|line| (line, false))) {
            for words in of_trapline(line) {
                seen += 1;
                let Err(error) = Cli::try_parse_from(&words) else { continue };
                let shows = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
                // In a sentence only what matters is named.
                let is_short = match error.kind() {
                    ErrorKind::MissingRequiredArgument
                    | ErrorKind::MissingSubcommand
                    | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => true,
                    ErrorKind::InvalidValue => words.last().is_some_and(|word| word.starts_with("--")),
                    _ => false,
                };
                if !shows && (whole || !is_short) {
                    let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                    wrong.push(format!("{}: {line}\n  {first}", page.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(seen > 150, "{seen}");
}

#[test]
fn words_are_those_of_a_shell() {
    const LINES: [(&str, &[&[&str]]); 4] = [
        ("trapline status # how it is", &[&["trapline", "status"]]),
        ("$ sudo trapline check 'a b' \"c'd\" e\\ f", &[&["trapline", "check", "a b", "c'd", "e f"]]),
        (
            "tcpdump -w - | trapline explain - 2>/dev/null && trapline test",
            &[&["trapline", "explain", "-"], &["trapline", "test"]],
        ),
        ("install -d trapline", &[]),
    ];
    for (line, words) in LINES {
        assert_eq!(of_trapline(line), words, "{line}");
    }
    Cli::command().debug_assert();
}

/// What is said of words that are no command.
fn said(words: &[&str]) -> String {
    let words: Vec<OsString> = [&["trapline"], words].concat().iter().map(OsString::from).collect();
    let error = Cli::try_parse_from(&words).unwrap_err();
    match said_of(error, &words) {
        Shown::Mistake(text) => text,
        Shown::Help(text) => panic!("{words:?}: {text}"),
    }
}

#[test]
fn a_negative_value_is_told_what_to_write() {
    for (words, advice) in [
        (&["history", "--since", "-5m"][..], "--since takes no negative value; write --since 5m"),
        (&["history", "--until", "-2h", "link"], "--until takes no negative value; write --until 2h"),
        (&["mute", "--host", "a", "--for", "-1h"], "--for takes no negative value; write --for 1h"),
        (&["report", "--since", "-7d"], "--since takes no negative value; write --since 7d"),
        (&["history", "--limit", "-1"], "--limit takes no negative value; write --limit 1"),
    ] {
        let said = said(words);
        assert!(said.contains(advice) && !said.contains("-- -"), "{words:?}: {said}");
    }
}

#[test]
fn a_plugin_that_is_called_wrongly_says_unknown() {
    for (words, part) in [
        (&["state", "query"][..], "--host <GLOB>"),
        (&["state", "query", "--host", "a", "--bogus|x"], "'--bogus"),
        (&["checkin", "query"], "--service <NAME>"),
        (&["checkin"], "a command is missing: trapline checkin <COMMAND>"),
        (&["checkin", "nope"], "'nope'"),
        (&["status", "--check", "--bogus"], "'--bogus'"),
        (&["status", "--check=yes"], "--check"),
        (&["status", "--warning", "1h", "--check", "extra"], "'extra'"),
    ] {
        let line = wrong_call(&said(words));
        let start = "TRAPLINE UNKNOWN - wrong call: ";
        assert!(line.starts_with(start) && line.contains(part), "{words:?}: {line}");
        assert!(!line.contains(['\n', '|']), "{words:?}: {line}");
        let all: Vec<OsString> = [&["trapline"], words].concat().iter().map(OsString::from).collect();
        assert!(asks_plugin(&all), "{words:?}");
        assert_eq!(
            format!("{:?}", Cli::of(all).err()),
            format!("{:?}", Some(ExitCode::from(3))),
            "{words:?}"
        );
    }
    for words in [&["state", "list", "--bogus"][..], &["status", "--bogus"], &["nope"], &["state"]] {
        let all: Vec<OsString> = [&["trapline"], words].concat().iter().map(OsString::from).collect();
        assert!(!asks_plugin(&all), "{words:?}");
    }
}

#[test]
fn a_name_that_is_empty_is_refused_by_all_that_look_for_one() {
    for words in [
        &["mute", "--for", "1h", "--host"][..],
        &["mute", "--for", "1h", "--service"],
        &["mute", "--for", "1h", "--rule"],
        &["history", "--host"],
        &["history", "--service"],
        &["history", "--rule"],
        &["history", "--source"],
        &["state", "list", "--host"],
        &["state", "clear", "--service"],
        &["state", "clear", "--rule"],
        &["mib", "find"],
        &["mib", "tree"],
    ] {
        for empty in ["", " "] {
            let said = said(&[words, &[empty]].concat());
            assert!(said.contains("it is empty, and no name is; write a name"), "{words:?}: {said}");
        }
    }
}

/// How a command is called with these words.
fn called(path: &[String], words: &[String]) -> Vec<OsString> {
    let all = ["trapline"].into_iter().chain(path.iter().chain(words).map(String::as_str));
    all.map(OsString::from).collect()
}

/// All commands, with the words that lead to each: those that have commands below them may have arguments, too.
fn commands_of(command: &clap::Command, path: &[String], all: &mut Vec<(Vec<String>, clap::Command)>) {
    all.push((path.to_owned(), command.clone()));
    for below in command.get_subcommands().filter(|below| below.get_name() != "help") {
        commands_of(below, &[path, &[below.get_name().to_owned()]].concat(), all);
    }
}

/// Whatever an argument has in it.
#[test]
fn a_wrong_argument_stays_in_its_line() {
    const HOSTILE: &str = "a\nFORGED\u{1b}[31m\u{202e}";
    let mut all = Vec::new();
    commands_of(&Cli::command(), &[], &mut all);
    let mut wrong = 0;
    for (path, command) in &all {
        let options = command.get_arguments().filter_map(clap::Arg::get_long);
        let options = options.map(|long| vec![format!("--{long}"), HOSTILE.to_owned()]);
        let others = [
            vec![HOSTILE.to_owned()],
            vec![format!("--{HOSTILE}")],
            vec!["x".into(), HOSTILE.into(), HOSTILE.into()],
        ];
        for words in options.chain(others) {
            let words = called(path, &words);
            let Err(error) = Cli::try_parse_from(&words) else { continue };
            let Shown::Mistake(text) = said_of(error, &words) else { continue };
            wrong += usize::from(text.contains("FORGED"));
            assert!(!text.lines().any(|line| line.starts_with("FORGED")), "{words:?}: {text}");
            assert!(!text.contains(['\u{1b}', '\u{202e}']), "{words:?}: {text}");
        }
    }
    assert!(wrong > 50, "{wrong}");
}

/// Clap and std say what is wrong with a value, and not what to write instead.
#[test]
fn a_value_that_an_argument_does_not_take_is_told_what_to_write() {
    const NONSENSE: [&str; 7] = ["?", "", "-", "a b", "1.5e99", "99999999999999999999", "="];
    // The last one names what kind of value it is.
    const TOLD: [&str; 4] = ["write ", "use ", "possible values: ", "a value is required for '"];
    let mut all = Vec::new();
    commands_of(&Cli::command(), &[], &mut all);
    let (mut bare, mut typed) = (Vec::new(), 0);
    for (path, command) in &all {
        for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let mut refused = false;
            for value in NONSENSE {
                let words = match argument.get_long() {
                    Some(long) => vec![format!("--{long}={value}")],
                    None => {
                        let before =
                            command.get_positionals().take_while(|other| other.get_id() != argument.get_id());
                        let before = before.map(|_| "x".to_owned());
                        ["--".to_owned()].into_iter().chain(before).chain([value.to_owned()]).collect()
                    }
                };
                let words = called(path, &words);
                let Err(error) = Cli::try_parse_from(&words) else { continue };
                if !matches!(error.kind(), ErrorKind::ValueValidation | ErrorKind::InvalidValue) {
                    continue;
                }
                refused = true;
                let Shown::Mistake(text) = said_of(error, &words) else { continue };
                if !TOLD.iter().any(|told| text.contains(told)) {
                    bare.push(text.lines().next().unwrap_or_default().to_owned());
                }
            }
            typed += usize::from(refused);
        }
    }
    assert!(bare.is_empty(), "{}", bare.join("\n"));
    assert!(typed > 60, "{typed}");
}
