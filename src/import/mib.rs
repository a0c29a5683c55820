//! Makes rules from the notifications of MIB modules, as a start for people to correct. Where a module says little,
//! the rule is cautious.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use crate::mib::index::{Base, Coding, Kind, Mib, Object, Syntax};
use crate::settings::section::quoted;

/// The `--#` comments in the macros of notifications (`--#SEVERITY` and similar), by the name of the notification.
pub type Annotations = HashMap<String, Annotation>;

/// The comments of one notification.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotation {
    /// `--#SEVERITY`
    pub severity: Option<String>,
    /// `--#STATE`
    pub state: Option<String>,
    /// `--#SUMMARY`, with `%s` for its arguments.
    pub summary: Option<String>,
    /// `--#ARGUMENTS`: positions of varbinds, from 0.
    pub arguments: Vec<usize>,
}

/// Words in names for a problem, and words for its end. A word that contains another one comes before it.
const WRONG: [&str; 21] = [
    "Disconnected",
    "Critical",
    "Exceeded",
    "Overload",
    "Failure",
    "Offline",
    "Removed",
    "Warning",
    "Degraded",
    "Failed",
    "Abnormal",
    "Raised",
    "Alarm",
    "Fault",
    "Error",
    "Raise",
    "Lost",
    "Fail",
    "Down",
    "High",
    "Low",
];
const OVER: [&str; 19] = [
    "Established",
    "Recovered",
    "Connected",
    "Restored",
    "Inserted",
    "Resolved",
    "Returned",
    "Cleared",
    "Normal",
    "Online",
    "Passed",
    "Clear",
    "Ended",
    "Okay",
    "Good",
    "Up",
    "OK",
    "Ok",
    "Off",
];
/// Good and bad names of enumerated values.
const GOOD: [&str; 12] = [
    "ok",
    "up",
    "normal",
    "online",
    "active",
    "good",
    "operational",
    "present",
    "enabled",
    "running",
    "clear",
    "on",
];
const BAD: [&str; 14] = [
    "down",
    "failed",
    "critical",
    "error",
    "offline",
    "fail",
    "fault",
    "faulty",
    "notPresent",
    "shutdown",
    "warning",
    "lowerLayerDown",
    "notFunctioning",
    "degraded",
];

/// Reads the annotations in the text of a module.
pub fn annotations(text: &str) -> Annotations {
    let mut all = Annotations::new();
    let mut current: Option<String> = None;
    for line in text.lines() {
        let line = line.trim();
        let mut words = line.split_whitespace();
        if let (Some(name), Some("TRAP-TYPE" | "NOTIFICATION-TYPE")) = (words.next(), words.next()) {
            current = Some(name.to_owned());
        }
        if let (Some(name), Some(comment)) = (&current, line.strip_prefix("--#")) {
            let annotation = all.entry(name.clone()).or_default();
            let (key, value) = comment.split_once(char::is_whitespace).unwrap_or((comment, ""));
            let value = value.trim().trim_matches('"').to_owned();
            match key {
                "SEVERITY" => annotation.severity = Some(value),
                "STATE" => annotation.state = Some(value),
                "SUMMARY" => annotation.summary = Some(value),
                "ARGUMENTS" => {
                    let numbers = value.trim_matches(['{', '}']).split(',');
                    annotation.arguments = numbers.filter_map(|n| n.trim().parse().ok()).collect();
                }
                _ => {}
            }
        } else if line.starts_with("::=") {
            current = None;
        }
    }
    all
}

/// Rules for the notifications of these modules, each with a test. If several have one OID, only for the first.
pub fn rules(mib: &Mib, modules: &[&str], annotations: &Annotations) -> String {
    let mut text = String::from(
        "# Made from MIB modules by `trapline mib rules`. Review the rules before you use them: states and services are guesses.\n",
    );
    let mut seen = HashSet::new();
    for notification in mib.objects().iter().filter(|o| o.kind == Kind::Notification) {
        if !modules.contains(&&*notification.module) {
            continue;
        }
        if !seen.insert(notification.oid.clone()) {
            let _ =
                writeln!(text, "\n# {} has the same OID as a notification above.", notification.qualified());
            continue;
        }
        let annotation = annotations.get(&*notification.name).cloned().unwrap_or_default();
        rule(&mut text, mib, notification, &annotation);
    }
    text
}

fn rule(text: &mut String, mib: &Mib, notification: &Object, annotation: &Annotation) {
    let mut objects: Vec<&Object> = Vec::new();
    for object in mib.objects_of(notification).filter(|o| o.kind == Kind::Object) {
        if !objects.iter().any(|other| other.oid == object.oid) {
            objects.push(object);
        }
    }
    let (subject, word_state) = by_name(&notification.name);
    let state = state(&objects, annotation, word_state);
    let instance = objects.iter().find_map(|object| index_of(object, mib));
    let service = match &instance {
        Some(index) => format!("{subject} {{{{ index['{index}'] }}}}"),
        None => subject,
    };
    let output = match &annotation.summary {
        Some(summary) => summarise(summary, &annotation.arguments),
        None => "{{ trap }} {{ text }}".to_owned(),
    };
    let id = format!("{}-{}", notification.module, notification.name).to_lowercase();
    let (expression, expected) = match &state {
        ProposedState::Fixed(state) => ((*state).to_owned(), *state),
        ProposedState::By { object, good, expected } => {
            let names: Vec<String> = good.iter().map(|name| format!("'{name}'")).collect();
            (format!("'ok' if v['{object}'] in [{}] else 'critical'", names.join(", ")), *expected)
        }
    };
    let _ = write!(
        text,
        "\n[[rule]]\nid = {}\ntrap = {}\n[rule.check]\nservice = {}\nstate = {}\noutput = {}\n[[rule.test]]\ntrap = {}\n",
        quoted(&id),
        quoted(&notification.qualified()),
        quoted(&service),
        quoted(&expression),
        quoted(&output),
        quoted(&notification.qualified()),
    );
    let varbinds: Vec<String> = objects
        .iter()
        .map(|object| {
            format!(
                "{} = {}",
                quoted(&format!("{}.{}", object.qualified(), example_instance(object))),
                example(object)
            )
        })
        .collect();
    if !varbinds.is_empty() {
        let _ = writeln!(text, "varbinds = {{ {} }}", varbinds.join(", "));
    }
    let _ = writeln!(text, "expect = {{ state = \"{expected}\" }}");
}

enum ProposedState {
    Fixed(&'static str),
    /// By the value of an object.
    By {
        object: String,
        good: Vec<String>,
        expected: &'static str,
    },
}

fn state(objects: &[&Object], annotation: &Annotation, word: Option<&'static str>) -> ProposedState {
    let said = annotation.severity.as_deref().map(str::to_uppercase);
    let said = match said.as_deref() {
        Some("INFORMATIONAL" | "INFO" | "NORMAL" | "CLEARED") => Some("ok"),
        Some("MINOR" | "WARNING") => Some("warning"),
        Some("MAJOR" | "CRITICAL" | "SEVERE") => Some("critical"),
        _ => match annotation.state.as_deref().map(str::to_uppercase).as_deref() {
            Some("OPERATIONAL") => Some("ok"),
            Some("DEGRADED") => Some("warning"),
            Some("NONOPERATIONAL") => Some("critical"),
            _ => None,
        },
    };
    if let Some(state) = said.or(word) {
        return ProposedState::Fixed(state);
    }
    for object in objects {
        let names = || object.syntax.enums.iter().map(|(_, name)| &**name);
        let good: Vec<String> = names().filter(|name| GOOD.contains(name)).map(str::to_owned).collect();
        if !good.is_empty() && names().any(|name| BAD.contains(&name)) {
            let first = names().next().is_some_and(|first| good.iter().any(|name| name == first));
            let expected = if first { "ok" } else { "critical" };
            return ProposedState::By { object: object.qualified(), good, expected };
        }
    }
    // Unknown: somebody should look.
    ProposedState::Fixed("warning")
}

/// The subject of a notification in words, without the word for its state; and that state.
fn by_name(name: &str) -> (String, Option<&'static str>) {
    let strip = |word: &str| {
        let at = name.rfind(word)?;
        let (before, after) = (&name[..at], &name[at + word.len()..]);
        // A complete word, not the start of a longer one.
        let whole = !after.starts_with(|c: char| c.is_ascii_lowercase());
        let rest = format!("{before}{after}");
        (whole && !rest.is_empty()).then_some(rest)
    };
    let found = |words: &[&str], state| words.iter().find_map(|word| Some((strip(word)?, Some(state))));
    let bad = if name.contains("Warning") || name.contains("Low") || name.contains("High") {
        "warning"
    } else {
        "critical"
    };
    // A word for the end of a problem comes last in a name and decides: "FailureCleared" is ok.
    let over = OVER.iter().find(|word| name.ends_with(**word) || name.ends_with(&format!("{word}Trap")));
    let (rest, state) = match over {
        Some(word) => {
            let rest = strip(word).unwrap_or_else(|| name.to_owned());
            let inner =
                WRONG.iter().find_map(|wrong| rest.strip_suffix(wrong)).filter(|inner| !inner.is_empty());
            (inner.map_or(rest.clone(), str::to_owned), Some("ok"))
        }
        None => found(&WRONG, bad).unwrap_or((name.to_owned(), None)),
    };
    (words(&rest), state)
}

/// `upsBatteryTest` as `ups battery test`. Acronyms stay in capitals.
fn words(name: &str) -> String {
    let chars: Vec<char> = name.chars().collect();
    let mut text = String::new();
    for (at, c) in chars.iter().enumerate() {
        let after_small = at > 0 && !chars[at - 1].is_ascii_uppercase();
        let before_small = chars.get(at + 1).is_some_and(char::is_ascii_lowercase);
        if at > 0 && c.is_ascii_uppercase() && (after_small || before_small) && !text.ends_with(' ') {
            text.push(' ');
        }
        if matches!(c, '-' | '_') {
            text.push(' ');
        } else if c.is_ascii_uppercase() && before_small {
            text.push(c.to_ascii_lowercase());
        } else {
            text.push(*c);
        }
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The first index of a column, which distinguishes its services.
fn index_of(column: &Object, mib: &Mib) -> Option<String> {
    let at = column.indexes.first()?.object?;
    mib.objects().get(at as usize).map(Object::qualified)
}

fn summarise(summary: &str, arguments: &[usize]) -> String {
    let mut places = arguments.iter();
    let mut text = String::new();
    let mut rest = summary.replace("{{", "{ {").replace("{%", "{ %").replace("{#", "{ #");
    while let Some(at) = rest.find('%') {
        let after = rest[at + 1..].chars().next();
        text.push_str(&rest[..at]);
        match (after, places.next()) {
            (Some('s' | 'd' | 'x' | 'c'), Some(place)) => {
                let _ = write!(text, "{{{{ v[{}] }}}}", place + 1);
                rest = rest[at + 2..].to_owned();
            }
            _ => {
                text.push('%');
                rest = rest[at + 1..].to_owned();
            }
        }
    }
    text + &rest
}

fn example_instance(object: &Object) -> String {
    if object.indexes.is_empty() {
        return "0".to_owned();
    }
    let part = |coding: Coding| match coding {
        Coding::Integer | Coding::RestOid => "1".to_owned(),
        Coding::Address => "192.0.2.1".to_owned(),
        Coding::Fixed(size) => vec!["65"; usize::from(size)].join("."),
        Coding::Counted => "1.65".to_owned(),
        Coding::Rest => "65".to_owned(),
        Coding::CountedOid => "2.1.3".to_owned(),
    };
    object.indexes.iter().map(|p| part(p.coding)).collect::<Vec<_>>().join(".")
}

fn example(object: &Object) -> String {
    let Syntax { base, enums, .. } = &*object.syntax;
    match (base, enums.first()) {
        (Base::Integer, Some((_, name))) => quoted(name),
        (Base::Octets, _) => quoted("x"),
        (Base::ObjectId, _) => quoted("1.3.6.1.4.1"),
        (Base::IpAddress, _) => quoted("192.0.2.1"),
        _ => "1".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_and_how() {
        for (name, subject, state) in [
            ("linkDown", "link", Some("critical")),
            ("linkUp", "link", Some("ok")),
            ("ciscoEnvMonFanFailed", "cisco env mon fan", Some("critical")),
            ("upsBatteryLow", "ups battery", Some("warning")),
            ("fanFailureCleared", "fan", Some("ok")),
            ("ospfNbrStateChange", "ospf nbr state change", None),
            ("fgTrapVpnTunUp", "fg trap vpn tun", Some("ok")),
            ("bgpBackwardTransition", "bgp backward transition", None),
        ] {
            assert_eq!(by_name(name), (subject.to_owned(), state), "{name}");
        }
    }

    #[test]
    fn comments_of_a_trap_type() {
        let all = annotations(
            "x TRAP-TYPE\n ENTERPRISE y\n--#TYPE \"z\"\n--#SUMMARY \"Unit %s has %d, 5%\"\n--#ARGUMENTS {0, 2}\n--#SEVERITY MAJOR\n--#STATE DEGRADED\n::= 1\n--#SEVERITY MINOR\n",
        );
        let x = &all["x"];
        assert_eq!((x.severity.as_deref(), x.state.as_deref()), (Some("MAJOR"), Some("DEGRADED")));
        assert_eq!(
            summarise(x.summary.as_deref().unwrap(), &x.arguments),
            "Unit {{ v[1] }} has {{ v[3] }}, 5%"
        );
    }
}
