//! Entries of systemd's journal, by `journalctl --follow`, which knows all versions of its files.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::watch;
use tokio::time::sleep;

use super::entry::{self, Entry, Refused};
use super::feed::Feed;
use super::settings::Start;
use super::store::Mark;
use crate::time::backoff::Backoff;

/// The first and the longest pause before journalctl is started again.
const PAUSES: [Duration; 2] = [Duration::from_millis(500), Duration::from_secs(30)];
/// The longest entry, in octets.
const LONGEST: usize = 4 << 20;
/// How long nothing may come before it is written where reading goes on.
const QUIET: Duration = Duration::from_secs(1);

/// A process that ends with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn journalctl(directory: Option<&Path>, matches: &[String]) -> Command {
    let mut command = Command::new("journalctl");
    command.args(["--output=json", "--all", "--quiet", "--no-pager"]);
    if let Some(directory) = directory {
        command.arg(format!("--directory={}", directory.display()));
    }
    command.args(matches).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command
}

/// Follows the journal for good.
pub(super) async fn follow(
    mut feed: Feed,
    directory: Option<&Path>,
    matches: &[String],
    mut stop: watch::Receiver<bool>,
) {
    let mut backoff = Backoff::new(PAUSES[0], PAUSES[1]);
    loop {
        let read = read(&mut feed, directory, matches, &mut stop).await;
        if *stop.borrow() {
            return;
        }
        let why = match read {
            Ok(read) => {
                if read {
                    backoff.reset();
                }
                "journalctl has ended".to_owned()
            }
            Err(error) => format!("cannot run journalctl: {error}"),
        };
        feed.failed(&format!(
            "{why}; it is tried again; see whether this user may read the journal (group systemd-journal)"
        ));
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return,
            () = sleep(backoff.next_pause()) => {}
        }
    }
}

/// The last entry of the journal.
fn newest(directory: Option<&Path>, matches: &[String]) -> io::Result<Option<String>> {
    let output = journalctl(directory, matches).arg("--lines=1").output()?;
    let cursor = |json| entry::read(json).map_or_else(|refused| refused.cursor, |entry| Some(entry.cursor));
    Ok(output.stdout.split(|octet| *octet == b'\n').find_map(cursor))
}

/// What journalctl has printed and nobody has taken yet.
#[derive(Debug, Default)]
struct Printed {
    octets: Vec<u8>,
    /// How much of it was taken.
    taken: usize,
    /// Whether the rest of an entry that is too long is passed over.
    skips: bool,
}

impl Printed {
    /// The next entry; none until more is printed.
    fn next(&mut self) -> Option<Result<Entry, Refused>> {
        let too_long = Err(Refused { cursor: None, why: "it is longer than 4 MiB" });
        while let Some(length) = self.octets[self.taken..].iter().position(|octet| *octet == b'\n') {
            let json = &self.octets[self.taken..self.taken + length];
            self.taken += length + 1;
            if std::mem::take(&mut self.skips) || json.is_empty() {
                continue;
            }
            return Some(if length > LONGEST { too_long } else { entry::read(json) });
        }
        self.octets.drain(..self.taken);
        self.taken = 0;
        if self.octets.len() > LONGEST {
            self.octets.clear();
            return (!std::mem::replace(&mut self.skips, true)).then_some(too_long);
        }
        None
    }
}

/// Runs journalctl until it ends; whether an entry has come.
async fn read(
    feed: &mut Feed,
    directory: Option<&Path>,
    matches: &[String],
    stop: &mut watch::Receiver<bool>,
) -> io::Result<bool> {
    let mut cursor = match feed.mark() {
        Some(Mark::Cursor(cursor)) => Some(cursor),
        _ if feed.source.start == Start::End => newest(directory, matches)?,
        _ => None,
    };
    if let Some(cursor) = &cursor {
        feed.save(Mark::Cursor(cursor.clone()));
    }
    let mut command = journalctl(directory, matches);
    command.args(["--follow", "--no-tail"]);
    if let Some(cursor) = &cursor {
        command.arg(format!("--after-cursor={cursor}"));
    }
    let mut running = Running(command.spawn()?);
    let Some(output) = running.0.stdout.take() else { return Ok(false) };
    let mut output = Receiver::from_owned_fd(OwnedFd::from(output))?;
    feed.works();
    let (mut printed, mut has_read, mut saved) = (Printed::default(), false, true);
    loop {
        // While nothing comes and nothing is to be written, nothing wakes this up.
        let quiet = async {
            if saved {
                std::future::pending::<()>().await;
            } else {
                sleep(QUIET).await;
            }
        };
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => break,
            read = output.read_buf(&mut printed.octets) => if read? == 0 { break },
            () = quiet => {
                if let Some(cursor) = &cursor {
                    feed.save(Mark::Cursor(cursor.clone()));
                }
                saved = true;
                continue;
            }
        }
        has_read = true;
        let mut next = cursor.clone();
        feed.begin();
        while let Some(entry) = printed.next() {
            match entry {
                Ok(entry) => {
                    feed.line(&entry.line, true);
                    next = Some(entry.cursor);
                }
                Err(refused) => {
                    feed.refused(&refused, next.as_deref());
                    next = refused.cursor.or(next);
                }
            }
            if feed.is_full() {
                break;
            }
        }
        // What is not safe is read again from the last cursor on.
        if feed.commit().await.is_err() {
            return Ok(has_read);
        }
        saved &= next == cursor;
        cursor = next;
        if let (true, false, Some(cursor)) = (feed.is_due(), saved, &cursor) {
            feed.save(Mark::Cursor(cursor.clone()));
            saved = true;
        }
    }
    if let (false, Some(cursor)) = (saved, cursor) {
        feed.save(Mark::Cursor(cursor));
    }
    Ok(has_read)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(printed: &mut Printed) -> Vec<Result<String, &'static str>> {
        let one =
            |entry: Result<Entry, Refused>| entry.map(|entry| entry.cursor).map_err(|refused| refused.why);
        std::iter::from_fn(|| printed.next()).map(one).collect()
    }

    #[test]
    fn an_entry_that_is_too_long_is_refused_once_and_the_next_is_read() {
        let entry = |cursor: &str, length: usize| {
            format!("{{\"__CURSOR\":\"{cursor}\",\"MESSAGE\":\"{}\"}}\n", "x".repeat(length)).into_bytes()
        };
        let text = [
            entry("a", 10),
            b"\n".to_vec(),
            entry("b", 2 * LONGEST),
            entry("c", LONGEST / 2),
            b"x\n".to_vec(),
            entry("d", 1),
        ];
        let text = text.concat();
        for chunk in [1 << 16, LONGEST - 1, text.len()] {
            let mut printed = Printed::default();
            let mut given = Vec::new();
            for octets in text.chunks(chunk) {
                printed.octets.extend_from_slice(octets);
                given.extend(all(&mut printed));
            }
            let wanted = [
                Ok("a".to_owned()),
                Err("it is longer than 4 MiB"),
                Ok("c".to_owned()),
                Err("what journalctl prints is no JSON object"),
                Ok("d".to_owned()),
            ];
            assert_eq!(given, wanted, "{chunk}");
            assert!(printed.octets.is_empty() && !printed.skips);
        }
    }
}
