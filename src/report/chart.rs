//! Outcomes over time as bars, in SVG. Widths and heights are whole tenths, so that a picture is the same everywhere.

use std::fmt::Write as _;

use super::figures::Report;
use crate::outcome::result::State;
use crate::time::clock::rfc3339;

/// The size of the bars, and of the room for words below and left of them.
const WIDTH: u64 = 700;
const HEIGHT: u64 = 150;
const BELOW: u64 = 20;
const LEFT: u64 = 60;
/// How many times are written below the bars.
const TIMES: usize = 5;

/// Good states are at the bottom of a bar.
const ORDER: [State; 7] =
    [State::Ok, State::Up, State::Unknown, State::Unreachable, State::Warning, State::Down, State::Critical];

/// A number of tenths.
fn tenths(value: u64) -> String {
    format!("{}.{}", value / 10, value % 10)
}

/// The picture; none if there is nothing to show. It has no text of others.
pub(super) fn svg(report: &Report) -> Option<String> {
    let steps = &report.steps;
    let most = steps.iter().map(|step| step.states.iter().sum::<u64>()).max().filter(|most| *most > 0)?;
    let count = steps.len() as u64;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"Outcomes by {}, at most {most}\">\n",
        LEFT + WIDTH,
        HEIGHT + BELOW + 5,
        report.step_name()
    );
    let scale = |value: u64| {
        u64::try_from(u128::from(value) * u128::from(HEIGHT) * 10 / u128::from(most)).unwrap_or(0)
    };
    let x = |n: u64| LEFT * 10 + n * WIDTH * 10 / count;
    for (n, step) in (0..).zip(steps) {
        // Borders are those of sums, so that rounding leaves no gap.
        let mut sum = 0;
        for state in ORDER {
            let value = State::ALL.iter().position(|one| *one == state).map_or(0, |code| step.states[code]);
            let (low, high) = (scale(sum), scale(sum + value));
            sum += value;
            if value > 0 {
                let gap = u64::from(x(n + 1) - x(n) > 40) * 10;
                let _ = writeln!(
                    svg,
                    "<rect class=\"{0}\" x=\"{1}\" y=\"{2}\" width=\"{3}\" height=\"{4}\"><title>{5}: {value} {0}</title></rect>",
                    state.as_str(),
                    tenths(x(n)),
                    tenths(HEIGHT * 10 + 50 - high),
                    tenths((x(n + 1) - x(n)).saturating_sub(gap).max(1)),
                    tenths((high - low).max(1)),
                    rfc3339(step.time),
                );
            }
        }
    }
    let (bottom, right) = (HEIGHT + 5, LEFT + WIDTH);
    let _ = writeln!(svg, "<path d=\"M{LEFT} 5V{bottom}H{right}\"/>");
    let _ = writeln!(svg, "<text x=\"{}\" y=\"14\" class=\"end\">{most}</text>", LEFT - 5);
    let _ = writeln!(svg, "<text x=\"{}\" y=\"{bottom}\" class=\"end\">0</text>", LEFT - 5);
    for (n, step) in (0..).zip(steps).step_by(steps.len().div_ceil(TIMES)) {
        let time = rfc3339(step.time).get(5..16).map_or(String::new(), |time| time.replace('T', " "));
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{time}</text>", tenths(x(n)), HEIGHT + BELOW);
    }
    svg.push_str("</svg>\n");
    Some(svg)
}
