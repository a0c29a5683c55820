//! Whether the files whose code runs on a shared runtime deny what blocks (`disallowed-methods` of clippy.toml).

use std::path::Path;

use crate::source::Sources;

const DENIES: &str = "deny(clippy::disallowed_methods)";

/// Asynchronous code that may block: nothing else runs on its thread.
const OWN_THREADS: [(&str, &str); 14] = [
    ("src/sinks/", "each sink has a thread of its own"),
    ("src/intake/follow/", "the thread that follows files"),
    ("src/inbox/", "the inbox has a thread of its own"),
    ("src/daemon/inbox.rs", "the thread of the inbox"),
    ("src/daemon/capture.rs", "the thread that writes captured messages"),
    ("src/daemon/lookups.rs", "each table has a thread of its own"),
    ("src/daemon/feed.rs", "the thread that reads the journal for streams of the API"),
    ("src/daemon/history.rs", "the thread that writes the history"),
    ("src/daemon/reports.rs", "the thread that makes reports"),
    ("src/daemon/timers.rs", "the thread of the timers"),
    ("src/daemon/reload.rs", "the thread of reloads"),
    ("src/daemon/run.rs", "the main thread, which waits for the others"),
    ("src/daemon/drain.rs", "the main thread at its end"),
    ("src/daemon/supervise.rs", "it starts threads and waits for them"),
];

/// The part of a file that is not compiled for tests only.
fn program(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default()
}

fn is_async(text: &str) -> bool {
    program(text).lines().any(|line| {
        let code = line.split("//").next().unwrap_or_default();
        ["async fn ", "async move", "async {"].iter().any(|word| code.contains(word))
    })
}

#[test]
fn asynchronous_code_denies_what_blocks() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources = Sources::read(root, &["src"]).unwrap();
    let denies = |path: &str| sources.0.get(path).is_some_and(|text| text.contains(DENIES));
    let mut used = vec![false; OWN_THREADS.len()];
    for (path, _) in sources.0.iter().filter(|(path, text)| !path.ends_with("tests.rs") && is_async(text)) {
        let facade = format!("{}/mod.rs", path.rsplit_once('/').map_or("src", |(folder, _)| folder));
        let own = OWN_THREADS.iter().position(|(place, _)| path.starts_with(place));
        if let Some(at) = own {
            used[at] = true;
        }
        assert!(
            own.is_some() || denies(path) || denies(&facade),
            "{path} has asynchronous code; write #![cfg_attr(not(test), {DENIES})] at its head"
        );
        assert!(own.is_none() || !denies(path), "{path} is listed as one that may block, and denies it");
    }
    assert_eq!(used, [true; OWN_THREADS.len()], "entries that no file needs");
}
