//! The alerts and the dashboard use metrics that exist, and the page lists every alert.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// The metrics that a scrape has, by the snapshot that a test of `src/web/metrics.rs` compares with one.
fn metrics() -> BTreeSet<String> {
    let snapshot = read(
        "src/web/snapshots/trapline__web__metrics__tests__names_and_types_stay_and_labels_are_escaped.snap",
    );
    let mut all = BTreeSet::new();
    for line in snapshot.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (name, kind) = line.split_once(' ').unwrap();
        if kind == "histogram" {
            all.extend(["_bucket", "_sum", "_count"].map(|end| format!("{name}{end}")));
        } else {
            all.insert(name.to_owned());
        }
    }
    assert!(all.len() > 40, "{all:?}");
    all
}

/// The words of a text that begin as metrics do.
fn used(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("trapline_")).collect()
}

#[test]
fn alerts_and_dashboard_use_metrics_that_exist() {
    let metrics = metrics();
    for path in [
        "config/prometheus/trapline.rules.yml",
        "config/prometheus/trapline.tests.yml",
        "config/grafana/trapline.json",
    ] {
        let text = read(path);
        let used = used(&text);
        assert!(used.len() > 3, "{path}: {used:?}");
        let unknown: Vec<_> = used.iter().filter(|name| !metrics.contains(**name)).collect();
        assert!(unknown.is_empty(), "{path} uses metrics that do not exist: {unknown:?}");
    }
    let dashboard: serde_json::Value = serde_json::from_str(&read("config/grafana/trapline.json")).unwrap();
    assert!(dashboard["panels"].as_array().unwrap().len() > 10);
}

#[test]
fn the_page_lists_every_alert_with_its_severity() {
    let (rules, page) = (read("config/prometheus/trapline.rules.yml"), read("docs/metrics.md"));
    let alerts: Vec<&str> = rules.split("- alert: ").skip(1).collect();
    for alert in &alerts {
        let name = alert.lines().next().unwrap();
        let (_, severity) = alert.split_once("severity: ").unwrap();
        let severity = severity.split('}').next().unwrap();
        let row = format!("| `{name}` | {severity} |");
        assert!(page.contains(&row), "docs/metrics.md lacks {row}");
        assert!(alert.contains("summary: ") && alert.contains("action: "), "{name}");
    }
    assert_eq!(page.matches("| `Trapline").count(), alerts.len());
}
