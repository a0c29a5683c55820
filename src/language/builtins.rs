//! minijinja's filters, tests and functions, each within the [budget].
//!
//! The engine starts without any. Those of the tables below are added; of each it is known what its work depends on. So one
//! that a new release of minijinja brings is unknown until it stands here. What a call needs is spent before it runs, what
//! it returns when it has run.
//!
//! Filters and tests for text get scalars as text and undefined as the empty string, those for numbers get a named number as
//! its number.

use minijinja::value::{Kwargs, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, filters, functions, tests};

use crate::language::budget::{self, ITEM};
use crate::language::convert::{number, scalar, text};
use crate::language::functions as calls;
use crate::language::value::Val;

/// How deep lists and maps may be nested.
const DEPTH: u32 = 16;
/// The units of a call of a filter or test for one item of a list.
const CALL: u64 = 256;
/// The units of rounding a number, which writes it with a thousand digits.
const ROUND: u64 = 20_000;

/// A filter: its name, the function, what its first argument becomes, and the units that it needs beside the weight of its
/// arguments and of its result.
type Filter = (&'static str, Value, fn(&Value) -> Value, fn(&[Value], u64) -> u64);

fn filter_table() -> Vec<Filter> {
    fn of<F, R, A>(function: F) -> Value
    where
        F: functions::Function<R, A>,
        R: minijinja::value::FunctionResult,
        A: for<'a> minijinja::value::FunctionArgs<'a>,
    {
        Value::from_function(function)
    }
    vec![
        ("abs", of(filters::abs), number, nothing),
        ("attr", of(filters::attr), same, nothing),
        ("batch", of(filters::batch), same, counted),
        ("bool", of(filters::bool), same, nothing),
        ("capitalize", of(filters::capitalize), text, nothing),
        ("chain", of(filters::chain), same, nothing),
        ("count", of(filters::length), text, nothing),
        ("d", of(filters::default), same, nothing),
        ("default", of(filters::default), same, nothing),
        ("dictsort", of(filters::dictsort), same, sorted),
        ("e", of(filters::escape), same, nothing),
        ("escape", of(filters::escape), same, nothing),
        ("first", of(filters::first), text, nothing),
        ("float", of(filters::float), number, nothing),
        ("format", of(filters::format), same, formatted),
        ("groupby", of(filters::groupby), same, sorted),
        ("indent", of(filters::indent), text, indented),
        ("int", of(filters::int), number, nothing),
        ("items", of(filters::items), same, nothing),
        ("join", of(filters::join), same, joined),
        ("last", of(filters::last), text, nothing),
        ("length", of(filters::length), text, nothing),
        ("lines", of(filters::lines), text, nothing),
        ("list", of(filters::list), same, nothing),
        ("lower", of(filters::lower), text, nothing),
        ("map", of(filters::map), same, called),
        ("max", of(filters::max), same, sorted),
        ("min", of(filters::min), same, sorted),
        ("pprint", of(filters::pprint), same, printed),
        ("reject", of(filters::reject), same, called),
        ("rejectattr", of(filters::rejectattr), same, called),
        ("replace", of(filters::replace), text, replaced),
        ("reverse", of(filters::reverse), text, nothing),
        ("round", of(filters::round), number, |_, _| ROUND),
        ("safe", of(filters::safe), same, nothing),
        ("select", of(filters::select), same, called),
        ("selectattr", of(filters::selectattr), same, called),
        ("slice", of(filters::slice), same, counted),
        ("sort", of(filters::sort), same, sorted),
        ("split", of(filters::split), text, nothing),
        ("string", of(filters::string), same, nothing),
        ("sum", of(filters::sum), same, summed),
        ("title", of(filters::title), text, nothing),
        ("trim", of(filters::trim), text, nothing),
        ("unique", of(filters::unique), same, sorted),
        ("upper", of(filters::upper), text, nothing),
        ("zip", of(filters::zip), same, nothing),
    ]
}

/// Adds all filters, tests and functions.
pub(super) fn add(engine: &mut Environment<'static>) {
    for (name, function, argument, cost) in filter_table() {
        engine.add_filter(name, move |state: &mut State, on: &Value, args: Rest<ValueOrKwargs>| {
            let rest = args.iter().map(|arg| (**arg).clone());
            let args: Vec<Value> = std::iter::once(argument(on)).chain(rest).collect();
            let weight = args.iter().map(weight).fold(0, u64::saturating_add);
            spend(weight.saturating_add(cost(&args, weight)))?;
            admit(function.call(state, &args)?)
        });
    }
    let range = Value::from_function(functions::range);
    for (name, function) in [
        ("dict", Value::from_function(functions::dict)),
        ("namespace", Value::from_function(functions::namespace)),
    ] {
        engine.add_global(
            name,
            Value::from_function(move |state: &mut State, args: Rest<ValueOrKwargs>| {
                let args = args.into_values();
                spend(args.iter().map(weight).fold(0, u64::saturating_add))?;
                function.call(state, &args)
            }),
        );
    }
    // Its items are counted where they are used.
    engine.add_global("range", range);
    for (name, test) in test_table() {
        engine.add_test(name, move |state: &mut State, args: Rest<ValueOrKwargs>| {
            test.call(state, &args.into_values()).map(|value| value.is_true())
        });
    }
}

/// The names of the filters, with those of [`functions`](crate::language::functions).
pub fn filter_names() -> Vec<&'static str> {
    filter_table().into_iter().map(|(name, ..)| name).chain(calls::FILTERS).collect()
}

/// The names of the tests, with those of [`functions`](crate::language::functions), without comparisons.
pub fn test_names() -> Vec<&'static str> {
    test_table().into_iter().map(|(name, _)| name).chain(calls::TESTS).collect()
}

/// The tests, without comparisons. Most look at the type of a value alone, the others spend what they look at.
fn test_table() -> Vec<(&'static str, Value)> {
    let integer = || Value::from_function(|value: &Value| tests::is_integer(&number(value)));
    vec![
        ("boolean", Value::from_function(tests::is_boolean)),
        ("defined", Value::from_function(tests::is_defined)),
        (
            "divisibleby",
            Value::from_function(|value: &Value, by: &Value| {
                tests::is_divisibleby(&number(value), &number(by))
            }),
        ),
        (
            "endingwith",
            Value::from_function(|value: &Value, with: &Value| part(value, with, |v, w| v.ends_with(w))),
        ),
        ("escaped", Value::from_function(tests::is_safe)),
        ("even", Value::from_function(|value: &Value| tests::is_even(number(value)))),
        ("false", Value::from_function(tests::is_false)),
        ("filter", Value::from_function(tests::is_filter)),
        ("float", Value::from_function(tests::is_float)),
        ("int", integer()),
        ("integer", integer()),
        ("iterable", Value::from_function(tests::is_iterable)),
        ("lower", Value::from_function(|value: &Value| spent(value).map(|text| tests::is_lower(&text)))),
        ("mapping", Value::from_function(tests::is_mapping)),
        ("none", Value::from_function(|value: &Value| scalar(value) == Some(Val::Undefined))),
        ("number", Value::from_function(|value: &Value| tests::is_number(&number(value)))),
        ("odd", Value::from_function(|value: &Value| tests::is_odd(number(value)))),
        ("safe", Value::from_function(tests::is_safe)),
        ("sameas", Value::from_function(tests::is_sameas)),
        ("sequence", Value::from_function(tests::is_sequence)),
        (
            "startingwith",
            Value::from_function(|value: &Value, with: &Value| part(value, with, |v, w| v.starts_with(w))),
        ),
        (
            "string",
            Value::from_function(|value: &Value| {
                matches!(scalar(value), Some(Val::Str(_) | Val::Named { .. } | Val::Shown(_)))
            }),
        ),
        ("test", Value::from_function(tests::is_test)),
        ("true", Value::from_function(tests::is_true)),
        ("undefined", Value::from_function(tests::is_undefined)),
        ("upper", Value::from_function(|value: &Value| spent(value).map(|text| tests::is_upper(&text)))),
    ]
}

/// A value as text, after its length is spent.
fn spent(value: &Value) -> Result<Value, Error> {
    let text = text(value);
    spend(text.as_str().map_or(0, |text| text.len() as u64))?;
    Ok(text)
}

/// A test of a text with another one.
fn part(value: &Value, with: &Value, test: fn(&str, &str) -> bool) -> Result<bool, Error> {
    match (text(value).as_str(), spent(with)?.as_str()) {
        (Some(value), Some(with)) => Ok(test(value, with)),
        _ => Err(Error::new(ErrorKind::InvalidOperation, "not a text")),
    }
}

/// Spends units.
pub(super) fn spend(units: u64) -> Result<(), Error> {
    if budget::spend(units) { Ok(()) } else { Err(Error::from(ErrorKind::OutOfFuel)) }
}

/// The bytes of a value, with [`ITEM`] for each item of a list or map. As much as there can be if it is nested too deeply, or
/// has more items than the budget has units.
pub(super) fn weight(value: &Value) -> u64 {
    weight_within(value, 0, budget::left())
}

fn weight_within(value: &Value, depth: u32, most: u64) -> u64 {
    match value.kind() {
        ValueKind::String | ValueKind::Bytes => value.len().unwrap_or(0) as u64,
        ValueKind::Seq | ValueKind::Iterable | ValueKind::Map if depth == DEPTH => u64::MAX,
        kind @ (ValueKind::Seq | ValueKind::Iterable | ValueKind::Map) => {
            let Ok(items) = value.try_iter() else { return ITEM };
            let mut weight = ITEM;
            for item in items {
                weight = weight.saturating_add(ITEM).saturating_add(weight_within(&item, depth + 1, most));
                if kind == ValueKind::Map {
                    let entry = value.get_item(&item).unwrap_or_default();
                    weight = weight.saturating_add(weight_within(&entry, depth + 1, most));
                }
                if weight > most {
                    return u64::MAX;
                }
            }
            weight
        }
        _ => 8,
    }
}

/// A value that a filter or an operator has made: within the budget, and without work that is left for later.
pub(super) fn admit(value: Value) -> Result<Value, Error> {
    spend(weight(&value))?;
    if value.kind() == ValueKind::Iterable {
        return Ok(Value::from(value.try_iter()?.collect::<Vec<Value>>()));
    }
    Ok(value)
}

fn same(value: &Value) -> Value {
    value.clone()
}

fn nothing(_: &[Value], _: u64) -> u64 {
    0
}

/// How many items a list has.
fn count(value: Option<&Value>) -> u64 {
    value.and_then(Value::len).unwrap_or(0) as u64
}

/// For filters that compare all items.
fn sorted(args: &[Value], weight: u64) -> u64 {
    let rounds = u64::from(count(args.first()).checked_ilog2().unwrap_or(0)) + 1;
    weight.saturating_mul(2 * rounds)
}

/// For filters that call another one for each item.
fn called(args: &[Value], _: u64) -> u64 {
    count(args.first()).saturating_mul(CALL)
}

/// For filters whose result has as many items as an argument says.
fn counted(args: &[Value], _: u64) -> u64 {
    largest(args).saturating_mul(ITEM)
}

/// Lists are added up by making each sum anew.
fn summed(args: &[Value], weight: u64) -> u64 {
    let lists = args[0].try_iter().is_ok_and(|mut items| items.any(|item| item.try_iter().is_ok()));
    if lists { weight.saturating_mul(count(args.first()) + 1) } else { 0 }
}

/// Each line gets an indentation of its own.
fn printed(_: &[Value], weight: u64) -> u64 {
    weight.saturating_mul(u64::from(DEPTH))
}

fn joined(args: &[Value], _: u64) -> u64 {
    let between = args.get(1).and_then(Value::as_str).map_or(0, str::len) as u64;
    count(args.first()).saturating_mul(between)
}

fn replaced(args: &[Value], weight: u64) -> u64 {
    let argument = |at: usize| args.get(at).map(ToString::to_string).unwrap_or_default();
    if weight > budget::left() {
        return u64::MAX;
    }
    let (on, from, by) = (argument(0), argument(1), argument(2));
    (on.matches(from.as_str()).count() as u64).saturating_mul(by.len() as u64)
}

fn indented(args: &[Value], _: u64) -> u64 {
    let lines = args.first().and_then(Value::as_str).map_or(0, |text| text.matches('\n').count()) as u64 + 1;
    lines.saturating_mul(largest(args).max(4))
}

/// The numbers of a format are widths and precisions; `*` takes them of an argument.
fn formatted(args: &[Value], _: u64) -> u64 {
    let format = args.first().and_then(Value::as_str).unwrap_or_default();
    let numbers = format.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    let widths = numbers.map(|digits| digits.parse().unwrap_or(u64::MAX)).fold(0, u64::saturating_add);
    let stars = format.matches('*').count() as u64;
    widths.saturating_add(stars.saturating_mul(largest(args)))
}

/// The largest number among the arguments.
fn largest(args: &[Value]) -> u64 {
    let of = |value: &Value| value.as_i64().map_or(0, i64::unsigned_abs);
    let named = args.iter().filter_map(|arg| Kwargs::try_from(arg.clone()).ok()).flat_map(|kwargs| {
        let names: Vec<String> = kwargs.args().map(str::to_owned).collect();
        names
            .into_iter()
            .map(move |name| kwargs.get::<Value>(&name).map_or(0, |value| of(&value)))
            .collect::<Vec<_>>()
    });
    args.iter().map(of).chain(named).max().unwrap_or(0)
}
