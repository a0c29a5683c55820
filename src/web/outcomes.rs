//! `/metrics/outcomes`: what is not ok, a metric for each host and service. Bounded, and off unless it is asked for: it names hosts to
//! whoever asks, and each is a series of the server that asks.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::files::Folder;
use crate::history::HistoryError;
use crate::history::filter::time;
use crate::history::series::{self, Wanted};
use crate::outcome::result::State;

/// How many problems there are at most.
pub const MOST: usize = 10_000;
/// How long a look at the history may take.
const LONG: Duration = Duration::from_secs(2);

/// The text for Prometheus, out of the current states of a history. Blocks.
///
/// # Errors
///
/// If the history cannot be read, or that takes too long.
pub fn read(folder: &Folder) -> Result<String, HistoryError> {
    let bad = State::ALL.into_iter().filter(|state| !state.is_good()).collect();
    let wanted = Wanted { states: bad, ..Wanted::default() };
    let begun = Instant::now();
    let is_over = Arc::new(move || begun.elapsed() > LONG);
    let (problems, more) = series::states(folder, &wanted, MOST, Some(is_over))?;
    Ok(text(&problems, more))
}

/// A problem: its state, and when it began in microseconds since 1970 UTC.
type Began = (State, i64);

fn text(problems: &[Value], more: bool) -> String {
    // A host without service and one whose service has no name would be the same series: the worse one is told.
    let mut all: BTreeMap<(&str, &str), Began> = BTreeMap::new();
    for problem in problems {
        let word = |name: &str| problem[name].as_str().unwrap_or_default();
        let Some(state) = State::ALL.into_iter().find(|state| state.as_str() == word("status")) else {
            continue;
        };
        let began = time(word("since")).unwrap_or(0);
        let one = all.entry((word("host"), word("service"))).or_insert((state, began));
        if state.severity() > one.0.severity() {
            *one = (state, began);
        }
    }
    let mut out = String::from(
        "# HELP trapline_open_problem_since_seconds When a host or service that is not ok became so, in seconds since 1970.\n\
         # TYPE trapline_open_problem_since_seconds gauge\n",
    );
    for ((host, service), (state, began)) in &all {
        let _ = writeln!(
            out,
            "trapline_open_problem_since_seconds{{host=\"{}\",service=\"{}\",state=\"{}\"}} {}.{:06}",
            label(host),
            label(service),
            state.as_str(),
            began.div_euclid(1_000_000),
            began.rem_euclid(1_000_000)
        );
    }
    let _ = write!(
        out,
        "# HELP trapline_open_problems_cut Whether there are more problems than are listed.\n\
         # TYPE trapline_open_problems_cut gauge\ntrapline_open_problems_cut {}\n",
        u8::from(more)
    );
    out
}

/// The value of a label: quotes, backslashes and line breaks are escaped.
fn label(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            // Some readers end a line here.
            '\r' | '\0' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn problem(host: &str, service: Option<&str>, status: &str) -> Value {
        json!({ "host": host, "service": service, "status": status, "since": "2026-11-26T12:00:00.5Z" })
    }

    #[test]
    fn each_host_and_service_is_one_series_and_what_is_cut_is_said() {
        let all = [
            problem("a", None, "unreachable"),
            problem("a", Some(""), "critical"),
            problem("a", Some("Fan \"1\"\\\n"), "warning"),
        ];
        insta::assert_snapshot!(text(&all, true), @r#"
        # HELP trapline_open_problem_since_seconds When a host or service that is not ok became so, in seconds since 1970.
        # TYPE trapline_open_problem_since_seconds gauge
        trapline_open_problem_since_seconds{host="a",service="",state="critical"} 1795694400.500000
        trapline_open_problem_since_seconds{host="a",service="Fan \"1\"\\\n",state="warning"} 1795694400.500000
        # HELP trapline_open_problems_cut Whether there are more problems than are listed.
        # TYPE trapline_open_problems_cut gauge
        trapline_open_problems_cut 1
        "#);
    }

    proptest! {
        #[test]
        fn names_forge_no_line_and_no_label(host in any::<String>(), service in "[\"\\\\\\n\\r{}=, a]{0,12}") {
            let made = text(&[problem(&host, Some(&service), "down")], false);
            let lines: Vec<&str> = made.split(['\n', '\r']).filter(|line| !line.starts_with('#')).collect();
            prop_assert_eq!(lines.len(), 3, "two metrics, and nothing behind the last line break");
            let quotes = lines[0].replace("\\\\", "").replace("\\\"", "").matches('"').count();
            prop_assert_eq!(quotes, 6);
        }
    }
}
