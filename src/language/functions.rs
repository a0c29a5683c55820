//! Filters and tests that the language has beside minijinja's: patterns, networks, bits, numbers, times.
//!
//! | call | result |
//! |---|---|
//! | `x is matching('re')` | whether the pattern matches anywhere in the text of x |
//! | `x is within('192.0.2.0/24', '10.0.0.1-10.0.0.9')` | whether x is an address in one of the networks or ranges |
//! | `x is any_bit(8)` | whether the number x has one of these bits |
//! | `x\|number` | the number at the start of a text, 0 without one; the number of an enumeration or of a DISPLAY-HINT |
//! | `x\|regex_replace('re', 'text', 1)` | the text with matches replaced, at most this many times |
//! | `x\|strftime('%H:%M')` | seconds since 1970 as local time |
//!
//! Arguments must be literals: they are read once, when the template is compiled, and mistakes are found then.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::Arc;

use minijinja::machinery::ast::{CallArg, Expr};
use minijinja::value::Value;

use crate::language::budget;
use crate::language::pattern::Pattern;
use crate::language::value::Val;
use crate::settings::values::{in_a_line, network};

/// The units of a time, by how long it takes to look up its zone.
const STRFTIME: u64 = 2000;

/// The filters.
pub const FILTERS: [&str; 3] = ["number", "regex_replace", "strftime"];
/// The tests.
pub const TESTS: [&str; 3] = ["any_bit", "matching", "within"];

/// How a name is called. One name can be a filter and a test with different meanings (`number`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum As {
    /// `x|name`
    Filter,
    /// `x is name`
    Test,
}

/// A call with its arguments.
#[derive(Debug, Clone)]
pub enum Call {
    /// `is matching(...)`
    Matching(Pattern),
    /// `is within(...)`
    Within(Arc<[Addresses]>),
    /// `is any_bit(...)`
    AnyBit(i128),
    /// `|number`
    Number,
    /// `|regex_replace(...)`
    Replace {
        /// The pattern to replace.
        pattern: Pattern,
        /// The replacement; `$1` and `${name}` stand for groups.
        by: Box<str>,
        /// The maximum number of replacements; 0 for all.
        most: usize,
    },
    /// `|strftime(...)`
    Strftime(Box<str>),
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    first: IpAddr,
    last: IpAddr,
}

/// Invalid arguments of a call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Too few or too many arguments, or arguments of the wrong type. Holds the name and a correct call.
    #[error("wrong arguments for '{0}'")]
    Arguments(&'static str, &'static str),
    /// An argument is no literal.
    #[error("the arguments of '{0}' must be literals")]
    Computed(String),
    /// An invalid regular expression.
    #[error("invalid regular expression '{pattern}': {error}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// The error in it.
        error: String,
    },
    /// Neither an address nor a network nor a range.
    #[error("invalid address, network or range '{0}'")]
    Addresses(String),
    /// An invalid time format.
    #[error("invalid time format '{format}': {error}")]
    Format {
        /// The format.
        format: String,
        /// The error in it.
        error: String,
    },
}

impl CallError {
    /// What to write instead.
    pub fn hint(&self) -> String {
        match self {
            CallError::Arguments(_, call) => format!("write {call}"),
            CallError::Computed(_) => {
                "write the text itself in quotes; variables are not possible here".to_owned()
            }
            CallError::Pattern { .. } => REGEX_SYNTAX.to_owned(),
            CallError::Addresses(_) => "write 192.0.2.1, 192.0.2.0/24 or 192.0.2.1-192.0.2.9".to_owned(),
            CallError::Format { .. } => {
                "write the format as for date(1), such as '%Y-%m-%d %H:%M:%S'".to_owned()
            }
        }
    }
}

/// The hint for patterns that the regex crate refuses.
pub const REGEX_SYNTAX: &str =
    "the syntax is that of the Rust crate regex: no look-around, no back-references";

impl Call {
    /// The call that a filter or test in the syntax tree is; none if it is none of [`FILTERS`] and [`TESTS`].
    ///
    /// # Errors
    ///
    /// [`CallError`], if the arguments are invalid.
    pub fn of_syntax(called: As, name: &str, args: &[CallArg<'_>]) -> Option<Result<Self, CallError>> {
        let ours = match called {
            As::Filter => &FILTERS,
            As::Test => &TESTS,
        };
        if !ours.contains(&name) {
            return None;
        }
        let written = |arg: &CallArg<'_>| match arg {
            CallArg::Pos(Expr::Const(constant)) => Some(constant.value.clone()),
            _ => None,
        };
        let values: Option<Vec<Value>> = args.iter().map(written).collect();
        Some(values.ok_or_else(|| CallError::Computed(name.to_owned())).and_then(|v| Self::new(name, &v)))
    }

    /// The call of a name with these arguments.
    ///
    /// # Errors
    ///
    /// [`CallError`], if the arguments are invalid.
    pub fn new(name: &str, args: &[Value]) -> Result<Self, CallError> {
        match (name, args) {
            ("matching", [pattern]) if pattern.as_str().is_some() => {
                Ok(Call::Matching(regex(pattern.as_str().unwrap_or_default())?))
            }
            ("matching", _) => Err(CallError::Arguments("matching", "x is matching('pattern')")),
            ("within", [_, ..]) => args
                .iter()
                .map(|a| a.as_str().unwrap_or_default().parse())
                .collect::<Result<_, _>>()
                .map(Call::Within),
            ("within", []) => {
                Err(CallError::Arguments("within", "x is within('192.0.2.0/24', '192.0.2.1-192.0.2.9')"))
            }
            ("any_bit", [bits]) if bits.is_integer() => {
                Ok(Call::AnyBit(i128::try_from(bits.clone()).unwrap_or_default()))
            }
            ("any_bit", _) => Err(CallError::Arguments("any_bit", "x is any_bit(8)")),
            ("number", []) => Ok(Call::Number),
            ("number", _) => Err(CallError::Arguments("number", "x|number")),
            ("strftime", [format]) if format.as_str().is_some() => {
                let format = format.as_str().unwrap_or_default();
                match local_time(0, format) {
                    Ok(_) => Ok(Call::Strftime(format.into())),
                    Err(error) => Err(CallError::Format { format: format.to_owned(), error }),
                }
            }
            ("strftime", _) => {
                Err(CallError::Arguments("strftime", "received|strftime('%Y-%m-%d %H:%M:%S')"))
            }
            (_, args) => Self::replace(args).unwrap_or(Err(CallError::Arguments(
                "regex_replace",
                "x|regex_replace('pattern', 'text', 1)",
            ))),
        }
    }

    /// `regex_replace(pattern, by, most)`; none if the types of the arguments are wrong.
    fn replace(args: &[Value]) -> Option<Result<Self, CallError>> {
        let (pattern, by, most) = match args {
            [pattern, by] => (pattern.as_str()?, by.as_str()?, 0),
            [pattern, by, most] => (pattern.as_str()?, by.as_str()?, usize::try_from(most.clone()).ok()?),
            _ => return None,
        };
        Some(regex(pattern).map(|pattern| Call::Replace { pattern, by: by.into(), most }))
    }

    /// Whether it takes time that is linear in the length of the value.
    pub fn is_linear(&self) -> bool {
        !matches!(self, Call::Matching(_) | Call::Replace { .. })
    }

    /// The result of the call for a value. Without meaning if it goes over budget.
    pub fn apply<'m>(&self, value: Val<'m>) -> Val<'m> {
        match self {
            Call::Matching(pattern) => {
                Val::Bool(value != Val::Undefined && pattern.is_match(&value.into_text()))
            }
            Call::Within(all) => {
                let address = value.into_text().trim().parse().map(|address: IpAddr| address.to_canonical());
                Val::Bool(address.is_ok_and(|address| {
                    all.iter().any(|a| {
                        a.first.is_ipv4() == address.is_ipv4() && a.first <= address && address <= a.last
                    })
                }))
            }
            Call::AnyBit(bits) => Val::Bool(number(value).whole().is_some_and(|number| number & bits != 0)),
            Call::Number => number(value),
            Call::Replace { pattern, by, most } => {
                let text = value.into_text();
                match pattern.replace(&text, *most, by) {
                    None => Val::Str(text),
                    Some(replaced) => Val::Str(replaced.into()),
                }
            }
            Call::Strftime(format) => {
                let seconds = match number(value) {
                    // The second that a fraction is in.
                    Val::Float(seconds) => Val::Float(seconds.floor()).whole(),
                    other => other.whole(),
                };
                match seconds {
                    Some(seconds) if budget::spend(STRFTIME) => Val::Str(
                        local_time(i64::try_from(seconds).unwrap_or(0), format).unwrap_or_default().into(),
                    ),
                    _ => Val::Undefined,
                }
            }
        }
    }
}

fn regex(pattern: &str) -> Result<Pattern, CallError> {
    Pattern::new(pattern)
        .map_err(|error| CallError::Pattern { pattern: pattern.to_owned(), error: in_a_line(&error) })
}

impl FromStr for Addresses {
    type Err = CallError;

    /// Parses an address, a network (`192.0.2.0/24`) or a range (`192.0.2.1-192.0.2.9`).
    fn from_str(text: &str) -> Result<Self, CallError> {
        let wrong = || CallError::Addresses(text.to_owned());
        let address = |text: &str| text.trim().parse::<IpAddr>().map_err(|_| wrong());
        if let Some((first, last)) = text.split_once('-') {
            let (first, last) = (address(first)?, address(last)?);
            let ordered = first.is_ipv4() == last.is_ipv4() && first <= last;
            return ordered.then_some(Addresses { first, last }).ok_or_else(wrong);
        }
        let net = network(text.trim()).map_err(|_| wrong())?;
        Ok(Addresses { first: net.network(), last: net.broadcast() })
    }
}

/// The number that a value is, or that its text starts with.
fn number(value: Val<'_>) -> Val<'static> {
    match value {
        Val::Undefined => Val::Undefined,
        Val::Bool(b) => Val::Int(i128::from(b)),
        Val::Int(number) => Val::Int(number),
        Val::Float(number) => Val::Float(number),
        Val::Named { number, .. } => Val::Int(number.into()),
        Val::Shown(shown) => shown.number.into(),
        Val::Str(text) => leading_number(text.trim_start()),
    }
}

fn leading_number(text: &str) -> Val<'static> {
    let signed = usize::from(text.starts_with(['-', '+']));
    let digits = |from: usize| text[from..].bytes().take_while(u8::is_ascii_digit).count();
    let whole = signed + digits(signed);
    let fraction = if text[whole..].starts_with('.') { digits(whole + 1) } else { 0 };
    if fraction > 0 {
        return text[..=whole + fraction].parse().map_or(Val::Int(0), Val::Float);
    }
    let text = &text[..whole];
    match text.parse() {
        Ok(number) => Val::Int(number),
        // Without a digit it is no number either way.
        Err(_) => text.parse().map_or(Val::Int(0), Val::Float),
    }
}

fn local_time(seconds: i64, format: &str) -> Result<String, String> {
    let time = jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let local = time.to_zoned(jiff::tz::TimeZone::system());
    jiff::fmt::strtime::format(format, &local).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(name: &str, args: &[Value], value: Val<'static>) -> Val<'static> {
        Call::new(name, args).unwrap().apply(value)
    }

    fn text(text: &'static str) -> Val<'static> {
        Val::Str(text.into())
    }

    #[test]
    fn addresses_in_networks_and_ranges() {
        for (address, of, holds) in [
            ("192.168.1.7", "192.168.1.0/24", true),
            ("192.168.2.7", "192.168.1.0/24", false),
            ("192.168.1.7", "192.168.1.7", true),
            ("10.0.0.9", "10.0.0.1-10.0.0.9", true),
            ("10.0.0.10", "10.0.0.1-10.0.0.9", false),
            ("2001:db8::1", "2001:db8::/32", true),
            ("2001:db8::1", "0.0.0.0/0", false),
            ("::ffff:10.0.0.1", "10.0.0.0/8", true),
            ("10.0.0.1", "::ffff:10.0.0.0/104", true),
            ("down", "0.0.0.0/0", false),
        ] {
            assert_eq!(call("within", &[of.into()], text(address)), Val::Bool(holds), "{address} {of}");
        }
    }

    #[test]
    fn numbers_as_texts_begin_with_them() {
        for (from, is) in [("52", 52), ("-3 V", -3), ("12 of 20", 12), ("down", 0), ("", 0), ("-", 0)] {
            assert_eq!(call("number", &[], text(from)), Val::Int(is), "{from}");
        }
        assert_eq!(call("number", &[], text(" 2.5V")), Val::Float(2.5));
        let nines = |count: usize| Val::Str("9".repeat(count).into());
        let exact = Val::Int(10i128.pow(38) - 1);
        assert_eq!(call("number", &[], nines(38)), exact, "16 octets are exact");
        assert_eq!(call("number", &[], nines(50)), Val::Float(1e50));
        assert_eq!(call("number", &[], Val::Undefined), Val::Undefined);
        assert_eq!(call("number", &[], Val::Named { number: 2, name: "down" }), Val::Int(2));
        assert_eq!(call("any_bit", &[8.into()], Val::Int(9)), Val::Bool(true));
        assert_eq!(call("any_bit", &[6.into()], Val::Int(9)), Val::Bool(false));
    }

    #[test]
    fn replacing_once_or_always_with_groups() {
        let replace = |args: &[Value]| call("regex_replace", args, text("a1 b2")).into_text().into_owned();
        assert_eq!(replace(&["[0-9]".into(), "x".into()]), "ax bx");
        assert_eq!(replace(&["[0-9]".into(), "x".into(), 1.into()]), "ax b2");
        assert_eq!(replace(&["([a-z])([0-9])".into(), "$2$1".into()]), "1a 2b");
        assert_eq!(replace(&["z".into(), "x".into()]), "a1 b2");
    }

    #[test]
    fn invalid_arguments() {
        for (name, args, says) in [
            ("matching", vec!["(".into()], "invalid regular expression '(': unclosed group"),
            (
                "within",
                vec!["10.0.0.9-10.0.0.1".into()],
                "invalid address, network or range '10.0.0.9-10.0.0.1'",
            ),
            ("within", vec![], "wrong arguments for 'within'"),
            ("any_bit", vec!["x".into()], "wrong arguments for 'any_bit'"),
            ("strftime", vec!["%!".into()], "invalid time format '%!'"),
            ("regex_replace", vec!["a".into()], "wrong arguments for 'regex_replace'"),
            (
                "regex_replace",
                vec!["a".into(), "b".into(), "c".into()],
                "wrong arguments for 'regex_replace'",
            ),
        ] {
            let error = Call::new(name, &args).unwrap_err().to_string();
            assert!(error.starts_with(says), "{error}");
        }
    }
}
