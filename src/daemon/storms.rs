//! Reports storms: as passive results of the hosts that send them, and in the log. What is under way is kept in a file.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::borrow::Cow;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use super::supervise::{Stop, told};
use crate::files::Folder;
use crate::intake::Shared;
use crate::intake::commit::{Committed, Refused};
use crate::intake::made::Made;
use crate::intake::storms::{Kept, LOOK, Report, Stage};
use crate::outcome::result::{CheckResult, Common, Labels, Outcome, State};
use crate::time::clock::Now;

/// The rule that its results name.
pub const RULE: &str = "storm";
/// The service, where there are no settings any more.
const SERVICE: &str = "Message storm";
/// The file of the state directory.
const FILE: &str = "storms.json";
/// The largest file that is read, in octets.
const LARGEST: u64 = 1 << 20;

/// Goes on with the storms that an earlier process has left. Called before messages are received.
pub fn resume(shared: &Shared) {
    match read(shared.journal.directory()) {
        Ok(left) if left.is_empty() => {}
        Ok(left) => shared.storms.resume(left, shared.now()),
        Err(error) => tracing::warn!(
            %error,
            "cannot read {FILE}: storms that were under way get no end; the first result of the service corrects it"
        ),
    }
}

/// Reports until told to stop. Sleeps while there is no storm. Blocks.
pub async fn report(shared: Arc<Shared>, mut stop: Stop) {
    let mut unsaid = true;
    loop {
        if shared.storms.any() {
            // To stop comes first, as in all loops here: a simulation repeats what has an order.
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        } else {
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                () = shared.storms.begun() => {}
            }
        }
        look(&shared, &mut unsaid);
    }
}

/// Looks once at all storms, and reports what there is to report.
fn look(shared: &Shared, unsaid: &mut bool) {
    let (now, active) = (shared.now(), shared.active());
    let reports = shared.storms.look(now, active.storm.as_ref(), |address| host_of(shared, address, now));
    if reports.is_empty() {
        return;
    }
    // Before the results: an end without a begin does no harm, a begin without an end does.
    let ended: Vec<Kept> = reports.iter().filter_map(|report| report.ended.clone()).collect();
    keep_with(shared, &ended, unsaid);
    let service = active.storm.as_ref().map_or(SERVICE, |storm| &storm.service);
    let mut made = Made::default();
    for report in &reports {
        match report.stage {
            Stage::Begins => {
                shared.stats.storms.add(1);
                tracing::warn!(host = report.host, "{}", report.text);
            }
            Stage::Lasts | Stage::Over => tracing::info!(host = report.host, "{}", report.text),
        }
        if report.address.is_some() {
            made.batch.push(&result(report, service, now));
        }
    }
    // What is refused waits with what else is refused.
    let committed = shared.commit.batch(now, &mut made, Refused::Queues);
    // An end that a crash or a power cut could still take comes again after it.
    let is_there = matches!(committed, Committed::Synced | Committed::Written);
    if !ended.is_empty() && is_there && shared.journal.sync(u64::MAX).is_ok() {
        keep(shared, unsaid);
    }
}

/// The host of an address, as messages from there get it that name no other.
fn host_of(shared: &Shared, address: IpAddr, now: Now) -> String {
    let hosts = &shared.hosts();
    if let Some(name) = hosts.of_address(address) {
        return name.to_owned();
    }
    let name = if hosts.reverse_dns { shared.reverse.name(address, now.mono) } else { None };
    name.unwrap_or_else(|| address.to_string())
}

/// The result that says it.
fn result<'r>(report: &'r Report, service: &'r str, now: Now) -> Outcome<'r> {
    let state = if report.stage == Stage::Over && !report.others { State::Ok } else { State::Warning };
    Outcome::CheckResult(CheckResult {
        common: Common {
            time: now.wall.micros(),
            rule: Cow::Borrowed(RULE),
            state,
            output: Cow::Borrowed(&report.text),
            long_output: Cow::Borrowed(""),
            source: report
                .address
                .map_or_else(|| Cow::Borrowed(""), |address| Cow::Owned(address.to_string())),
            labels: Labels::default(),
        },
        host: report.host.as_str().into(),
        service: Some(service.into()),
        perfdata: Cow::Borrowed(""),
    })
}

/// Writes the storms that are under way; `unsaid` says whether a failure is still to be logged.
pub fn keep(shared: &Shared, unsaid: &mut bool) {
    keep_with(shared, &[], unsaid);
}

/// The same, with storms that have ended, which is not journaled yet.
fn keep_with(shared: &Shared, ended: &[Kept], unsaid: &mut bool) {
    let mut all = shared.storms.kept();
    all.extend_from_slice(ended);
    let result = write(shared.journal.directory(), &all);
    match result {
        Ok(()) => *unsaid = true,
        Err(error) if std::mem::take(unsaid) => {
            tracing::warn!(%error, "cannot write {FILE}: a crash leaves storms without an end; check the disk");
        }
        Err(_) => {}
    }
}

fn read(directory: &Path) -> io::Result<Vec<Kept>> {
    match Folder::existing(directory).and_then(|folder| folder.read(FILE, LARGEST)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn write(directory: &Path, storms: &[Kept]) -> io::Result<()> {
    let folder = Folder::existing(directory)?;
    if storms.is_empty() {
        return match folder.remove(FILE) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        };
    }
    folder.replace(FILE, |file| serde_json::to_writer(file, storms).map_err(io::Error::from))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
    use crate::time::clock::TestClock;

    /// A crash while its end waits for the journal, or just before, must leave somebody who says it.
    #[test]
    fn a_storm_is_kept_until_the_journal_has_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 20, when_full: WhenFull::Refuse };
        let (journal, _) = Journal::open(options, 7).unwrap();
        let cursor = journal.register("slow").unwrap();
        let clock = Arc::new(TestClock::default());
        let shared = Shared::new(journal.clone(), SyncPolicy::Never, clock.clone());
        let fill = |output: &str| {
            let mut made = Made::default();
            let full = Report {
                address: None,
                host: "h".into(),
                stage: Stage::Lasts,
                others: false,
                text: output.repeat(1000),
                ended: None,
            };
            made.batch.push(&result(&full, "s", shared.now()));
            shared.commit.batch(shared.now(), &mut made, Refused::Queues)
        };
        while fill("x") != Committed::Kept {}
        let storm = Kept {
            address: "192.0.2.1".parse().unwrap(),
            what: "syslog".into(),
            host: "h".into(),
            since: 0,
            total: 5,
            left_out: 2,
        };
        // Without settings it ends.
        shared.storms.resume(vec![storm.clone()], shared.now());
        look(&shared, &mut true);
        assert!(!shared.storms.any() && shared.refusing());
        assert_eq!(read(dir.path()).unwrap(), std::slice::from_ref(&storm));
        // There is room again.
        cursor.advance(journal.next()).unwrap();
        journal.clean();
        clock.advance(Duration::from_mins(1));
        shared.commit.retry(shared.now());
        shared.storms.resume(vec![storm], shared.now());
        look(&shared, &mut true);
        assert_eq!(read(dir.path()).unwrap(), []);
    }
}
