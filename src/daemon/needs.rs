//! What descriptors a configuration needs, and whether the limit leaves them.

use crate::config::Config;
use crate::inbound::descriptors::{self, Needs};
use crate::settings::diagnostic::Diagnostics;

/// The descriptors that the sinks of a configuration need.
pub fn of_sinks(config: &Config) -> Needs {
    let connections = config.sinks.iter().map(|sink| sink.settings.sink.limits().lanes.max(1)).sum();
    Needs { sockets: 0, sinks: config.sinks.len(), connections }
}

/// What is wrong with a limit of descriptors for a configuration, and what to do.
#[derive(Debug, PartialEq, Eq)]
pub struct TooFew {
    /// Whether the daemon cannot work with it: threads could not begin, and sinks could not open what they deliver from.
    pub fatal: bool,
    /// What is wrong.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// What is to be said if a limit leaves fewer descriptors than a configuration needs.
pub fn too_few(config: &Config, limit: usize) -> Option<TooFew> {
    let sockets = config.listeners().map(|one| match one.transport.udp() {
        Some(_) => one.limits.receivers,
        None => 1,
    });
    let needs = Needs { sockets: sockets.sum(), ..of_sinks(config) };
    let streams = config.listeners().filter(|one| one.transport.udp().is_none());
    let wanted: Vec<usize> = streams.map(|one| one.limits.max_connections).collect();
    let (least, fatal) = (needs.least(), limit < needs.least());
    if !fatal && descriptors::shares(limit, &needs, &wanted) == wanted {
        return None;
    }
    let what = if fatal {
        format!(
            "the limit of {limit} descriptors is too low: the daemon needs {least} for its threads, listeners and sinks"
        )
    } else {
        format!("the limit of {limit} descriptors leaves fewer streams than max_connections")
    };
    let enough = needs.reserve() + wanted.iter().sum::<usize>();
    Some(TooFew {
        fatal,
        what,
        remedy: format!("raise it to {enough} (LimitNOFILE= of the unit, `ulimit -n`)"),
    })
}

/// Refuses a configuration that the daemon cannot work with under this limit.
///
/// # Errors
///
/// What is wrong.
pub fn suffice(config: &Config, limit: usize) -> Result<(), Diagnostics> {
    let Some(TooFew { what, remedy, .. }) = too_few(config, limit).filter(|found| found.fatal) else {
        return Ok(());
    };
    let mut found = Diagnostics::default();
    let file = config.file.as_ref().map_or("trapline".into(), |file| file.display().to_string());
    found.file_error(&file, what, &remedy);
    Err(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_for_the_streams_and_for_the_daemon() {
        let config = Config::default();
        assert_eq!(too_few(&config, 1 << 20), None);
        let few = too_few(&config, 400).unwrap();
        assert!(few.what.contains("400") && few.remedy.contains("LimitNOFILE") && !few.fatal, "{few:?}");
        assert!(suffice(&config, 400).is_ok());
        for limit in [0, 64, 128] {
            let said = suffice(&config, limit).unwrap_err().to_text();
            assert!(said.contains(&format!("the limit of {limit} descriptors is too low")), "{said}");
        }
    }
}
