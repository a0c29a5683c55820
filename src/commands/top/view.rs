//! The figures as lines. Pure.

use super::figures::{Figures, Rate};
use crate::outcome::name::{breaks_line, turns};

/// Bold.
const BOLD: &str = "\x1b[1m";
/// No more of it.
const PLAIN: &str = "\x1b[0m";
/// How many rows a table without a screen has.
const ROWS: usize = 10;
/// The longest name of a sink that is shown.
const NAME: usize = 20;

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
}

/// All of it, without colours: for scripts.
pub fn plain(figures: &Figures) -> Vec<String> {
    let mut lines = head(figures);
    lines.push(String::new());
    lines.extend(intake(figures));
    for table in [sinks(figures), senders(figures), groups(figures)] {
        lines.push(String::new());
        lines.extend(table.into_iter().take(ROWS + 2));
    }
    lines.into_iter().map(|line| line.trim_end().to_owned()).collect()
}

/// What fits on a screen: each table has its share of the lines, and what one does not need the others have.
pub fn screen(figures: &Figures, size: Size) -> Vec<String> {
    let mut lines: Vec<(bool, String)> = head(figures).into_iter().map(|line| (false, line)).collect();
    if let Some(first) = lines.first_mut() {
        first.0 = true;
    }
    let mut table = |all: Vec<String>| {
        lines.push((false, String::new()));
        // The first two lines of a table name it and its columns.
        lines.extend(all.into_iter().enumerate().map(|(at, line)| (at == 0, line)));
    };
    table(intake(figures));
    let used = head(figures).len() + 1 + intake(figures).len();
    // A line is kept for the keys.
    let left = size.height.saturating_sub(used + 1 + 3);
    let tables = [sinks(figures), senders(figures), groups(figures)];
    let lengths = [tables[0].len(), tables[1].len(), tables[2].len()];
    for (all, length) in tables.into_iter().zip(shares(left, lengths)) {
        table(all.into_iter().take(length).collect());
    }
    lines.truncate(size.height.saturating_sub(1));
    while lines.len() + 1 < size.height {
        lines.push((false, String::new()));
    }
    lines.push((false, "q ends".to_owned()));
    let drawn = |(bold, line): (bool, String)| {
        let line = clipped(&line, size.width);
        if bold { format!("{BOLD}{line}{PLAIN}") } else { line }
    };
    lines.into_iter().take(size.height).map(drawn).collect()
}

/// How many of `lines` each of these gets: none more than it wants, and what is left is shared.
fn shares(mut lines: usize, wanted: [usize; 3]) -> [usize; 3] {
    let mut given = [0; 3];
    loop {
        let open: Vec<usize> = (0..3).filter(|at| given[*at] < wanted[*at]).collect();
        if open.is_empty() || lines == 0 {
            return given;
        }
        for at in open {
            if lines > 0 {
                given[at] += 1;
                lines -= 1;
            }
        }
    }
}

fn head(figures: &Figures) -> Vec<String> {
    let state = if figures.problems.is_empty() { "ready" } else { "TROUBLE" };
    let mut lines = vec![format!(
        "trapline {}  {state}  up {}  {} rules",
        visible(&figures.version),
        duration(figures.uptime as f64),
        figures.rules
    )];
    lines.extend(figures.problems.iter().map(|problem| format!("problem: {}", visible(problem))));
    lines
}

fn intake(figures: &Figures) -> Vec<String> {
    let mut lines = vec![format!("{:<18}{:>14}{:>12}", "messages", "total", "a second")];
    lines.extend(figures.intake.iter().map(|(name, Rate { total, rate })| {
        let mark = if *name == "lost" && *rate > 0.0 { "  <- messages are lost" } else { "" };
        format!("{name:<18}{total:>14}{:>12}{mark}", per_second(*rate))
    }));
    lines
}

fn sinks(figures: &Figures) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<NAME$}{:>12}{:>10}{:>10}{:>8}  last error",
        "sinks", "a second", "behind", "lag", "dead"
    )];
    if figures.sinks.is_empty() {
        lines.push("no sink is configured".to_owned());
    }
    lines.extend(figures.sinks.iter().map(|sink| {
        format!(
            "{:<NAME$}{:>12}{:>10}{:>10}{:>8}  {}",
            cell(&sink.name, NAME),
            per_second(sink.delivered.rate),
            sink.behind,
            if sink.behind > 0 { duration(sink.lag) } else { "-".to_owned() },
            sink.dead,
            visible(&sink.error),
        )
    }));
    lines
}

fn senders(figures: &Figures) -> Vec<String> {
    let mut lines = vec![format!(
        "{:<40}{:>12}{:>12}{:>11}{:>9}  host",
        "senders, the loudest first", "a second", "total", "unmatched", "refused"
    )];
    if figures.senders.is_empty() {
        lines.push("nothing has come yet; `trapline send` sends a test message".to_owned());
    }
    lines.extend(figures.senders.iter().map(|sender| {
        format!(
            "{:<40}{:>12}{:>12}{:>11}{:>9}  {}",
            cell(&sender.address, 40),
            per_second(sender.messages.rate),
            sender.messages.total,
            sender.unmatched,
            sender.refused,
            visible(&sender.host),
        )
    }));
    lines
}

fn groups(figures: &Figures) -> Vec<String> {
    let title = format!("no rule takes: {} kinds", figures.all_groups);
    let mut lines = vec![format!("{title:<28}{:>12}{:>12}  group  what", "a second", "total")];
    if figures.groups.is_empty() {
        lines.push("every message was taken by a rule".to_owned());
    }
    lines.extend(figures.groups.iter().map(|group| {
        format!(
            "{:<28}{:>12}{:>12}{:>7}  {}",
            "",
            per_second(group.messages.rate),
            group.messages.total,
            group.id,
            visible(&group.what),
        )
    }));
    lines
}

/// Text of a table: at most so many characters less one.
fn cell(text: &str, width: usize) -> String {
    clipped(&visible(text), width - 1)
}

fn clipped(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain((width > 0).then_some('…')).collect()
}

fn per_second(rate: f64) -> String {
    if rate == 0.0 {
        "-".to_owned()
    } else if rate < 10.0 {
        format!("{rate:.1}")
    } else {
        format!("{rate:.0}")
    }
}

fn duration(seconds: f64) -> String {
    let whole = seconds as u64;
    match whole {
        0..60 => format!("{whole} s"),
        60..3600 => format!("{} min", whole / 60),
        3600..172_800 => format!("{} h", whole / 3600),
        _ => format!("{} d", whole / 86_400),
    }
}

/// On one line, and without what moves a terminal's cursor.
fn visible(text: &str) -> String {
    let hides = |c: char| breaks_line(c) || turns(c);
    text.chars().flat_map(|c| if hides(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::commands::top::figures::{GroupRow, SenderRow, SinkRow};

    fn figures(name: &str, rows: usize) -> Figures {
        let rate = Rate { total: 12_345, rate: 3.25 };
        Figures {
            version: "1.2.3".to_owned(),
            uptime: 7300,
            rules: 400,
            problems: vec![name.to_owned()],
            intake: vec![("received", rate), ("lost", Rate { total: 2, rate: 1.0 })],
            sinks: (0..rows)
                .map(|_| SinkRow {
                    name: name.to_owned(),
                    delivered: rate,
                    behind: 7,
                    lag: 90.0,
                    dead: 1,
                    error: name.to_owned(),
                })
                .collect(),
            senders: (0..rows)
                .map(|_| SenderRow {
                    address: "192.0.2.1".to_owned(),
                    host: name.to_owned(),
                    messages: rate,
                    unmatched: 3,
                    refused: 0,
                })
                .collect(),
            groups: (0..rows)
                .map(|id| GroupRow { id: id as u64, what: name.to_owned(), messages: rate })
                .collect(),
            all_groups: rows as u64,
        }
    }

    #[test]
    fn a_snapshot_has_everything() {
        insta::assert_snapshot!(plain(&figures("router1", 2)).join("\n"));
        insta::assert_snapshot!(plain(&Figures::default()).join("\n"));
    }

    #[test]
    fn lines_are_shared() {
        assert_eq!(shares(10, [2, 20, 20]), [2, 4, 4]);
        assert_eq!(shares(2, [9, 9, 9]), [1, 1, 0]);
        assert_eq!(shares(100, [1, 2, 3]), [1, 2, 3]);
    }

    proptest! {
        #[test]
        fn every_screen_fits_and_no_name_rules_the_terminal(
            name in "(\\PC|[\\x00-\\x1f\\x7f\u{9b}\u{202e}\u{2028}])*", rows in 0usize..60, width in 0usize..200, height in 0usize..80,
        ) {
            let drawn = screen(&figures(&name, rows), Size { width, height });
            prop_assert!(drawn.len() <= height.max(1), "{} of {height}", drawn.len());
            for line in drawn {
                let bare = line.replace(BOLD, "").replace(PLAIN, "");
                prop_assert!(bare.chars().count() <= width);
                prop_assert!(!bare.chars().any(|c| breaks_line(c) || turns(c)), "{bare:?}");
            }
        }
    }
}
