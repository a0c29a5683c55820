//! The lines that people read, made of two answers of the daemon a second apart. Pure.

use serde_json::Value;

use crate::outcome::name::visible;

/// Counters that are shown also while they are 0; all others have something to say only above it.
const ALWAYS: [&str; 6] =
    ["snmp_received", "syslog_received", "kernel_drops", "matched", "unmatched", "outcomes"];
/// How many rules and groups of the inbox are shown: the screen is for the sinks as well.
const MOST: usize = 5;
/// How many characters of what a group is are shown.
const WIDTH: usize = 48;

/// What there is to say; rates are what has been added from `before` to `now`. `groups` is the answer about the inbox.
pub fn lines(before: &Value, now: &Value, groups: &Value) -> Vec<String> {
    let mut lines = head(now);
    lines.extend(counters(before, now));
    lines.extend(refused(now));
    lines.extend(rules(before, now));
    lines.extend(inbox(groups));
    lines.extend(storms(now));
    lines.extend(connections(now));
    lines.extend(tables(now));
    lines.extend(queues(now));
    lines.extend(followed(now));
    lines.extend(forwards(now));
    lines.extend(kept(now));
    lines.extend(sinks(before, now));
    lines
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

/// The lines of an error, below what it belongs to.
fn error(of: &Value) -> impl Iterator<Item = String> {
    of["error"].as_str().into_iter().flat_map(str::lines).map(|line| format!("  {line}"))
}

fn row(name: &str, total: u64, before: u64) -> String {
    format!("{name:<22}{total:>14}{:>12}", total.saturating_sub(before))
}

fn head(now: &Value) -> Vec<String> {
    let reloads = &now["reloads"];
    let mut lines = vec![format!(
        "trapline {} (pid {}), up {} s, {} rules, {} reloads, {} refused",
        text(&now["version"]),
        now["pid"],
        now["uptime_seconds"],
        now["rules"],
        reloads["done"],
        reloads["refused"],
    )];
    if let Some(error) = reloads["error"].as_str() {
        lines.push("the last reload was refused:".to_owned());
        lines.extend(error.lines().map(str::to_owned));
    }
    lines.extend(list(&now["problems"]).map(|problem| format!("problem: {}", text(problem))));
    lines
}

fn counters(before: &Value, now: &Value) -> Vec<String> {
    let mut lines = vec![String::new(), format!("{:<22}{:>14}{:>12}", "", "total", "a second")];
    let (intake, earlier) = (&now["intake"], &before["intake"]);
    let told = intake
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| value.is_u64() && (ALWAYS.contains(&name.as_str()) || number(value) > 0));
    lines.extend(told.map(|(name, value)| row(name, number(value), number(&earlier[name]))));
    for kind in ["malformed", "swallowed"] {
        let told = intake[kind].as_object().into_iter().flatten().filter(|(_, value)| number(value) > 0);
        lines.extend(told.map(|(reason, value)| {
            row(&format!("{kind} {reason}"), number(value), number(&earlier[kind][reason]))
        }));
    }
    lines
}

fn refused(now: &Value) -> Vec<String> {
    let refused = &now["refused"];
    let of_source = |source: &Value| {
        let reasons = source["reasons"].as_object().into_iter().flatten();
        let reasons: Vec<String> = reasons.map(|(reason, count)| format!("{reason} {count}")).collect();
        format!("refused {:<39}{}", text(&source["source"]), reasons.join(", "))
    };
    let mut lines: Vec<String> = list(&refused["sources"]).map(of_source).collect();
    let shown = lines.len() as u64;
    let (known, others) = (number(&refused["known_sources"]), number(&refused["others"]));
    if known > shown || others > 0 {
        let more = known.saturating_sub(shown);
        lines.push(format!(
            "refused {more} more sources, and {others} messages of sources that are not told apart"
        ));
    }
    lines
}

/// The rules with the highest rates, then with the most messages, and the ones that fail.
fn rules(before: &Value, now: &Value) -> Vec<String> {
    let name = |rule: &Value| (rule["file"].clone(), rule["rule"].clone());
    let of = |rule: &Value| {
        let was = list(&before["busiest_rules"]).find(|was| name(was) == name(rule));
        let total = number(&rule["matched"]);
        // Who was not among them is counted from 0 on only by its total. Rules that were loaded anew count from 0.
        let earlier = was.map_or(total, |was| number(&was["matched"]));
        (total.checked_sub(earlier).unwrap_or(total), total, text(&rule["rule"]).to_owned())
    };
    let mut busiest: Vec<(u64, u64, String)> = list(&now["busiest_rules"]).map(of).collect();
    busiest.sort_by(|a, b| b.cmp(a));
    let mut lines = Vec::new();
    if !busiest.is_empty() {
        lines.push(format!("\n{:<48}{:>14}{:>12}", "rule", "matched", "a second"));
    }
    let told = busiest.iter().take(MOST);
    lines.extend(told.map(|(rate, total, rule)| format!("{:<48}{total:>14}{rate:>12}", clipped(rule))));
    lines.extend(list(&now["rule_errors"]).map(|rule| {
        format!(
            "rule '{}' in {}: {} fields not rendered, {} times over budget; the log has the reasons",
            text(&rule["rule"]),
            text(&rule["file"]),
            number(&rule["render_errors"]),
            number(&rule["over_budget"]),
        )
    }));
    lines
}

/// The largest groups of what no rule takes.
fn inbox(groups: &Value) -> Vec<String> {
    let all: Vec<&Value> = list(&groups["groups"]).collect();
    let count = groups["all"].as_u64().unwrap_or(all.len() as u64);
    if count == 0 {
        return Vec::new();
    }
    let mut lines = vec![format!("\n{:<48}{:>14}", "unmatched", "messages")];
    let of = |group: &&Value| {
        let what = format!("{} {}", group["group"], visible(text(&group["what"])));
        format!("{:<48}{:>14}", clipped(&what), number(&group["count"]))
    };
    lines.extend(all.iter().take(MOST).map(of));
    let more = count.saturating_sub(MOST as u64);
    if more > 0 {
        lines.push(format!("and {more} more; see `trapline unmatched`"));
    }
    lines
}

/// Never wider than its column, so that the numbers stay in theirs.
fn clipped(text: &str) -> String {
    if text.chars().count() < WIDTH {
        return text.to_owned();
    }
    text.chars().take(WIDTH - 2).chain(['…']).collect()
}

fn storms(now: &Value) -> Vec<String> {
    let of = |storm: &Value| {
        format!(
            "storm of {} since {}: {} messages, {} of them not processed",
            storm["address"].as_str().unwrap_or("several senders"),
            text(&storm["since"]),
            number(&storm["total"]),
            number(&storm["not_processed"]),
        )
    };
    list(&now["storms"]).map(of).collect()
}

fn connections(now: &Value) -> Vec<String> {
    let of = |(name, counts): (&String, &Value)| {
        let (errors, refused) = (number(&counts["errors"]), number(&counts["refused"]));
        format!("{name}: {refused} connections refused, {errors} not accepted")
    };
    let mut lines: Vec<String> = now["connections"].as_object().into_iter().flatten().map(of).collect();
    if let Some(reverse) = now["reverse_dns"].as_object() {
        let counts: Vec<String> =
            reverse.iter().map(|(what, count)| format!("{count} {}", what.replace('_', " "))).collect();
        lines.push(format!("reverse DNS: {}", counts.join(", ")));
    }
    lines
}

fn tables(now: &Value) -> Vec<String> {
    let of = |table: &Value| {
        let age = table["age_seconds"].as_u64();
        let age = age.map_or("not read since the start".to_owned(), |age| format!("read {age} s ago"));
        let failures = match number(&table["failures"]) {
            0 => String::new(),
            failures => format!(", {failures} failures"),
        };
        format!("table {}: {} rows, {age}{failures}", text(&table["name"]), number(&table["rows"]))
    };
    list(&now["lookups"]).flat_map(|table| std::iter::once(of(table)).chain(error(table))).collect()
}

fn queues(now: &Value) -> Vec<String> {
    let of = |queue: &Value| {
        format!(
            "queue {}: {}, {} taken, {} redelivered, {} rejected",
            text(&queue["name"]),
            if queue["connected"] == true { "connected" } else { "not connected" },
            number(&queue["taken"]),
            number(&queue["redelivered"]),
            number(&queue["rejected"])
        )
    };
    list(&now["queues"]).flat_map(|queue| std::iter::once(of(queue)).chain(error(queue))).collect()
}

fn followed(now: &Value) -> Vec<String> {
    let of = |file: &Value| {
        let open = if file["open"] == true { "open" } else { "not open" };
        let lines = format!("followed {}: {open}, {} lines", text(&file["name"]), number(&file["lines"]));
        match number(&file["refused"]) {
            0 => lines,
            refused => format!("{lines}, {refused} entries left out"),
        }
    };
    list(&now["followed"]).flat_map(|file| std::iter::once(of(file)).chain(error(file))).collect()
}

fn forwards(now: &Value) -> Vec<String> {
    let of = |forward: &Value| {
        format!(
            "forward {}: {} sent ({} with this machine's address), {} dropped, {} looped",
            text(&forward["name"]),
            number(&forward["sent"]),
            number(&forward["own_address"]),
            number(&forward["dropped"]),
            number(&forward["looped"])
        )
    };
    list(&now["forwards"]).flat_map(|forward| std::iter::once(of(forward)).chain(error(forward))).collect()
}

/// What the daemon keeps: states, captured messages, the history, the journal.
fn kept(now: &Value) -> Vec<String> {
    let mut lines = Vec::new();
    let get = |of: &str, key: &str| number(&now[of][key]);
    let keys = ["open", "held", "flapping", "counts"];
    if keys.iter().any(|key| get("state", key) > 0) {
        let all = keys.map(|key| format!("{} {key}", get("state", key)));
        lines.push(format!("\nstate of rules: {}", all.join(", ")));
    }
    if now["capture"].is_object() {
        let get = |key| get("capture", key);
        let (messages, lost, bytes) = (get("messages"), get("lost"), get("bytes"));
        lines.push(format!("\ncaptured: {messages} messages, {lost} lost; {bytes} bytes on disk"));
    }
    if now["history"].is_object() {
        let get = |key| get("history", key);
        let (rows, thinned, missed, bytes) = (get("rows"), get("thinned"), get("missed"), get("bytes"));
        lines.push(format!(
            "\nhistory: {rows} rows, {thinned} thinned, {missed} missed; {bytes} bytes on disk"
        ));
        if let Some(error) = now["history"]["error"].as_str() {
            lines.push(format!("    it cannot be written: {}", visible(error)));
        }
    }
    let journal = &now["journal"];
    lines.push(format!("\njournal: {} bytes, {} damaged places", journal["bytes"], journal["damaged"]));
    lines
}

fn sinks(before: &Value, now: &Value) -> Vec<String> {
    let mut lines = vec![format!(
        "\n{:<16}{:>12}{:>10}{:>10}{:>10}{:>10}{:>6}{:>7}{:>10}{:>9}",
        "sink", "delivered", "a second", "behind", "lag s", "skipped", "cut", "dead", "failures", "expired"
    )];
    for sink in list(&now["sinks"]) {
        // A reload may have changed their order.
        let was = list(&before["sinks"]).find(|was| was["name"] == sink["name"]);
        let delivered = number(&sink["delivered"]);
        lines.push(format!(
            "{:<16}{:>12}{:>10}{:>10}{:>10.1}{:>10}{:>6}{:>7}{:>10}{:>9}",
            text(&sink["name"]),
            delivered,
            delivered.saturating_sub(was.map_or(0, |was| number(&was["delivered"]))),
            number(&sink["behind"]),
            sink["lag_seconds"].as_f64().unwrap_or(0.0),
            number(&sink["skipped"]),
            number(&sink["cut"]),
            number(&sink["dead"]),
            number(&sink["failures"]),
            number(&sink["expired"]),
        ));
        lines.extend(error(sink));
        if let waiting @ 1.. = number(&sink["dead_letters"]) {
            lines.push(format!(
                "    {waiting} dead letters wait; see `trapline dead list {}`",
                text(&sink["name"])
            ));
        }
    }
    lines.extend(list(&now["unconfigured_sinks"]).map(|sink| {
        let (name, behind) = (text(&sink["name"]), number(&sink["behind"]));
        format!("sink '{name}' is not configured; {behind} outcomes wait for it; see `trapline sinks list`")
    }));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status() -> Value {
        json!({
            "version": "1.0.0", "pid": 7, "uptime_seconds": 60, "rules": 3,
            "reloads": { "done": 1, "refused": 0, "error": null },
            "problems": [],
            "intake": {
                "snmp_received": 30, "syslog_received": 0, "kernel_drops": 0, "matched": 25, "unmatched": 5, "outcomes": 20,
                "not_rendered": 0, "malformed": { "asn1": 2, "empty": 0 }, "swallowed": { "duplicate": 4 }
            },
            "busiest_rules": [
                { "rule": "link-down", "file": "rules/if.toml", "matched": 20 },
                { "rule": "fan", "file": "rules/fan.toml", "matched": 5 },
            ],
            "rule_errors": [], "storms": [], "connections": {}, "lookups": [], "queues": [], "forwards": [],
            "refused": { "sources": [], "known_sources": 0, "others": 0 },
            "state": { "open": 1, "held": 0, "flapping": 0, "counts": 0 },
            "journal": { "bytes": 4096, "damaged": 0 },
            "sinks": [{
                "name": "core", "delivered": 20, "behind": 0, "lag_seconds": 0.0, "skipped": 0, "cut": 0, "dead": 0,
                "failures": 0, "expired": 0, "error": null
            }],
            "unconfigured_sinks": [],
        })
    }

    #[test]
    fn the_page_fits_a_screen() {
        let mut before = status();
        before["intake"]["matched"] = 15.into();
        before["busiest_rules"][1]["matched"] = 2.into();
        let long = "a very long masked line of syslog that would push the numbers out of their column";
        let groups: Vec<Value> =
            (1..=9).map(|n| json!({ "group": n, "what": format!("{long} {n}"), "count": 10 - n })).collect();
        let lines = lines(&before, &status(), &json!({ "all": 9, "groups": groups })).join("\n");
        insta::assert_snapshot!(lines);
        assert!(lines.lines().count() <= 40, "{lines}");
    }

    #[test]
    fn rules_are_in_the_order_of_their_rates() {
        let before = json!({ "busiest_rules": [
            { "rule": "loud once", "file": "a", "matched": 1000 },
            { "rule": "loud now", "file": "a", "matched": 10 },
            { "rule": "loaded anew", "file": "a", "matched": 50 },
        ]});
        let now = json!({ "busiest_rules": [
            { "rule": "loud once", "file": "a", "matched": 1000 },
            { "rule": "loud now", "file": "a", "matched": 40 },
            { "rule": "loaded anew", "file": "a", "matched": 3 },
            { "rule": "new here", "file": "b", "matched": 900 },
        ]});
        let told: Vec<Vec<String>> = rules(&before, &now)
            .iter()
            .skip(1)
            .map(|line| line.split_whitespace().rev().take(2).map(str::to_owned).collect())
            .collect();
        let expected = [["30", "40"], ["3", "3"], ["0", "1000"], ["0", "900"]];
        assert_eq!(told, expected.map(|pair| pair.map(str::to_owned).to_vec()));
    }
}
