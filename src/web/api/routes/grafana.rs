//! What data sources of Grafana ask: simPod JSON (and the names that the older SimpleJson has for it), Infinity.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::history::series::{self, By};
use crate::history::{Filter, Row, Search};
use crate::outcome::result::State;
use crate::web::api::answer::Answer;
use crate::web::api::ask::Ask;
use crate::web::api::asked;
use crate::web::api::problem::Problem;
use crate::web::api::role::Role;
use crate::web::api::route::{Cost, Does, Gives, Method, Route};
use crate::web::api::routes::outcomes::{annotation, step, unreadable};
use crate::web::api::schema;

/// What can be asked for: its name, and what it is.
const METRICS: [(&str, &str); 5] = [
    ("outcomes", "outcomes over time"),
    ("outcomes_by_state", "outcomes over time by state"),
    ("outcomes_by_host", "outcomes over time by host"),
    ("outcomes_by_rule", "outcomes over time by rule"),
    ("events", "outcomes as a table"),
];
/// What events are filtered by.
const KEYS: [&str; 6] = ["host", "service", "rule", "state", "source", "q"];
/// The most rows of a table or annotations.
const MOST: usize = 1000;
/// The most targets of a query.
const TARGETS: usize = 20;

/// A route that reads, though it is a POST.
const fn post(path: &'static str, says: &'static str, does: Does) -> Route {
    Route {
        role: Role::Read,
        cost: Cost::Search,
        body: Some(schema::object),
        gives: Gives::Json(schema::any),
        ..Route::change(Method::Post, path, says, does)
    }
}

pub(in crate::web::api) const ROUTES: &[Route] = &[
    Route {
        gives: Gives::Json(schema::object),
        ..Route::get("/api/grafana", "Whether the data source works", Does::Now(alive))
    },
    Route {
        gives: Gives::Json(schema::object),
        ..Route::get("/api/grafana/", "Whether the data source works", Does::Now(alive))
    },
    post("/api/grafana/metrics", "What can be asked for", Does::Now(metrics)),
    post("/api/grafana/search", "The names of what can be asked for", Does::Now(names)),
    post("/api/grafana/metric-payload-options", "Values of a key of the payload", Does::Now(options)),
    post("/api/grafana/query", "Series or tables", Does::Blocking(query)),
    post("/api/grafana/annotations", "Outcomes as annotations", Does::Blocking(annotations)),
    post(
        "/api/grafana/variable",
        "Values of a variable: states, or hosts with a current state",
        Does::Blocking(variable),
    ),
    post("/api/grafana/tag-keys", "What can be filtered by", Does::Now(tag_keys)),
    post("/api/grafana/tag-values", "Values of what can be filtered by", Does::Blocking(tag_values)),
];

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn alive(_: &Ask) -> Result<Answer, Problem> {
    Ok(Answer::json(&json!({ "ok": true })))
}

fn states() -> Vec<&'static str> {
    State::ALL.iter().map(|state| state.as_str()).collect()
}

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn metrics(_: &Ask) -> Result<Answer, Problem> {
    let payloads = |name: &str| -> Value {
        if name != "events" {
            return json!([]);
        }
        let of = |key: &str| match key {
            "state" => {
                json!({ "name": key, "label": key, "type": "multi-select", "options": states().iter().map(|state| json!({ "label": state, "value": state })).collect::<Vec<_>>() })
            }
            key => json!({ "name": key, "label": key, "type": "input", "placeholder": "*" }),
        };
        KEYS.iter().map(|key| of(key)).collect()
    };
    let all: Vec<Value> = METRICS
        .iter()
        .map(|(name, says)| json!({ "label": says, "value": name, "payloads": payloads(name) }))
        .collect();
    Ok(Answer::json(&Value::Array(all)))
}

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn names(_: &Ask) -> Result<Answer, Problem> {
    Ok(Answer::json(&METRICS.iter().map(|(name, _)| *name).collect::<Value>()))
}

fn options(ask: &Ask) -> Result<Answer, Problem> {
    let body: Value = ask.json()?;
    let name = body["name"].as_str().unwrap_or_default();
    let all = if name == "state" { states() } else { Vec::new() };
    let all: Vec<Value> = all.iter().map(|state| json!({ "label": state, "value": state })).collect();
    Ok(Answer::json(&Value::Array(all)))
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Query {
    range: Range,
    interval_ms: Option<f64>,
    max_data_points: Option<f64>,
    targets: Vec<Target>,
    adhoc_filters: Vec<Adhoc>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Range {
    from: Value,
    to: Value,
}

#[derive(Debug, Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct Target {
    target: Value,
    ref_id: Option<String>,
    hide: Option<bool>,
    payload: Value,
    /// Keys that older versions have beside the payload.
    #[serde(flatten)]
    rest: serde_json::Map<String, Value>,
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Adhoc {
    key: String,
    operator: String,
    value: String,
}

/// A time as Grafana writes it: text, or a number of milliseconds.
fn moment(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn range(range: &Range, now: i64) -> Result<(i64, i64), Problem> {
    asked::range(moment(&range.from).as_deref(), moment(&range.to).as_deref(), now)
}

/// Sets the filters that a payload has.
fn narrow(
    filter: &mut Filter,
    payload: &Value,
    rest: &serde_json::Map<String, Value>,
) -> Result<(), Problem> {
    // Older versions send a text of JSON.
    let parsed = payload.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    let payload = parsed.as_ref().unwrap_or(payload);
    for key in KEYS {
        let value = payload.get(key).or_else(|| rest.get(key));
        let text = match value {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Array(all)) => all.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(","),
            _ => continue,
        };
        if !text.is_empty() {
            filter.set(key, &text).map_err(Problem::wrong)?;
        }
    }
    Ok(())
}

fn adhoc(filter: &mut Filter, filters: &[Adhoc]) -> Result<(), Problem> {
    for one in filters {
        if one.operator != "=" {
            return Err(Problem::wrong(format!("filters of {} have the operator =", one.key.escape_debug())));
        }
        if !KEYS.contains(&one.key.as_str()) || !filter.set(&one.key, &one.value).map_err(Problem::wrong)? {
            return Err(Problem::wrong(format!("no filter is called '{}'", one.key.escape_debug())));
        }
    }
    Ok(())
}

fn query(ask: &Ask) -> Result<Answer, Problem> {
    let query: Query = ask.json()?;
    if query.targets.len() > TARGETS {
        return Err(Problem::wrong(format!("a query has at most {TARGETS} targets")));
    }
    let range = range(&query.range, ask.desk.status.clock.now().wall.micros())?;
    let mut answers = Vec::new();
    for target in query.targets.iter().filter(|target| target.hide != Some(true)) {
        let name = target.target.as_str().unwrap_or_default();
        match name {
            "events" => answers.push(table(ask, &query, target, range)?),
            "outcomes" => answers.extend(lines(ask, &query, By::All, target, range)?),
            "outcomes_by_state" => answers.extend(lines(ask, &query, By::State, target, range)?),
            "outcomes_by_host" => answers.extend(lines(ask, &query, By::Host, target, range)?),
            "outcomes_by_rule" => answers.extend(lines(ask, &query, By::Rule, target, range)?),
            // A panel that nobody has filled in yet.
            "" => {}
            other => {
                let all: Vec<&str> = METRICS.iter().map(|(name, _)| *name).collect();
                let there = all.join(", ");
                return Err(Problem::wrong(format!("'{}' is none of {there}", other.escape_debug())));
            }
        }
    }
    Ok(Answer::json(&Value::Array(answers)))
}

fn lines(
    ask: &Ask,
    query: &Query,
    by: By,
    target: &Target,
    range: (i64, i64),
) -> Result<Vec<Value>, Problem> {
    let least = query
        .max_data_points
        .filter(|most| *most >= 1.0)
        .map_or(0.0, |most| (range.1 - range.0) as f64 / 1e6 / most);
    let seconds = query.interval_ms.map_or(0.0, |ms| ms / 1000.0).max(least);
    let seconds = (seconds >= 1.0).then_some(seconds.min(366.0 * 86_400.0) as u64);
    let step = step(seconds, range);
    let (points, _) = series::points(
        &ask.desk.folder()?,
        by,
        &series::Of::default(),
        range,
        step,
        Some(asked::is_over(ask)),
    )
    .map_err(|error| unreadable(&error))?;
    let mut lines: Vec<(String, Vec<Value>)> = Vec::new();
    for point in points {
        let value = json!([point.value, point.time / 1000]);
        match lines.iter_mut().find(|(name, _)| *name == point.series) {
            Some((_, all)) => all.push(value),
            None => lines.push((point.series, vec![value])),
        }
    }
    let line = |(name, points): (String, Vec<Value>)| json!({ "target": name, "refId": target.ref_id, "datapoints": points });
    Ok(lines.into_iter().map(line).collect())
}

fn rows(ask: &Ask, filter: Filter) -> Result<Vec<Row>, Problem> {
    let search = Search { filter, oldest_first: false, is_over: Some(asked::is_over(ask)) };
    let page = search.page(&ask.desk.folder()?, None, MOST).map_err(|error| unreadable(&error))?;
    Ok(page.rows)
}

fn table(ask: &Ask, query: &Query, target: &Target, range: (i64, i64)) -> Result<Value, Problem> {
    let mut filter = Filter { from: Some(range.0), to: Some(range.1), ..Filter::default() };
    narrow(&mut filter, &target.payload, &target.rest)?;
    adhoc(&mut filter, &query.adhoc_filters)?;
    let columns = [
        ("Time", "time"),
        ("State", "string"),
        ("Previous", "string"),
        ("Host", "string"),
        ("Service", "string"),
        ("Output", "string"),
        ("Rule", "string"),
        ("Count", "number"),
    ];
    let columns: Vec<Value> =
        columns.iter().map(|(text, kind)| json!({ "text": text, "type": kind })).collect();
    let rows: Vec<Value> = rows(ask, filter)?
        .iter()
        .map(|row| {
            json!([
                row.time / 1000,
                row.state.as_str(),
                row.previous.map(State::as_str),
                row.host,
                row.service,
                row.output,
                row.rule,
                row.count
            ])
        })
        .collect();
    Ok(json!({ "type": "table", "refId": target.ref_id, "columns": columns, "rows": rows }))
}

#[derive(Debug, Deserialize, Default)]
#[serde(default)]
struct Annotations {
    range: Range,
    annotation: Value,
}

fn annotations(ask: &Ask) -> Result<Answer, Problem> {
    let asked: Annotations = ask.json()?;
    let range = range(&asked.range, ask.desk.status.clock.now().wall.micros())?;
    let mut filter = Filter { from: Some(range.0), to: Some(range.1), changes: true, ..Filter::default() };
    if let Some(words) = asked.annotation["query"].as_str().filter(|words| !words.is_empty()) {
        filter.set("q", words).map_err(Problem::wrong)?;
    }
    narrow(&mut filter, &asked.annotation, &serde_json::Map::new())?;
    let all: Vec<Value> = rows(ask, filter)?
        .iter()
        .map(|row| {
            let (title, tags) = annotation(row);
            json!({ "annotation": asked.annotation, "time": row.time / 1000, "title": title, "text": row.output, "tags": tags })
        })
        .collect();
    Ok(Answer::json(&Value::Array(all)))
}

/// The names of hosts with a current state.
fn hosts(ask: &Ask) -> Result<Vec<String>, Problem> {
    let wanted = series::Wanted::default();
    let (items, _) = series::states(&ask.desk.folder()?, &wanted, 10 * MOST, Some(asked::is_over(ask)))
        .map_err(|error| unreadable(&error))?;
    let mut hosts: Vec<String> =
        items.iter().filter_map(|item| item["host"].as_str().map(str::to_owned)).collect();
    hosts.sort();
    hosts.dedup();
    hosts.truncate(MOST);
    Ok(hosts)
}

fn variable(ask: &Ask) -> Result<Answer, Problem> {
    let body: Value = ask.json()?;
    let payload = &body["payload"];
    let what = payload["target"].as_str().or(payload.as_str()).or(body["target"].as_str()).unwrap_or("host");
    let all: Vec<String> = match what {
        "state" => states().iter().map(|state| (*state).to_owned()).collect(),
        _ => hosts(ask)?,
    };
    let all: Vec<Value> = all.iter().map(|name| json!({ "__text": name, "__value": name })).collect();
    Ok(Answer::json(&Value::Array(all)))
}

#[expect(clippy::unnecessary_wraps, reason = "the table has functions of this type")]
fn tag_keys(_: &Ask) -> Result<Answer, Problem> {
    let keys: Vec<Value> = KEYS.iter().map(|key| json!({ "type": "string", "text": key })).collect();
    Ok(Answer::json(&Value::Array(keys)))
}

fn tag_values(ask: &Ask) -> Result<Answer, Problem> {
    let body: Value = ask.json()?;
    let all: Vec<String> = match body["key"].as_str().unwrap_or_default() {
        "state" => states().iter().map(|state| (*state).to_owned()).collect(),
        "host" => hosts(ask)?,
        _ => Vec::new(),
    };
    let all: Vec<Value> = all.iter().map(|text| json!({ "text": text })).collect();
    Ok(Answer::json(&Value::Array(all)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::filter::time;

    #[test]
    fn payloads_are_read_at_either_place() {
        let target: Target = serde_json::from_value(
            json!({ "target": "events", "refId": "A", "payload": { "host": "a*", "state": ["critical", "down"] }, "rule": "r" }),
        )
        .unwrap();
        let mut filter = Filter::default();
        narrow(&mut filter, &target.payload, &target.rest).unwrap();
        assert_eq!(filter.states, [State::Critical, State::Down]);
        assert!(filter.host.unwrap().matches("ab") && filter.rule.unwrap().matches("r"));
        let mut filter = Filter::default();
        narrow(&mut filter, &json!("{\"host\":\"b\"}"), &serde_json::Map::new()).unwrap();
        assert!(filter.host.unwrap().matches("b"));
        let ends = Range { from: json!("2026-11-26T00:00:00Z"), to: json!(1_795_694_400_000_i64) };
        assert_eq!(range(&ends, 0).unwrap(), (time("2026-11-26T00:00:00Z").unwrap(), 1_795_694_400_000_000));
    }
}
