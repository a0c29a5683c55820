//! Tests wait for conditions, with a deadline: a pause that is "long enough" is too short on a slow machine and too long on every other
//! one. So what pauses stands in few files.

use std::path::Path;

use crate::source::Sources;

/// The files that pause, and what for.
const PAUSES: [(&str, &str); 4] = [
    ("tests/e2e/support.rs", "the waits for conditions, the pauses of senders, and moments of kills"),
    ("tests/e2e/debian_security.rs", "a script that waits for ports, under `timeout`"),
    ("tests/toy_sink/main.rs", "a wait with a deadline, in a test that has nothing but the library"),
    ("tests/simulation/", "the clock of the simulation, which jumps to the end of a pause"),
];

/// Whether a line of code pauses, or has a command of a shell that does.
fn pauses(line: &str) -> bool {
    let code = line.split("//").next().unwrap_or_default();
    let calls = code.match_indices("sleep(").any(|(at, _)| !code[..at].ends_with("fn "));
    let commands = code.match_indices("sleep ").any(|(at, word)| {
        code[at + word.len()..].starts_with(|after: char| after.is_ascii_digit() || after == '$')
    });
    calls || commands || code.contains("park_timeout(")
}

#[test]
fn tests_pause_only_where_there_is_a_reason() {
    for (line, expected) in [
        ("    std::thread::sleep(Duration::from_secs(1));", true),
        ("    sleep(time).await;", true),
        ("const RUN: &str = \"trapline run & sleep 1; kill $!\";", true),
        ("    // A sleep(1) is no wait.", false),
        ("fn an_idle_daemon_sleeps() {", false),
        ("fn sleep(pid: u32) {", false),
    ] {
        assert_eq!(pauses(line), expected, "{line}");
    }
    let sources = Sources::read(Path::new(env!("CARGO_MANIFEST_DIR")), &["tests"]).unwrap();
    let mut used = [false; PAUSES.len()];
    for (path, text) in sources.0.iter().filter(|(path, _)| *path != "tests/layers/pauses.rs") {
        let listed = PAUSES.iter().position(|(place, _)| path.starts_with(place));
        for (number, line) in text.lines().enumerate().filter(|(_, line)| pauses(line)) {
            let place = format!("{path}:{}", number + 1);
            let Some(listed) = listed else {
                panic!(
                    "{place} pauses; wait for a condition (`wait_until` of tests/e2e/support.rs), or list what the pause is for in tests/layers/pauses.rs: {line}"
                );
            };
            used[listed] = true;
        }
    }
    assert_eq!(used, [true; PAUSES.len()], "entries of tests/layers/pauses.rs that no file needs");
}
