//! Parses `snmptt.conf`: EVENTs with their lines.

use crate::import::snmptt::left_out::LeftOut;

/// A line of an EVENT, without its keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The line number, from 1.
    pub number: usize,
    /// The text behind the keyword.
    pub text: String,
}

/// One EVENT.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// The line number of the keyword EVENT.
    pub line: usize,
    /// `EVENT name`
    pub name: String,
    /// The OID, possibly with a wildcard, or a name.
    pub oid: String,
    /// `"category"`
    pub category: String,
    /// `severity`
    pub severity: String,
    /// FORMAT; the last one if there are several.
    pub format: Option<Line>,
    /// EXEC
    pub exec: Vec<Line>,
    /// PREEXEC
    pub preexec: Vec<Line>,
    /// NODES
    pub nodes: Vec<Line>,
    /// MATCH
    pub matches: Vec<Line>,
    /// REGEX
    pub regex: Vec<Line>,
    /// SDESC to EDESC
    pub description: String,
}

/// Parses a file. `left_out` gets the lines that snmptt ignores, with their numbers.
pub fn events(text: &str, mut left_out: impl FnMut(usize, LeftOut)) -> Vec<Event> {
    let mut events: Vec<Event> = Vec::new();
    let mut in_description = false;
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let line = line.replace('\r', "");
        if line.starts_with("EVENT") {
            in_description = false;
            events.push(event(number, &line));
            continue;
        }
        if in_description {
            in_description = !line.starts_with("EDESC");
            if let (true, Some(event)) = (in_description, events.last_mut()) {
                event.description.push_str(&line);
                event.description.push('\n');
            }
            continue;
        }
        // snmpttconvertmib writes the name of the module so.
        if line.trim().is_empty() || line.trim_start().starts_with('#') || line.starts_with("MIB: ") {
            continue;
        }
        let Some(event) = events.last_mut() else {
            left_out(number, LeftOut::BeforeTheFirst);
            continue;
        };
        // snmptt cuts off the keyword and one character behind it, whatever it is.
        let after =
            |keyword: &str| Line { number, text: line.get(keyword.len() + 1..).unwrap_or("").to_owned() };
        match line.split(|c: char| !c.is_ascii_uppercase()).next().unwrap_or("") {
            "FORMAT" => {
                if let Some(former) = event.format.replace(after("FORMAT")) {
                    left_out(former.number, LeftOut::SecondFormat);
                }
            }
            "EXEC" => event.exec.push(after("EXEC")),
            "PREEXEC" => event.preexec.push(after("PREEXEC")),
            "NODES" => event.nodes.push(after("NODES")),
            "MATCH" => event.matches.push(after("MATCH")),
            "REGEX" => event.regex.push(after("REGEX")),
            "SDESC" => in_description = true,
            "EDESC" => {}
            _ => left_out(number, LeftOut::UnknownLine),
        }
    }
    events
}

fn event(line: usize, text: &str) -> Event {
    let mut words = words(text).into_iter().skip(1);
    let mut next = || words.next().unwrap_or_default();
    Event { line, name: next(), oid: next(), category: next(), severity: next(), ..Event::default() }
}

/// Words, without their quotes.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '"' | '\'') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None | Some('"'), '\\') => word.get_or_insert_default().extend(chars.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The OID of an EVENT as `trap` of a rule has it: without the dot before, `*` for all.
pub fn trap(oid: &str) -> &str {
    match oid {
        // One number alone is no OID (ITU-T X.690, section 8.19.4); all that SNMP names are below this one.
        ".1.*" => "1.3.*",
        oid => oid.strip_prefix('.').unwrap_or(oid),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_with_their_lines() {
        let mut left = Vec::new();
        let events = events(
            "# comment\nstray\nEVENT linkDown .1.3.6.1.6.3.1.1.5.3 \"Status Events\" Normal\r\nFORMAT Link $1  \n\
             NODES a b\nNODES MODE=NEG\nSDESC\nA text\nFORMAT no\nEDESC\nFOO x\nEVENT x .1.* \"\" Minor\nEXEC a \"b\"\n",
            |line, what| left.push((line, what)),
        );
        assert_eq!(left, [(2, LeftOut::BeforeTheFirst), (11, LeftOut::UnknownLine)]);
        let [down, x] = &events[..] else { panic!("{events:?}") };
        assert_eq!(
            (down.line, &*down.name, &*down.category, &*down.severity),
            (3, "linkDown", "Status Events", "Normal")
        );
        assert_eq!(down.format, Some(Line { number: 4, text: "Link $1  ".into() }));
        assert_eq!((down.nodes.len(), &*down.description), (2, "A text\nFORMAT no\n"));
        assert_eq!((&*x.oid, &*x.category, &*x.exec[0].text), (".1.*", "", "a \"b\""));
    }
}
