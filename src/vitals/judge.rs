//! The judgement, as a Nagios plugin gives it (Monitoring Plugins Development Guidelines, sections 2 and 3).

use std::fmt::Write as _;
use std::time::Duration;

use crate::outcome::name::{breaks_line, turns};
use crate::outcome::result::State;
use crate::vitals::signs::Vitals;

/// The most reasons that are given.
const MOST_REASONS: usize = 8;
/// The longest reason, in characters.
const LONGEST_REASON: usize = 300;

/// How well the daemon is, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    Ok,
    /// Something needs attention.
    Warning,
    /// Something is lost or does not work.
    Critical,
    /// Nobody knows.
    Unknown,
}

impl Level {
    /// The name that plugins print.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "OK",
            Level::Warning => "WARNING",
            Level::Critical => "CRITICAL",
            Level::Unknown => "UNKNOWN",
        }
    }

    /// The exit status of a plugin: 0 to 3.
    pub fn exit_status(self) -> u8 {
        self as u8
    }

    /// The state of a service.
    pub fn state(self) -> State {
        match self {
            Level::Ok => State::Ok,
            Level::Warning => State::Warning,
            Level::Critical => State::Critical,
            Level::Unknown => State::Unknown,
        }
    }
}

/// From which age of an outcome that a sink has not delivered on there is a warning, and something critical.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Warning.
    pub warning: Duration,
    /// Critical.
    pub critical: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { warning: Duration::from_mins(5), critical: Duration::from_hours(1) }
    }
}

/// What is said of the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// The worst of the reasons.
    pub level: Level,
    /// One line without control characters and without `|`: the reasons, the worst first.
    pub text: String,
    /// Performance data.
    pub perfdata: String,
}

impl Judgement {
    /// A judgement without numbers.
    pub fn without_numbers(level: Level, text: &str) -> Self {
        Judgement { level, text: clean(text), perfdata: String::new() }
    }

    /// The line of a plugin.
    pub fn line(&self) -> String {
        let Judgement { level, text, perfdata } = self;
        let bar = if perfdata.is_empty() { "" } else { " | " };
        format!("TRAPLINE {} - {text}{bar}{perfdata}", level.as_str())
    }
}

/// Judges the daemon.
pub fn judge(vitals: &Vitals, limits: &Limits) -> Judgement {
    let mut reasons = reasons(vitals, limits);
    // Sorting is stable: of one level they stay in their order.
    reasons.sort_by_key(|(level, _)| std::cmp::Reverse(*level));
    let level = reasons.first().map_or(Level::Ok, |(level, _)| *level);
    let text = if reasons.is_empty() {
        let Vitals { rules, sinks, .. } = vitals;
        let behind: u64 = sinks.iter().map(|sink| sink.behind).sum();
        format!("{rules} rules, {} sinks, {behind} outcomes to deliver", sinks.len())
    } else {
        let mut text: Vec<String> =
            reasons.iter().take(MOST_REASONS).map(|(_, reason)| clean(reason)).collect();
        if reasons.len() > MOST_REASONS {
            text.push(format!("and {} more", reasons.len() - MOST_REASONS));
        }
        text.join("; ")
    };
    Judgement { level, text, perfdata: perfdata(vitals, limits) }
}

fn reasons(vitals: &Vitals, limits: &Limits) -> Vec<(Level, String)> {
    let mut reasons: Vec<(Level, String)> = Vec::new();
    reasons.extend(vitals.broken.iter().map(|what| (Level::Critical, what.clone())));
    reasons.extend(vitals.passing.iter().map(|what| (Level::Warning, what.clone())));
    let recent = &vitals.recent;
    let minutes = vitals.recent_seconds.div_ceil(60).max(1);
    let grown = [
        (Level::Critical, recent.lost, "outcomes lost"),
        (Level::Critical, recent.expired, "outcomes dropped because the journal was full"),
        (Level::Critical, recent.dropped, "messages lost before they were processed"),
        (Level::Warning, recent.dead, "dead letters"),
        (Level::Warning, recent.rule_errors, "fields of rules not computed"),
    ];
    for (level, count, what) in grown {
        if count > 0 {
            reasons.push((level, format!("{count} {what} in {minutes} min")));
        }
    }
    for sink in &vitals.sinks {
        let age = Duration::try_from_secs_f64(sink.age_seconds).unwrap_or_default();
        let level = match age {
            age if age >= limits.critical => Some(Level::Critical),
            age if age >= limits.warning => Some(Level::Warning),
            _ => None,
        };
        let (name, behind) = (&sink.name, sink.behind);
        match (&sink.error, level) {
            (Some(error), level) => {
                let level = level.unwrap_or(Level::Warning);
                reasons.push((level, format!("sink '{name}' fails, {behind} outcomes to deliver: {error}")));
            }
            (None, Some(level)) => {
                let age = age.as_secs();
                let what = format!("sink '{name}' is behind by {behind} outcomes, the oldest of {age} s ago");
                reasons.push((level, what));
            }
            (None, None) => {}
        }
    }
    if vitals.reload_refused {
        reasons.push((Level::Warning, "the last reload was refused; see `trapline status`".to_owned()));
    }
    reasons
}

/// Performance data: the worst sink, and totals.
fn perfdata(vitals: &Vitals, limits: &Limits) -> String {
    let age = vitals.sinks.iter().map(|sink| sink.age_seconds).fold(0.0, f64::max);
    let behind = vitals.sinks.iter().map(|sink| sink.behind).max().unwrap_or(0);
    let (warning, critical) = (limits.warning.as_secs(), limits.critical.as_secs());
    let mut text = format!("age={age:.0}s;{warning};{critical};0 behind={behind};;;0");
    let total = &vitals.total;
    for (label, value) in [
        ("received", total.received),
        ("outcomes", total.outcomes),
        ("lost", total.lost + total.expired + total.dropped),
        ("dead", total.dead),
    ] {
        // Writing into a String cannot fail.
        let _ = write!(text, " {label}={value}c");
    }
    let _ = write!(text, " journal={}B;;;0", vitals.journal_bytes);
    text
}

/// Text of others within a line of a plugin.
fn clean(text: &str) -> String {
    let plain = |c: char| match c {
        c if breaks_line(c) => Some(' '),
        c if turns(c) => None,
        '|' => Some('/'),
        c => Some(c),
    };
    let mut chars = text.trim().chars().filter_map(plain);
    let mut cleaned: String = chars.by_ref().take(LONGEST_REASON).collect();
    if chars.next().is_some() {
        cleaned.push_str("...");
    }
    cleaned
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::vitals::signs::{SinkSigns, Totals};

    fn sink(behind: u64, age_seconds: f64, error: Option<&str>) -> Vitals {
        let error = error.map(str::to_owned);
        Vitals {
            sinks: vec![SinkSigns { name: "nagios".to_owned(), behind, age_seconds, error }],
            rules: 39,
            ..Vitals::default()
        }
    }

    fn recent(recent: Totals) -> Vitals {
        Vitals { recent, recent_seconds: 601, ..Vitals::default() }
    }

    #[test]
    fn a_reason_is_one_line_that_turns_nothing() {
        let hostile = "a|b\u{1b}[2J\nc\u{2028}d\u{202e}e\u{2066}f\u{feff}g";
        let judgement = Judgement::without_numbers(Level::Critical, hostile);
        assert_eq!(judgement.line(), "TRAPLINE CRITICAL - a/b [2J c defg");
    }

    #[test]
    fn each_sign_has_its_level() {
        let totals = Totals::default();
        for (vitals, level, text) in [
            (sink(0, 0.0, None), Level::Ok, "39 rules, 1 sinks, 0 outcomes to deliver"),
            (sink(9, 299.9, None), Level::Ok, "39 rules, 1 sinks, 9 outcomes to deliver"),
            (
                sink(9, 300.0, None),
                Level::Warning,
                "sink 'nagios' is behind by 9 outcomes, the oldest of 300 s ago",
            ),
            (
                sink(9, 3600.0, None),
                Level::Critical,
                "sink 'nagios' is behind by 9 outcomes, the oldest of 3600 s ago",
            ),
            (
                sink(2, 1.0, Some("nobody reads it")),
                Level::Warning,
                "sink 'nagios' fails, 2 outcomes to deliver: nobody reads it",
            ),
            (
                sink(2, 7200.0, Some("nobody reads it")),
                Level::Critical,
                "sink 'nagios' fails, 2 outcomes to deliver: nobody reads it",
            ),
            (
                Vitals { broken: vec!["the journal takes no outcomes".to_owned()], ..Vitals::default() },
                Level::Critical,
                "the journal takes no outcomes",
            ),
            (
                Vitals { passing: vec!["starting".to_owned()], ..Vitals::default() },
                Level::Warning,
                "starting",
            ),
            (
                Vitals { reload_refused: true, ..Vitals::default() },
                Level::Warning,
                "the last reload was refused; see `trapline status`",
            ),
            (recent(Totals { lost: 4, ..totals }), Level::Critical, "4 outcomes lost in 11 min"),
            (
                recent(Totals { expired: 4, ..totals }),
                Level::Critical,
                "4 outcomes dropped because the journal was full in 11 min",
            ),
            (
                recent(Totals { dropped: 1, ..totals }),
                Level::Critical,
                "1 messages lost before they were processed in 11 min",
            ),
            (recent(Totals { dead: 1, ..totals }), Level::Warning, "1 dead letters in 11 min"),
            (
                recent(Totals { rule_errors: 2, ..totals }),
                Level::Warning,
                "2 fields of rules not computed in 11 min",
            ),
            (
                recent(Totals { received: 2, outcomes: 2, ..totals }),
                Level::Ok,
                "0 rules, 0 sinks, 0 outcomes to deliver",
            ),
        ] {
            let judgement = judge(&vitals, &Limits::default());
            assert_eq!((judgement.level, judgement.text.as_str()), (level, text));
        }
    }

    #[test]
    fn the_worst_comes_first_and_numbers_follow() {
        let vitals = Vitals {
            broken: vec!["sink bus panicked".to_owned()],
            total: Totals {
                received: 10,
                outcomes: 8,
                lost: 1,
                expired: 2,
                dropped: 3,
                dead: 4,
                rule_errors: 0,
            },
            recent: Totals { dead: 1, ..Totals::default() },
            journal_bytes: 4096,
            ..sink(7, 400.4, None)
        };
        let limits = Limits { warning: Duration::from_mins(1), critical: Duration::from_mins(10) };
        assert_eq!(
            judge(&vitals, &limits).line(),
            "TRAPLINE CRITICAL - sink bus panicked; 1 dead letters in 1 min; sink 'nagios' is behind by 7 outcomes, the oldest of \
             400 s ago | age=400s;60;600;0 behind=7;;;0 received=10c outcomes=8c lost=6c dead=4c journal=4096B;;;0"
        );
        let many = Vitals { broken: vec!["x".to_owned(); 11], ..Vitals::default() };
        assert_eq!(judge(&many, &limits).text, "x; x; x; x; x; x; x; x; and 3 more");
    }

    #[test]
    fn exit_statuses_of_plugins() {
        let levels = [Level::Ok, Level::Warning, Level::Critical, Level::Unknown];
        assert_eq!(levels.map(Level::exit_status), [0, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn whatever_servers_say_is_one_line_with_one_bar(error in "\\PC{0,40}|[\\x00-\\x7f|]{0,40}", part in any::<String>()) {
            let vitals = Vitals { broken: vec![part], ..sink(1, 0.0, Some(&error)) };
            let line = judge(&vitals, &Limits::default()).line();
            prop_assert!(!line.contains(char::is_control));
            prop_assert_eq!(line.matches('|').count(), 1);
        }
    }
}
