//! Dead letters: outcomes of which the far end says that it can never take them. Kept in `dead/<sink>.jsonl` of the
//! journal directory, one JSON object a line with the reason, until somebody retries or drops them.
//!
//! A retry moves letters to `<sink>.retry`; the daemon takes that file as `<sink>.retrying` and removes it when all in
//! it were delivered or have died again. All of it happens under a lock, as the daemon and `trapline dead` both write.

use std::borrow::Cow;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::files::lock as lockfile;
use crate::outcome::json::{self, Json};
use crate::outcome::record::Record;

/// The size in bytes at which a sink's letters are moved aside as `.old`, over what was moved there before.
const MAX_SIZE: u64 = 64 << 20;

/// The dead letters of one sink.
#[derive(Debug, Clone)]
pub struct DeadLetters {
    folder: PathBuf,
    sink: String,
}

/// One dead letter.
#[derive(Debug, Clone, PartialEq)]
pub struct Letter(Value);

impl Letter {
    /// A letter about a record. `died` is in microseconds since 1970 UTC.
    pub fn new(record: &Record<'_>, sink: &str, reason: &str, died: i64) -> Self {
        let outcome = serde_json::to_value(Json(record)).unwrap_or_default();
        Letter(json!({
            "id": record.id(), "sink": sink, "died": crate::time::clock::rfc3339(died), "reason": reason, "outcome": outcome,
        }))
    }

    /// The id of the outcome.
    pub fn id(&self) -> &str {
        self.0["id"].as_str().unwrap_or_default()
    }

    /// Why the far end does not take it.
    pub fn reason(&self) -> &str {
        self.0["reason"].as_str().unwrap_or_default()
    }

    /// The whole letter.
    pub fn as_json(&self) -> &Value {
        &self.0
    }

    /// The record that it is about; none if somebody has changed the file.
    pub fn record(&self) -> Option<Record<'_>> {
        let (epoch, sequence) = self.id().split_once('-')?;
        Some(Record {
            epoch: u64::from_str_radix(epoch, 16).ok()?,
            sequence: sequence.parse().ok()?,
            outcome: json::outcome(&self.0["outcome"])?,
        })
    }
}

impl DeadLetters {
    /// The letters of a sink of this journal.
    pub fn new(journal: &Path, sink: &str) -> Self {
        DeadLetters { folder: journal.join("dead"), sink: sink.to_owned() }
    }

    /// The sinks of a journal that have letters.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn sinks(journal: &Path) -> io::Result<Vec<String>> {
        let entries = match std::fs::read_dir(journal.join("dead")) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut sinks = Vec::new();
        for entry in entries {
            let name = entry?.file_name();
            sinks.extend(name.to_str().and_then(|n| n.strip_suffix(".jsonl")).map(str::to_owned));
        }
        sinks.sort();
        Ok(sinks)
    }

    fn path(&self, suffix: &str) -> PathBuf {
        self.folder.join(format!("{}.{suffix}", self.sink))
    }

    fn lock(&self) -> io::Result<File> {
        std::fs::create_dir_all(&self.folder)?;
        lockfile::lock(&self.folder.join("lock"))
    }

    /// Adds letters; they are safe from a power cut when this returns.
    ///
    /// # Errors
    ///
    /// If they cannot be written.
    pub fn add(&self, letters: &[Letter]) -> io::Result<()> {
        let _lock = self.lock()?;
        let path = self.path("jsonl");
        if std::fs::metadata(&path).is_ok_and(|m| m.len() > MAX_SIZE) {
            std::fs::rename(&path, self.path("old"))?;
            tracing::error!(
                sink = self.sink,
                "{} has grown beyond 64 MiB and was moved to .old; see `trapline dead list`",
                path.display()
            );
        }
        append(&path, letters)
    }

    /// The letters that there are. What is no letter is left out.
    ///
    /// # Errors
    ///
    /// If the file cannot be read.
    pub fn list(&self) -> io::Result<Vec<Letter>> {
        read(&self.path("jsonl"))
    }

    /// Takes the letters out for which `chosen` is true, to be delivered again or, with `retry` false, for good.
    /// Returns how many.
    ///
    /// # Errors
    ///
    /// If the files cannot be written. Then nothing has changed, or letters are retried and still there.
    pub fn take(&self, retry: bool, chosen: impl Fn(&Letter) -> bool) -> io::Result<usize> {
        if !self.path("jsonl").exists() {
            // Nor is a folder to be made for it, by whoever asks.
            return Ok(0);
        }
        let _lock = self.lock()?;
        let (out, rest): (Vec<Letter>, Vec<Letter>) = self.list()?.into_iter().partition(chosen);
        if out.is_empty() {
            return Ok(0);
        }
        if retry {
            append(&self.path("retry"), &out)?;
        }
        if rest.is_empty() {
            std::fs::remove_file(self.path("jsonl"))?;
        } else {
            let new = self.path("new");
            let _ = std::fs::remove_file(&new);
            append(&new, &rest)?;
            std::fs::rename(new, self.path("jsonl"))?;
        }
        Ok(out.len())
    }

    /// Takes over the letters of a sink that has this name now.
    ///
    /// # Errors
    ///
    /// If the files cannot be written. Then some letters may still have the former name; this can be called again.
    pub fn adopt(&self, from: &str) -> io::Result<()> {
        if !self.folder.exists() {
            return Ok(());
        }
        let _lock = self.lock()?;
        let former = DeadLetters { folder: self.folder.clone(), sink: from.to_owned() };
        for suffix in ["jsonl", "retrying", "retry", "old"] {
            let (theirs, ours) = (former.path(suffix), self.path(suffix));
            if !theirs.exists() {
                continue;
            }
            if ours.exists() {
                append(&ours, &read(&theirs)?)?;
                std::fs::remove_file(&theirs)?;
            } else {
                std::fs::rename(&theirs, &ours)?;
            }
        }
        Ok(())
    }

    /// Whether letters wait to be delivered again.
    pub fn has_retries(&self) -> bool {
        self.path("retry").exists() || self.path("retrying").exists()
    }

    /// The letters to deliver again. They stay until [`DeadLetters::retried`].
    ///
    /// # Errors
    ///
    /// If the files cannot be used.
    pub fn retries(&self) -> io::Result<Vec<Letter>> {
        let _lock = self.lock()?;
        let (asked, taken) = (self.path("retry"), self.path("retrying"));
        if !taken.exists() && asked.exists() {
            std::fs::rename(asked, &taken)?;
        }
        read(&taken)
    }

    /// All that [`DeadLetters::retries`] gave were delivered or have died again.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn retried(&self) -> io::Result<()> {
        std::fs::remove_file(self.path("retrying"))
    }
}

fn append(path: &Path, letters: &[Letter]) -> io::Result<()> {
    let mut text = String::new();
    for letter in letters {
        text.push_str(&letter.0.to_string());
        text.push('\n');
    }
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let before = file.metadata()?.len();
    file.write_all(text.as_bytes()).inspect_err(|_| {
        // Half a line must not stand before its repeat.
        let _ = file.set_len(before);
    })?;
    if before == 0 {
        lockfile::give_to_folder(path);
    }
    file.sync_all()
}

fn read(path: &Path) -> io::Result<Vec<Letter>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut letters = Vec::new();
    for line in BufReader::new(file).split(b'\n') {
        letters.extend(serde_json::from_slice(&line?).ok().map(Letter));
    }
    Ok(letters)
}

/// What a sink reports of an outcome that the far end will never take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dead {
    /// Its sequence number.
    pub sequence: u64,
    /// Why, in the far end's words as far as it has any.
    pub reason: Cow<'static, str>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};

    fn common(output: &str) -> Common<'static> {
        Common {
            time: 1_795_176_000_123_456,
            rule: "r".into(),
            state: State::Critical,
            output: output.to_owned().into(),
            long_output: "more".into(),
            source: "192.0.2.1".into(),
        }
    }

    #[test]
    fn letters_are_kept_retried_and_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let dead = DeadLetters::new(dir.path(), "icinga");
        let check = Outcome::CheckResult(CheckResult {
            common: common("a\n\"b\""),
            host: "h".into(),
            service: Some("s".into()),
            perfdata: "x=1".into(),
        });
        let event = Outcome::Event(Event {
            common: common("e"),
            component: "c".into(),
            resource: None,
            fields: vec![("b".into(), "1".into()), ("a".into(), "2".into())],
        });
        let records = [check, event].map(|outcome| Record { epoch: 0xabc, sequence: 7, outcome });
        let letters: Vec<Letter> =
            records.iter().map(|r| Letter::new(r, "icinga", "no such host", 1)).collect();
        dead.add(&letters).unwrap();
        dead.add(&[Letter::new(&Record { sequence: 8, ..records[0].clone() }, "icinga", "x", 1)]).unwrap();
        let listed = dead.list().unwrap();
        assert_eq!(listed.len(), 3);
        for (letter, record) in listed.iter().zip(&records) {
            assert_eq!(letter.record().as_ref(), Some(record), "as it went in");
        }
        assert_eq!(DeadLetters::sinks(dir.path()).unwrap(), ["icinga"]);
        assert_eq!(dead.take(true, |letter| letter.id().ends_with("-7")).unwrap(), 2);
        assert_eq!((dead.list().unwrap().len(), dead.has_retries()), (1, true));
        assert_eq!(dead.retries().unwrap().len(), 2);
        assert_eq!(dead.retries().unwrap().len(), 2, "until they were retried");
        dead.retried().unwrap();
        assert!(!dead.has_retries());
        let renamed = DeadLetters::new(dir.path(), "icinga-2");
        renamed.add(&letters[..1]).unwrap();
        renamed.adopt("icinga").unwrap();
        renamed.adopt("icinga").unwrap();
        assert_eq!((renamed.list().unwrap().len(), dead.list().unwrap().len()), (2, 0));
        assert_eq!(DeadLetters::sinks(dir.path()).unwrap(), ["icinga-2"]);
        let dead = renamed;
        assert_eq!(dead.take(false, |_| true).unwrap(), 2);
        assert!(dead.list().unwrap().is_empty() && !dead.has_retries());
    }
}
