//! From messages that nothing handles to rules in force, as a person types it: `tests/first-hour`.

use std::path::Path;
use std::process::Command;

use crate::support::run;

/// Two minutes of typing 200 characters a minute.
const MOST_KEYS: u32 = 400;

#[test]
fn unmatched_messages_become_rules_in_a_few_commands() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/first-hour");
    let output = run(Command::new(script).arg(env!("CARGO_BIN_EXE_trapline")));
    let text = String::from_utf8(output.stdout).unwrap();
    let last = text.lines().last().unwrap();
    println!("{last}");
    let keys: u32 = last.split_whitespace().next().unwrap().parse().unwrap();
    assert!(keys < MOST_KEYS, "{text}");
}
