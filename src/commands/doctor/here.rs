//! What a configuration lacks on this machine, as `trapline check` says it.

use std::thread;

use super::finding::{Finding, Level};
use super::ports::{self, Daemon, Wanted};
use super::sockets::Bound;
use super::{facts, machine, probe, sockets};
use crate::commands::daemon::{PATIENCE, try_ask};
use crate::commands::greet;
use crate::config::Config;
use crate::daemon::control::Request;
use crate::daemon::needs::{TooFew, too_few};
use crate::inbound::descriptors;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Place, Severity};

/// What keeps the daemon from starting, or a sink from delivering, on this machine at the moment. All are warnings: who checks
/// may be another user, or be on another machine, than the daemon. Blocks.
pub fn obstacles(config: &Config) -> Diagnostics {
    let status = try_ask(&config.journal.directory, &Request::Status, Some(PATIENCE));
    let daemon = match &status {
        Ok(Some(status)) => status["pid"].as_u64().and_then(|id| u32::try_from(id).ok()),
        _ => None,
    };
    let mut found = Diagnostics::default();
    let file = config.file.as_ref().map_or("configuration".into(), |file| file.display().to_string());
    let mut warn = |place: Option<&Place>, what: String, remedy: String| {
        let hint = Some(remedy).filter(|remedy| !remedy.is_empty());
        let severity = Severity::Warning;
        found.push(match place {
            Some(place) => Diagnostic { severity, hint, ..place.error(what, "") },
            None => Diagnostic { severity, file: file.clone(), place: None, message: what, hint },
        });
    };
    let broken = |finding: &Finding| finding.level == Level::Error;

    let wanted = facts::wanted(config);
    let numbers: Vec<u16> = wanted.iter().map(|(wanted, _)| wanted.address.port()).collect();
    let bound = sockets::on_ports(&numbers);
    for (wanted, place) in &wanted {
        if let Some(finding) = taken(*wanted, &bound, daemon) {
            warn(*place, finding.what, finding.remedy);
        }
    }
    if daemon.is_none()
        && let Ok(limit) = descriptors::raise()
        && let Some(TooFew { what, remedy, .. }) = too_few(config, limit)
    {
        warn(None, what, remedy);
    }
    for finding in machine::journal(&facts::directory(config)).into_iter().filter(broken) {
        warn(config.journal_place.as_ref(), finding.what, finding.remedy);
    }
    for finding in facts::certificates(config, daemon).into_iter().filter(broken) {
        warn(None, finding.what, finding.remedy);
    }
    let refusals = greet::all(&config.sinks);
    let troubles: Vec<_> = thread::scope(|scope| {
        let ask = |(sink, refusal)| {
            let sink: &crate::config::sinks::SinkSection = sink;
            scope.spawn(move || probe::trouble(&sink.settings.sink.destination(), refusal).err())
        };
        let asked: Vec<_> = config.sinks.iter().zip(refusals).map(ask).collect();
        asked.into_iter().map(|one| one.join().unwrap_or_default()).collect()
    });
    for (sink, trouble) in config.sinks.iter().zip(troubles) {
        if let Some((what, remedy)) = trouble {
            let name = &sink.settings.name;
            warn(sink.place.as_ref(), format!("the sink '{name}' cannot deliver now: {what}"), remedy);
        }
    }
    found
}

/// Another program in the place of the daemon. That the daemon does not have an address yet is no obstacle: a reload binds it.
fn taken(wanted: Wanted, bound: &[Bound], daemon: Option<u32>) -> Option<Finding> {
    let is_other = |bound: &&Bound| match (daemon, &bound.owner) {
        (None, _) => true,
        (Some(id), Some(owner)) => owner.id != id,
        // Only root sees whose it is.
        (Some(_), None) => false,
    };
    let others: Vec<Bound> = bound.iter().filter(is_other).cloned().collect();
    let found = ports::one(&wanted, &others, Daemon::Not(0))?;
    (found.level == Level::Error && !wanted.optional).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::super::sockets::Process;
    use super::*;

    #[test]
    fn who_is_in_the_way() {
        let wanted = Wanted {
            section: "[snmp]",
            datagram: true,
            address: "0.0.0.0:162".parse().unwrap(),
            optional: false,
        };
        let bound = |owner: Option<u32>| {
            let owner = owner.map(|id| Process { id, name: "snmptrapd".to_owned() });
            [Bound { datagram: true, address: "0.0.0.0:162".parse().unwrap(), inode: 1, owner }]
        };
        for (owner, daemon, is_taken) in [
            (Some(9), None, true),
            (None, None, true),
            (Some(9), Some(7), true),
            (Some(7), Some(7), false),
            (None, Some(7), false),
        ] {
            assert_eq!(taken(wanted, &bound(owner), daemon).is_some(), is_taken, "{owner:?} {daemon:?}");
        }
        assert!(taken(wanted, &[], Some(7)).is_none());
        assert!(taken(Wanted { optional: true, ..wanted }, &bound(None), None).is_none());
    }
}
