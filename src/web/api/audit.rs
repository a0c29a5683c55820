//! Who has changed what: a line of JSON for each request that changes something, and for each wrong token.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;

use serde_json::{Value, json};

use crate::files::entries::JSON_LINES;
use crate::files::{AppendLog, Folder};
use crate::time::clock::{Wall, rfc3339};

/// The file of the state directory, and the one before it.
const FILE: &str = "audit.jsonl";
const BEFORE: &str = "audit.jsonl.1";
/// How large a file becomes, in octets.
const LARGEST: u64 = 4 << 20;

/// What was asked, and what became of it.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'e> {
    /// The name of the token; none for a wrong one.
    pub token: Option<&'e str>,
    /// Its role.
    pub role: &'static str,
    /// From where it was asked.
    pub address: IpAddr,
    /// The method.
    pub method: &'e str,
    /// The path, still encoded: it has no control characters.
    pub path: &'e str,
    /// The status of the answer; none for what is about to be carried out.
    pub status: Option<u16>,
    /// What tells a change from others: when it was asked for, in microseconds since 1970 UTC. None for what is noted once.
    pub asked: Option<i64>,
}

/// Appends an entry; it is on disk when this returns. Blocks.
///
/// # Errors
///
/// If it cannot be written.
pub fn append(folder: &Folder, now: Wall, entry: &Entry<'_>) -> io::Result<()> {
    let (mut log, _) = AppendLog::open_shared(folder, FILE, JSON_LINES)?;
    if log.length() >= LARGEST {
        drop(log);
        folder.rename(FILE, BEFORE)?;
        log = AppendLog::open_shared(folder, FILE, JSON_LINES)?.0;
    }
    let mut line = json!({
        "time": rfc3339(now.micros()),
        "token": entry.token,
        "role": entry.role,
        "address": entry.address,
        "method": entry.method,
        "path": entry.path.chars().take(500).collect::<String>(),
        "status": entry.status,
    });
    if let Some(asked) = entry.asked {
        line["asked"] = asked.into();
    }
    log.append_synced([line.to_string().as_bytes()]).map(drop)
}

/// The last entries, the newest first. Blocks.
///
/// # Errors
///
/// If a file cannot be read.
pub fn last(folder: &Folder, most: usize) -> io::Result<Vec<Value>> {
    let mut found = VecDeque::new();
    for name in [BEFORE, FILE] {
        if !folder.exists(name) {
            continue;
        }
        let text = folder.read(name, 2 * LARGEST)?;
        for line in text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let Ok(entry) = serde_json::from_slice::<Value>(line) else { continue };
            let same = ["asked", "address", "path", "method"];
            let is_begin = |known: &Value| {
                known["status"].is_null() && same.iter().all(|name| known[name] == entry[name])
            };
            // What has become of a change takes the place of its announcement.
            match found.iter().position(is_begin).filter(|_| entry["asked"].is_number()) {
                Some(at) => found[at] = entry,
                None => found.push_front(entry),
            }
            found.truncate(most);
        }
    }
    Ok(found.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_changed_is_kept_and_bounded() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        let entry = |path| Entry {
            token: Some("ops"),
            role: "operate",
            address: "192.0.2.1".parse().unwrap(),
            method: "POST",
            path,
            status: Some(200),
            asked: None,
        };
        append(&folder, Wall::from_micros(0), &entry("/api/v1/reload")).unwrap();
        std::fs::write(dir.path().join(FILE), vec![b'\n'; LARGEST as usize]).unwrap();
        append(&folder, Wall::from_micros(0), &entry("/a")).unwrap();
        append(&folder, Wall::from_micros(0), &entry("/b")).unwrap();
        let last = last(&folder, 1).unwrap();
        assert_eq!((last.len(), &last[0]["path"]), (1, &json!("/b")));
        assert!(dir.path().join(BEFORE).exists());
        let of_change = |status, asked| Entry { status, asked: Some(asked), ..entry("/c") };
        for (status, asked) in [(None, 7), (None, 8), (Some(200), 7)] {
            append(&folder, Wall::from_micros(0), &of_change(status, asked)).unwrap();
        }
        let last = super::last(&folder, 3).unwrap();
        let status: Vec<&Value> = last.iter().map(|entry| &entry["status"]).collect();
        assert_eq!(status, [&Value::Null, &json!(200), &json!(200)], "one was never carried out: {last:?}");
    }
}
