//! A report as a page: one file, without scripts, that loads nothing.

use std::fmt::Write as _;

use super::chart;
use super::figures::Report;
use crate::outcome::name::visible;
use crate::outcome::result::State;
use crate::time::clock::rfc3339;

const STYLE: &str = "
:root{color-scheme:light}
body{font:14px/1.45 system-ui,sans-serif;color:#1b1f24;background:#fff;max-width:60rem;margin:1.5rem auto;padding:0 1rem}
h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:1.6rem 0 .4rem}
table{border-collapse:collapse;width:100%;font-size:.93rem}
th,td{text-align:left;padding:.2rem .6rem .2rem 0;border-bottom:1px solid #d8dee4;vertical-align:top;overflow-wrap:anywhere}
th{white-space:nowrap;color:#57606a}
.n{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}.t{white-space:nowrap}
bdi{unicode-bidi:isolate}
svg{width:100%;height:auto}svg text{font-size:11px;fill:#57606a}svg .end{text-anchor:end}svg path{stroke:#8c959f;fill:none}
.ok{fill:#2da44e;color:#116329}.up{fill:#6fdd8b;color:#116329}.warning{fill:#d4a72c;color:#7d4e00}.critical{fill:#cf222e;color:#a40e26}
.unknown{fill:#8250df;color:#6639ba}.down{fill:#82071e;color:#82071e}.unreachable{fill:#bc4c00;color:#953800}
footer{margin-top:2rem;color:#57606a}
@page{size:A4;margin:15mm}
@media print{body{max-width:none;margin:0;padding:0;font-size:10pt}h2{break-after:avoid}tr,svg{break-inside:avoid}thead{display:table-header-group}
rect{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
";

/// Text of others in a page: nothing of it is markup, what controls or turns text is visible, and its direction stays its own.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in visible(text).chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// A cell of text of others.
fn cell(text: &str) -> String {
    format!("<td><bdi>{}</bdi></td>", escape(text))
}

fn state(state: State) -> String {
    format!("<td class=\"{0}\">{0}</td>", state.as_str())
}

fn number(value: u64) -> String {
    format!("<td class=\"n\">{value}</td>")
}

/// A time of this program, to the second.
fn time(micros: i64) -> String {
    seconds(&rfc3339(micros))
}

fn seconds(text: &str) -> String {
    let text: String = text.chars().take(19).collect();
    escape(&text.replace('T', " "))
}

/// A table, or the words for none.
fn table(out: &mut String, head: &[&str], lines: &[String], none: &str) {
    if lines.is_empty() {
        let _ = writeln!(out, "<p>{none}</p>");
        return;
    }
    out.push_str("<table><thead><tr>");
    for (name, class) in
        head.iter().map(|name| name.strip_prefix('#').map_or((*name, ""), |name| (name, " class=\"n\"")))
    {
        let _ = write!(out, "<th scope=\"col\"{class}>{name}</th>");
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for line in lines {
        let _ = writeln!(out, "<tr>{line}</tr>");
    }
    out.push_str("</tbody></table>\n");
}

fn head(out: &mut String, report: &Report) {
    let (from, to) = (time(report.from), time(report.to));
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n<title>Trapline: {from} to {to} UTC</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n<h1>What Trapline made of messages</h1>\n\
         <p>{from} to {to}, UTC. {} outcomes, {} changes of state, {} hosts, {} rules.</p>\n",
        report.outcomes(),
        report.changes(),
        report.hosts.names,
        report.rules.names,
    );
}

fn over_time(out: &mut String, report: &Report) {
    let _ = writeln!(out, "<h2>Outcomes by {}</h2>", report.step_name());
    if let Some(svg) = chart::svg(report) {
        out.push_str(&svg);
    }
    let lines: Vec<String> = report
        .steps
        .iter()
        .filter(|step| step.changes > 0 || step.states.iter().any(|count| *count > 0))
        .map(|step| {
            let counts: String = step.states.iter().map(|count| number(*count)).collect();
            format!("<td class=\"t\">{}</td>{counts}{}", time(step.time), number(step.changes))
        })
        .collect();
    let head =
        ["from", "#ok", "#warning", "#critical", "#unknown", "#up", "#down", "#unreachable", "#changes"];
    table(out, &head, &lines, "There was none.");
}

fn problems(out: &mut String, report: &Report) {
    let _ = writeln!(out, "<h2>Not ok at {} UTC</h2>", time(report.made));
    let lines: Vec<String> = report
        .problems
        .iter()
        .map(|problem| {
            format!(
                "{}{}{}<td class=\"t\">{}</td>{}{}",
                state(problem.state),
                cell(&problem.host),
                cell(problem.service.as_deref().unwrap_or_default()),
                seconds(&problem.since),
                cell(&problem.rule),
                cell(&problem.output)
            )
        })
        .collect();
    table(out, &["state", "host", "service", "since", "rule", "output"], &lines, "Everything is ok.");
}

fn named(out: &mut String, title: &str, name: &str, (all, names): (&[(String, u64)], u64)) {
    let _ = writeln!(out, "<h2>{title}</h2>");
    let lines: Vec<String> =
        all.iter().map(|(name, count)| format!("{}{}", cell(name), number(*count))).collect();
    table(out, &[name, "#outcomes"], &lines, "There was none.");
    if names > all.len() as u64 {
        let _ = writeln!(out, "<p>These are the first {} of {names}.</p>", all.len());
    }
}

/// The page.
pub fn page(report: &Report) -> String {
    let mut out = String::new();
    head(&mut out, report);
    problems(&mut out, report);
    out.push_str("<h2>Outcomes by state</h2>\n");
    let all = State::ALL.into_iter().zip(report.states).filter(|(_, count)| *count > 0);
    let lines: Vec<String> = all.map(|(one, count)| format!("{}{}", state(one), number(count))).collect();
    table(&mut out, &["state", "#outcomes"], &lines, "There was none.");
    over_time(&mut out, report);
    out.push_str("<h2>Changed their state most often</h2>\n");
    let lines: Vec<String> = report
        .flapped
        .iter()
        .map(|flap| {
            let service = cell(flap.service.as_deref().unwrap_or_default());
            format!("{}{service}{}{}", cell(&flap.host), number(flap.changes), state(flap.state))
        })
        .collect();
    let none = "Nothing changed its state more than once.";
    table(&mut out, &["host", "service", "#changes", "state after the last one"], &lines, none);
    named(&mut out, "Hosts with most outcomes", "host", (&report.hosts.first, report.hosts.names));
    named(&mut out, "Rules with most outcomes", "rule", (&report.rules.first, report.rules.names));
    let notes = report.notes();
    if !notes.is_empty() {
        out.push_str("<h2>What these figures lack</h2>\n<ul>\n");
        for note in notes {
            let _ = writeln!(out, "<li>{}</li>", escape(&note));
        }
        out.push_str("</ul>\n");
    }
    let _ =
        write!(out, "<footer>Made at {} UTC by Trapline.</footer>\n</body>\n</html>\n", time(report.made));
    out
}
