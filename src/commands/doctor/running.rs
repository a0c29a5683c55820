//! What the running daemon says of itself.

use serde_json::Value;

use super::finding::{Finding, Level};
use crate::vitals::{Level as Judged, Limits, Vitals, judge};

const AREA: &str = "daemon";
/// For how long a daemon may have received nothing before that is a warning, in seconds.
const SILENCE: u64 = 300;
/// The most refused senders that are named.
const MOST_REFUSED: usize = 5;

/// What is to be said of the daemon's status.
pub fn judge_status(status: &Value, release: &str) -> Vec<Finding> {
    let mut findings = vec![of_vitals(status)];
    let theirs = status["version"].as_str().unwrap_or("?");
    if theirs != release {
        findings.push(Finding::warning(
            AREA,
            format!("the running daemon is release {theirs}, this program {release}"),
            "restart the daemon",
        ));
    }
    if let Some(error) = status["reloads"]["error"].as_str() {
        findings.push(Finding::error(
            AREA,
            format!("the last reload was refused, and the configuration from before is in force:\n{error}"),
            "correct what it says, and run `trapline reload`",
        ));
    }
    findings.extend(arrivals(status));
    findings.extend(refused(status));
    if let Some(count) = status["intake"]["unmatched"].as_u64().filter(|count| *count > 0) {
        findings.push(Finding::note(
            "arrival",
            format!("no rule matched {count} messages"),
            "see `trapline unmatched`",
        ));
    }
    for sink in status["unconfigured_sinks"].as_array().into_iter().flatten() {
        let name = sink["name"].as_str().unwrap_or("?");
        findings.push(Finding::warning(
            "sinks",
            format!(
                "sink '{name}' is not configured, and the journal keeps {} outcomes for it",
                sink["behind"]
            ),
            format!(
                "run `trapline sinks forget {name}`, or add was = \"{name}\" to the sink that replaces it"
            ),
        ));
    }
    findings
}

fn of_vitals(status: &Value) -> Finding {
    let up = format!("process {}, up {} s", status["pid"], status["uptime_seconds"]);
    let Ok(vitals) = serde_json::from_value::<Vitals>(status["vitals"].clone()) else {
        return Finding::error(AREA, format!("it is of an older release ({up})"), "restart it");
    };
    let judgement = judge(&vitals, &Limits::default());
    let level = match judgement.level {
        Judged::Ok => Level::Good,
        Judged::Warning => Level::Warning,
        Judged::Critical | Judged::Unknown => Level::Error,
    };
    let remedy = match level {
        Level::Good => String::new(),
        _ => "see `trapline status` and the log; docs/health.md explains each sign".to_owned(),
    };
    Finding { level, area: AREA, what: format!("{} ({up})", judgement.text), remedy }
}

/// Whether anything arrives.
fn arrivals(status: &Value) -> Vec<Finding> {
    let up = status["uptime_seconds"].as_u64().unwrap_or(0);
    let one = |counter: &str, what: &str, port: u16, send: &str| {
        let count = status["intake"][counter].as_u64().unwrap_or(0);
        if count > 0 {
            return Finding::good("arrival", format!("{count} {what} have arrived in {up} s"));
        }
        let what = format!("no {what} have arrived since the start, {up} s ago");
        let remedy = format!(
            "try `{send}`; see with `tcpdump -ni any udp port {port}` whether devices send here; look at the firewall (`nft list ruleset`)"
        );
        if up < SILENCE {
            Finding::note("arrival", what, remedy)
        } else {
            Finding::warning("arrival", what, remedy)
        }
    };
    vec![
        one("snmp_received", "SNMP messages", 162, "trapline send trap SNMPv2-MIB::coldStart"),
        one("syslog_received", "syslog messages", 514, "trapline send syslog '<13>hello'"),
    ]
}

fn refused(status: &Value) -> Vec<Finding> {
    let sources = status["refused"]["sources"].as_array().map_or(&[][..], Vec::as_slice);
    let one = |source: &Value| {
        let reasons = source["reasons"].as_object().into_iter().flatten();
        let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{count} {reason}")).collect();
        let address = source["source"].as_str().unwrap_or("?");
        Finding::warning(
            "refused",
            format!("messages of {address} are refused: {}", reasons.join(", ")),
            "correct the device, or let it in by [snmp] communities, users or allow; docs/snmpv3.md explains the reasons",
        )
    };
    let mut findings: Vec<Finding> = sources.iter().take(MOST_REFUSED).map(one).collect();
    let known = status["refused"]["known_sources"].as_u64().unwrap_or(0);
    if let Some(more) = known.checked_sub(MOST_REFUSED as u64).filter(|more| *more > 0) {
        findings.push(Finding::note(
            "refused",
            format!("messages of {more} more senders are refused"),
            "see `trapline status`",
        ));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(received: u64, up: u64) -> Value {
        json!({
            "version": "1.0", "pid": 7, "uptime_seconds": up, "vitals": Vitals::default(),
            "intake": { "snmp_received": received, "syslog_received": received, "unmatched": 0 },
            "reloads": { "error": null }, "refused": { "sources": [], "known_sources": 0 }, "unconfigured_sinks": [],
        })
    }

    fn levels(status: &Value) -> Vec<Level> {
        judge_status(status, "1.0").iter().map(|finding| finding.level).collect()
    }

    #[test]
    fn a_daemon_that_is_well() {
        assert_eq!(levels(&status(3, 1000)), [Level::Good; 3]);
        assert_eq!(levels(&status(0, 10)), [Level::Good, Level::Note, Level::Note]);
        assert_eq!(levels(&status(0, 1000)), [Level::Good, Level::Warning, Level::Warning]);
    }

    #[test]
    fn each_sign_is_said_with_a_remedy() {
        let source = json!({ "source": "192.0.2.7", "reasons": { "wrong_community": 3 } });
        let vitals = Vitals { broken: vec!["the journal takes no outcomes".to_owned()], ..Vitals::default() };
        for (path, value, level, says) in [
            ("/version", json!("0.9"), Level::Warning, "release 0.9"),
            ("/reloads/error", json!("t.toml:1:1: error"), Level::Error, "t.toml:1:1"),
            ("/intake/unmatched", json!(5), Level::Note, "5 messages"),
            (
                "/unconfigured_sinks",
                json!([{ "name": "old", "behind": 4 }]),
                Level::Warning,
                "keeps 4 outcomes",
            ),
            (
                "/refused",
                json!({ "sources": vec![source; 9], "known_sources": 9 }),
                Level::Warning,
                "3 wrong_community",
            ),
            ("/vitals", json!(vitals), Level::Error, "takes no outcomes"),
            ("/vitals", Value::Null, Level::Error, "older release"),
        ] {
            let mut status = status(3, 1000);
            *status.pointer_mut(path).unwrap() = value;
            let findings = judge_status(&status, "1.0");
            let said = findings.iter().find(|finding| finding.what.contains(says));
            let said = said.unwrap_or_else(|| panic!("{path}: {findings:?}"));
            assert_eq!(said.level, level, "{said:?}");
            assert!(!said.remedy.is_empty() && findings.len() <= 10, "{findings:?}");
        }
        // An answer that is none.
        assert!(!judge_status(&Value::Null, "1.0").is_empty());
    }
}
