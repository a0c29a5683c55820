//! Translates NODES and MATCH to conditions.

use crate::import::snmptt::left_out::LeftOut;
use crate::import::snmptt::parse::Line;
use crate::import::snmptt::perl;
use crate::import::snmptt::substitute::{Meaning, Piece, Variable, pieces};
use crate::language::functions::Addresses;
use crate::language::syntax::quoted;

/// Reads a file that NODES names.
pub type ReadNodes<'r> = &'r dyn Fn(&str) -> std::io::Result<String>;

/// The condition of NODES lines; none without lines. `left_out` gets nodes that snmptt does not understand.
///
/// # Errors
///
/// [`LeftOut`] with its line, if the condition cannot be translated.
pub fn nodes(
    lines: &[Line],
    read: ReadNodes<'_>,
    left_out: &mut impl FnMut(usize, LeftOut),
) -> Result<Option<String>, (usize, LeftOut)> {
    let Some(first) = lines.first() else { return Ok(None) };
    let mut all: Vec<(usize, String)> = Vec::new();
    for line in lines {
        for word in line.text.split_whitespace() {
            let is_file = word.contains(['/', '\\']) && !word.contains(':') && !begins_with_ipv4(word);
            if !is_file {
                all.push((line.number, word.to_owned()));
                continue;
            }
            let text = read(word).map_err(|error| {
                (line.number, LeftOut::NodesFile { file: word.to_owned(), error: error.to_string() })
            })?;
            let lines =
                text.lines().filter(|l| !l.starts_with('#') && !l.contains(" #") && !l.contains("\t#"));
            all.extend(lines.flat_map(str::split_whitespace).map(|word| (line.number, word.to_owned())));
        }
    }
    let (mut addresses, mut names, mut negative) = (Vec::new(), Vec::new(), false);
    for (number, word) in all {
        let lower = word.to_lowercase();
        if let Some(mode) = lower.strip_prefix("mode=") {
            negative |= mode.starts_with("neg");
        } else if word.contains(':') || begins_with_ipv4(&word) {
            match word.parse::<Addresses>() {
                Ok(_) => addresses.push(quoted(&word)),
                Err(_) => left_out(number, LeftOut::Node(word)),
            }
        } else {
            names.push(quoted(&lower));
        }
    }
    let mut conditions = Vec::new();
    if !addresses.is_empty() {
        conditions.push(format!("agent is within({})", addresses.join(", ")));
    }
    if !names.is_empty() {
        conditions.push(format!("host|lower in [{}]", names.join(", ")));
    }
    match (conditions.as_slice(), negative) {
        ([], true) => Ok(None),
        ([], false) => Err((first.number, LeftOut::NoNodes)),
        ([one], false) => Ok(Some(one.clone())),
        (several, false) => Ok(Some(format!("({})", several.join(" or ")))),
        (several, true) => Ok(Some(format!("not ({})", several.join(" or ")))),
    }
}

fn begins_with_ipv4(word: &str) -> bool {
    let parts: Vec<&str> = word.splitn(4, '.').collect();
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    parts.len() == 4
        && parts[..3].iter().all(|part| digits(part))
        && parts[3].starts_with(|c: char| c.is_ascii_digit())
}

/// The condition of MATCH lines; none without lines. `left_out` gets conditions that never hold.
///
/// # Errors
///
/// [`LeftOut`] with its line, if the condition cannot be translated.
pub fn matches(
    lines: &[Line],
    meaning: &Meaning<'_>,
    left_out: &mut impl FnMut(usize, LeftOut),
) -> Result<Option<String>, (usize, LeftOut)> {
    let Some(first) = lines.first() else { return Ok(None) };
    let mode = |line: &Line| {
        let text: String = line.text.split_whitespace().collect::<String>().to_lowercase();
        text.strip_prefix("mode=").map(str::to_owned)
    };
    // The first of several counts, unlike the manual says.
    let and = lines.iter().find_map(mode).is_some_and(|mode| mode == "and");
    let mut conditions = Vec::new();
    for line in lines.iter().filter(|line| mode(line).is_none()) {
        match condition(&line.text, meaning) {
            Ok(condition) => conditions.push(condition),
            // One of several must hold, so the others are enough.
            Err(error @ LeftOut::NeverHolds) if !and && lines.len() > 1 => left_out(line.number, error),
            Err(error) => return Err((line.number, error)),
        }
    }
    match conditions.as_slice() {
        [] => Err((first.number, LeftOut::NeverHolds)),
        [one] => Ok(Some(one.clone())),
        several => {
            let joined = several.join(if and { " and " } else { " or " });
            Ok(Some(if and { joined } else { format!("({joined})") }))
        }
    }
}

/// `$3: !(regex)i`, `$3: 1-5` and the like.
fn condition(text: &str, meaning: &Meaning<'_>) -> Result<String, LeftOut> {
    let (variable, test) = text.trim().split_once(':').ok_or(LeftOut::NeverHolds)?;
    let of = pieces(variable.trim());
    if !variable.trim().starts_with('$') {
        return Err(LeftOut::NeverHolds);
    }
    let test = test.trim();
    let (not, test) = test.strip_prefix('!').map_or((false, test), |rest| (true, rest.trim_start()));
    let [Piece::Variable(Variable::Value(at))] = of.as_slice() else {
        let holds = test_of(&meaning.expression(&of)?, test)?;
        return Ok(if not { format!("not ({holds})") } else { holds });
    };
    // For a single varbind snmptt uses the value that snmptrapd passed on.
    let value = if meaning.ini.named_values { format!("v[{at}]") } else { format!("plain[{at}]") };
    let holds = test_of(&value, test)?;
    Ok(match (not, meaning.ini.named_values) {
        (false, _) => holds,
        // A missing or empty value matches nothing, negated or not.
        (true, false) => format!("({value} and not ({holds}))"),
        (true, true) => format!("({value}|default('') != '' and not ({holds}))"),
    })
}

fn test_of(value: &str, test: &str) -> Result<String, LeftOut> {
    if let (Some(open), Some(close)) = (test.find('('), test.rfind(')')) {
        let pattern = perl::pattern(test.get(open + 1..close).unwrap_or(""), test.ends_with('i'))?;
        return Ok(format!("{value} is matching({})", quoted(&pattern)));
    }
    let plain: String = test.split_whitespace().collect();
    let has_ipv4 = plain.match_indices('.').count() >= 3 && plain.split(['-', '/']).any(begins_with_ipv4);
    if plain.contains(':') || has_ipv4 {
        let _: Addresses = plain.parse().map_err(|_| LeftOut::Node(plain.clone()))?;
        return Ok(format!("{value} is within({})", quoted(&plain)));
    }
    if let Some(bits) = plain.strip_prefix('&') {
        let bits: u64 = bits.parse().map_err(|_| LeftOut::NeverHolds)?;
        return Ok(format!("{value} is any_bit({bits})"));
    }
    if !plain.contains(|c: char| c.is_ascii_digit()) {
        return Err(LeftOut::NeverHolds);
    }
    numbers(value, &plain)
}

/// A number as the language of rules has it: with a digit on both sides of its point, and with a point if it is too long for an integer.
fn written(number: &str) -> Result<String, LeftOut> {
    if !number.parse().is_ok_and(f64::is_finite) {
        return Err(LeftOut::NeverHolds);
    }
    let (sign, digits) = number.split_at(number.len() - number.trim_start_matches('-').len());
    let zero = if digits.starts_with('.') { "0" } else { "" };
    let number = format!("{sign}{zero}{}", digits.trim_end_matches('.'));
    let is_whole = !number.contains('.');
    Ok(match number.parse::<i64>() {
        Ok(whole) => whole.to_string(),
        Err(_) if is_whole => format!("{number}.0"),
        Err(_) => number,
    })
}

fn numbers(value: &str, test: &str) -> Result<String, LeftOut> {
    // The number at the start of the text, as in Perl.
    let number = |text: &str| {
        let end = text.trim_start_matches('-').find(|c: char| !c.is_ascii_digit() && c != '.');
        let sign = text.len() - text.trim_start_matches('-').len();
        let text = end.map_or(text, |end| &text[..end + sign]);
        written(text)
    };
    let value = format!("{value}|number");
    if test.contains(',') {
        let all = test.split(',').map(number).collect::<Result<Vec<_>, _>>()?;
        return Ok(format!("{value} in [{}]", all.join(", ")));
    }
    if let Some(least) = test.strip_prefix('>') {
        return Ok(format!("{value} > {}", number(least)?));
    }
    if let Some(most) = test.strip_prefix('<') {
        return Ok(format!("{value} < {}", number(most)?));
    }
    match test.split_once('-') {
        Some((from, to)) if !from.is_empty() && to.starts_with(|c: char| c.is_ascii_digit()) => {
            Ok(format!("{} <= {value} <= {}", number(from)?, number(to)?))
        }
        _ => Ok(format!("{value} == {}", number(test)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::snmptt::{Ini, LeftOut};

    fn said(lines: &[&str]) -> Result<Option<String>, (usize, LeftOut)> {
        let ini = Ini::default();
        let meaning = Meaning {
            ini: &ini,
            name: "x",
            oid: ".1.3",
            category: "c",
            severity: "Major",
            description: "",
            format: None,
        };
        let lines: Vec<Line> =
            lines.iter().zip(1..).map(|(text, number)| Line { number, text: (*text).into() }).collect();
        matches(&lines, &meaning, &mut |_, _| {})
    }

    #[test]
    fn every_form_of_match() {
        for (line, is) in [
            ("$2: 1000-2000", "1000 <= plain[2]|number <= 2000"),
            ("$3: 52", "plain[3]|number == 52"),
            ("$3: .5, -.5, 5., 0.5", "plain[3]|number in [0.5, -0.5, 5, 0.5]"),
            ("$3: 1, 2,3", "plain[3]|number in [1, 2, 3]"),
            ("$3: 007, 99999999999999999999", "plain[3]|number in [7, 99999999999999999999.0]"),
            ("$3: >20", "plain[3]|number > 20"),
            ("$3: < -5", "plain[3]|number < -5"),
            ("$1: &8", "plain[1] is any_bit(8)"),
            ("$5: !(alarm|critical)", "(plain[5] and not (plain[5] is matching('alarm|critical')))"),
            ("$6: (\\(1\\) remaining)", "plain[6] is matching('\\\\(1\\\\) remaining')"),
            ("$7: (power) i", "plain[7] is matching('(?i)power')"),
            ("$s: (Major)", "'Major' is matching('Major')"),
            ("$4: 192.168.1.10-192.168.1.20", "plain[4] is within('192.168.1.10-192.168.1.20')"),
            ("$4: ! 10.0.0.0/8", "(plain[4] and not (plain[4] is within('10.0.0.0/8')))"),
            ("$6: 2002:0:0:1234::/64", "plain[6] is within('2002:0:0:1234::/64')"),
            ("$A: (^r)", "host is matching('^r')"),
            ("$*: (x)", "(plain|join(' ')) is matching('x')"),
        ] {
            assert_eq!(said(&[line]).unwrap().unwrap(), is, "{line}");
        }
        assert_eq!(
            said(&["$1: 1", "MODE = AND", "$2: 2"]).unwrap().unwrap(),
            "plain[1]|number == 1 and plain[2]|number == 2"
        );
        assert_eq!(
            said(&["$1: 1", "$2: 2"]).unwrap().unwrap(),
            "(plain[1]|number == 1 or plain[2]|number == 2)"
        );
        assert_eq!(said(&["$1: 1", "$2: x"]).unwrap().unwrap(), "plain[1]|number == 1");
        assert_eq!(said(&["$1: 1", "$2: x", "MODE=and"]), Err((2, LeftOut::NeverHolds)));
        assert_eq!(said(&["$p1: (up)"]), Err((1, LeftOut::PreexecResult)));
        assert!(matches!(said(&["$1: ((?<=a)b)"]), Err((1, LeftOut::Pattern { .. }))));
    }

    #[test]
    fn nodes_of_all_kinds() {
        let read = |file: &str| match file {
            "/nodes" => Ok("# comment\nFred 192.0.2.1\n10.0.0.0/8 # no\n10.1.0.1-10.1.0.9\n".to_owned()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let said = |lines: &[&str]| {
            let lines: Vec<Line> =
                lines.iter().zip(1..).map(|(text, number)| Line { number, text: (*text).into() }).collect();
            nodes(&lines, &read, &mut |_, _| {})
        };
        assert_eq!(
            said(&["/nodes wilma", "2001:db8::/32"]).unwrap().unwrap(),
            "(agent is within('192.0.2.1', '10.1.0.1-10.1.0.9', '2001:db8::/32') or host|lower in ['fred', 'wilma'])"
        );
        assert_eq!(said(&["fred", "MODE=NEG"]).unwrap().unwrap(), "not (host|lower in ['fred'])");
        assert_eq!(said(&["MODE=NEG"]).unwrap(), None);
        assert_eq!(said(&["MODE=POS"]), Err((1, LeftOut::NoNodes)));
        assert!(matches!(said(&["/gone"]), Err((1, LeftOut::NodesFile { .. }))));
    }
}
