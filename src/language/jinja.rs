//! The template engine (minijinja), for templates that [`expr`](crate::language::expr) does not evaluate itself.
//!
//! The engine gets templates [rewritten](crate::language::rewrite). Named numbers are objects here. Filters and tests of
//! minijinja for text get the name of a named number, those for numbers its number.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use minijinja::machinery::ast;
use minijinja::value::{DynObject, Object, ObjectRepr, Rest, Value, ValueKind, ValueOrKwargs};
use minijinja::{Error, ErrorKind, UndefinedBehavior, tests};

use crate::language::functions::{self, As, Call};
use crate::language::names::{Names, Values};
use crate::language::rewrite::{self, RESULT, Rewritten};
use crate::language::value::{Comparison, Val};

/// Filters of minijinja that work on a text. They get scalars as text, undefined as the empty string.
const OF_TEXT: [&str; 13] = [
    "capitalize",
    "count",
    "first",
    "indent",
    "last",
    "length",
    "lines",
    "lower",
    "replace",
    "reverse",
    "split",
    "title",
    "trim",
];
/// Filters of minijinja that work on a number. They get a named number as its number.
const OF_NUMBERS: [&str; 4] = ["abs", "float", "int", "round"];
/// The maximum number of engine instructions per rendering: enough for loops over all varbinds, too few for nested loops
/// over a long text.
const FUEL: u64 = 200_000;

/// The maximum number of parsed calls of [`functions`] that an environment keeps.
const MOST_CALLS: usize = 1000;

/// Escapes a value for the place where a template prints it.
pub type Escape = fn(&str) -> String;

/// A template or expression that the engine evaluates, over variables of the type `V`.
#[derive(Debug)]
pub struct Program<V> {
    name: String,
    variables: Vec<(String, V)>,
    tables: Vec<String>,
}

/// Why a template cannot be rendered for a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct RenderError(String);

/// Holds the programs of one rule set or sink.
#[derive(Debug)]
pub struct Environment {
    engine: minijinja::Environment<'static>,
    count: usize,
    escape: Option<Escape>,
}

impl Default for Environment {
    fn default() -> Self {
        let mut engine = minijinja::Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Chainable);
        engine.set_recursion_limit(50);
        engine.set_fuel(Some(FUEL));
        add_operators(&mut engine);
        add_builtins(&mut engine);
        add_functions(&mut engine);
        Environment { engine, count: 0, escape: None }
    }
}

impl Environment {
    /// An environment whose templates escape each value that they print, but not their own text.
    pub fn escaping(escape: Escape) -> Self {
        let mut environment = Environment::default();
        environment.engine.add_function("__escape", move |value: Value| escape(&value.to_string()));
        environment.escape = Some(escape);
        environment
    }

    /// How values are escaped.
    pub fn escape(&self) -> Option<Escape> {
        self.escape
    }

    /// Adds a template.
    ///
    /// # Errors
    ///
    /// The engine's error, if it does not compile the template.
    pub fn template<N: Names>(
        &mut self,
        parsed: &ast::Stmt<'_>,
        names: &N,
    ) -> Result<Program<N::Var>, RenderError> {
        self.add(rewrite::template(parsed, names, self.escape.is_some()))
    }

    /// Adds an expression.
    ///
    /// # Errors
    ///
    /// The engine's error, if it does not compile the expression.
    pub fn expression<N: Names>(
        &mut self,
        parsed: &ast::Expr<'_>,
        names: &N,
    ) -> Result<Program<N::Var>, RenderError> {
        self.add(rewrite::expression(parsed, names))
    }

    fn add<V>(&mut self, rewritten: Rewritten<V>) -> Result<Program<V>, RenderError> {
        let name = format!("t{}", self.count);
        self.count += 1;
        self.engine.add_template_owned(name.clone(), rewritten.source)?;
        Ok(Program { name, variables: rewritten.variables, tables: rewritten.tables })
    }

    /// Renders a template.
    ///
    /// # Errors
    ///
    /// [`RenderError`], if it cannot be rendered with these values.
    pub fn render<'m, V>(
        &self,
        program: &'m Program<V>,
        values: &impl Values<'m, V>,
    ) -> Result<String, RenderError> {
        Ok(self.engine.get_template(&program.name)?.render(program.context(values))?)
    }

    /// Evaluates an expression. Lists and maps come as text.
    ///
    /// # Errors
    ///
    /// [`RenderError`], if it cannot be evaluated with these values.
    pub fn eval<'m, V>(
        &self,
        program: &'m Program<V>,
        values: &impl Values<'m, V>,
    ) -> Result<Val<'static>, RenderError> {
        let rendered = self.engine.get_template(&program.name)?.render_captured(program.context(values))?;
        let value = rendered.state().lookup(RESULT).unwrap_or_default();
        Ok(match scalar(&value) {
            Some(Val::Undefined) => Val::Undefined,
            Some(Val::Bool(b)) => Val::Bool(b),
            Some(Val::Int(number)) => Val::Int(number),
            Some(Val::Float(number)) => Val::Float(number),
            Some(text @ (Val::Str(_) | Val::Named { .. })) => {
                Val::Str(Cow::Owned(text.into_text().into_owned()))
            }
            None => Val::Str(Cow::Owned(value.to_string())),
        })
    }

    /// Whether there is a filter or test of this name.
    pub fn knows(&self, how: As, name: &str) -> bool {
        let question = match how {
            As::Filter => "{{ name is filter }}",
            As::Test => "{{ name is test }}",
        };
        let asked = BTreeMap::from([("name", name.to_owned())]);
        self.engine.render_str(question, asked).is_ok_and(|answer| answer.eq_ignore_ascii_case("true"))
    }
}

impl<V> Program<V> {
    fn context<'m>(&'m self, values: &impl Values<'m, V>) -> Value {
        let variables = self.variables.iter().map(|(name, variable)| (name, to_value(values.get(variable))));
        let tables = self.tables.iter().map(|name| (name, values.table(name)));
        let all: BTreeMap<String, Value> =
            variables.chain(tables).map(|(name, value)| (name.clone(), value)).collect();
        Value::from(all)
    }
}

impl From<Error> for RenderError {
    fn from(error: Error) -> Self {
        RenderError(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
    }
}

/// A value of the language as one of the engine.
pub fn to_value(value: Val<'_>) -> Value {
    match value {
        Val::Undefined => Value::UNDEFINED,
        Val::Bool(b) => Value::from(b),
        Val::Int(n) => Value::from(n),
        Val::Float(n) => Value::from(n),
        Val::Str(s) => Value::from(s.as_ref()),
        Val::Named { number, name } => Value::from_object(NamedNumber { number, name: name.into() }),
    }
}

/// A value of the engine as one of the language; none for lists, maps and the like.
pub fn scalar(value: &Value) -> Option<Val<'_>> {
    Some(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Val::Undefined,
        ValueKind::Bool => Val::Bool(value.is_true()),
        ValueKind::Number => match i128::try_from(value.clone()) {
            Ok(number) if value.is_integer() => Val::Int(number),
            _ => Val::Float(f64::try_from(value.clone()).unwrap_or_default()),
        },
        ValueKind::String => Val::Str(Cow::Borrowed(value.as_str()?)),
        ValueKind::Plain => {
            let named = value.downcast_object_ref::<NamedNumber>()?;
            Val::Named { number: named.number, name: &named.name }
        }
        _ => return None,
    })
}

/// [`Val::Named`] in the engine.
struct NamedNumber {
    number: i64,
    name: Box<str>,
}

impl fmt::Debug for NamedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

impl Object for NamedNumber {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<NamedNumber>()?;
        Some(self.number.cmp(&other.number).then_with(|| self.name.cmp(&other.name)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

/// A scalar as text, undefined as the empty string; lists and maps as they are.
fn text(value: &Value) -> Value {
    match scalar(value) {
        Some(Val::Str(_)) | None => value.clone(),
        Some(other) => Value::from(other.into_text()),
    }
}

/// A named number as its number, everything else as it is.
fn number(value: &Value) -> Value {
    match scalar(value) {
        Some(Val::Named { number, .. }) => Value::from(number),
        _ => value.clone(),
    }
}

fn is_list(value: &Value) -> bool {
    matches!(value.kind(), ValueKind::Seq | ValueKind::Iterable)
}

/// Compares as [`Comparison::holds`]; lists item by item, other things as minijinja compares them.
fn compare(how: Comparison, a: &Value, b: &Value) -> bool {
    match (scalar(a), scalar(b)) {
        (Some(a), Some(b)) => how.holds(&a, &b),
        (None, None) if matches!(how, Comparison::Eq | Comparison::Ne) => {
            equal(a, b) == (how == Comparison::Eq)
        }
        (None, None) if a.kind() == b.kind() => how.allows(a.cmp(b)),
        _ => how == Comparison::Ne,
    }
}

fn equal(a: &Value, b: &Value) -> bool {
    match (scalar(a), scalar(b)) {
        (Some(a), Some(b)) => a.equals(&b),
        (None, None) if is_list(a) && is_list(b) => match (a.try_iter(), b.try_iter()) {
            (Ok(mut a), Ok(mut b)) => loop {
                match (a.next(), b.next()) {
                    (None, None) => return true,
                    (Some(a), Some(b)) if equal(&a, &b) => {}
                    _ => return false,
                }
            },
            _ => false,
        },
        (None, None) => a == b,
        _ => false,
    }
}

/// `needle in hay`: an item of a list, a key of a map, a part of a text.
fn contains(needle: &Value, hay: &Value) -> bool {
    match scalar(hay) {
        Some(text) => scalar(needle).is_some_and(|needle| text.contains(needle)),
        None if is_list(hay) => hay.try_iter().is_ok_and(|mut items| items.any(|item| equal(needle, &item))),
        None => !get(hay, needle).is_undefined(),
    }
}

/// An entry of a list, a map or a text. A named number is looked up by its name, then by its number.
fn get(of: &Value, key: &Value) -> Value {
    let of = match scalar(of) {
        Some(Val::Undefined) => return Value::UNDEFINED,
        _ => text(of),
    };
    let entry = |key: &Value| of.get_item(key).unwrap_or_default();
    match scalar(key) {
        Some(Val::Named { number, name }) => {
            let by_name = entry(&Value::from(name));
            if by_name.is_undefined() { entry(&Value::from(number)) } else { by_name }
        }
        _ => entry(key),
    }
}

/// `a < b <= c`, the comparisons between the values.
fn chain(args: &[Value]) -> bool {
    args.windows(3).step_by(2).all(|link| {
        let [a, how, b] = link else { return false };
        match how.as_str().unwrap_or_default() {
            "in" => contains(a, b),
            "not in" => !contains(a, b),
            sign => COMPARISONS.iter().any(|(names, how)| names.contains(&sign) && compare(*how, a, b)),
        }
    })
}

/// The comparisons, with their names as functions, as tests and in chains.
const COMPARISONS: [(&[&str], Comparison); 6] = [
    (&["__eq", "==", "eq", "equalto"], Comparison::Eq),
    (&["__ne", "!=", "ne"], Comparison::Ne),
    (&["__lt", "<", "lt", "lessthan"], Comparison::Lt),
    (&["__le", "<=", "le"], Comparison::Le),
    (&["__gt", ">", "gt", "greaterthan"], Comparison::Gt),
    (&["__ge", ">=", "ge"], Comparison::Ge),
];

/// The functions that rewritten templates call, and the tests that `select` and similar filters call by name.
fn add_operators(engine: &mut minijinja::Environment<'static>) {
    for (names, how) in COMPARISONS {
        engine.add_function(names[0], move |a: &Value, b: &Value| compare(how, a, b));
        for name in &names[1..] {
            engine.add_test(*name, move |a: &Value, b: &Value| compare(how, a, b));
        }
    }
    engine.add_function("__in", |needle: &Value, hay: &Value| contains(needle, hay));
    engine.add_test("in", |needle: &Value, hay: &Value| contains(needle, hay));
    engine.add_function("__chain", |args: Rest<Value>| chain(&args));
    engine.add_function("__get", |of: &Value, key: &Value| get(of, key));
    engine.add_function("__text", |value: &Value| text(value));
    engine.add_function("__number", |value: &Value| number(value));
    // A named number as the key of a map.
    engine.add_function("__key", |value: &Value| match scalar(value) {
        Some(Val::Named { name, .. }) => Value::from(name),
        _ => value.clone(),
    });
}

/// Filters and tests of minijinja that convert a named number or an undefined value first.
fn add_builtins(engine: &mut minijinja::Environment<'static>) {
    let add =
        |engine: &mut minijinja::Environment<'static>, name: &'static str, argument: fn(&Value) -> Value| {
            engine.add_filter(name, move |on: &Value, args: Rest<ValueOrKwargs>| {
                let rest = args.iter().map(|arg| (**arg).clone());
                let args: Vec<Value> = std::iter::once(argument(on)).chain(rest).collect();
                plain_engine().empty_state().apply_filter(name, &args)
            });
        };
    for name in OF_TEXT {
        add(engine, name, text);
    }
    for name in OF_NUMBERS {
        add(engine, name, number);
    }
    engine.add_test("lower", |value: &Value| tests::is_lower(&text(value)));
    engine.add_test("upper", |value: &Value| tests::is_upper(&text(value)));
    engine.add_test("number", |value: &Value| tests::is_number(&number(value)));
    for name in ["integer", "int"] {
        engine.add_test(name, |value: &Value| tests::is_integer(&number(value)));
    }
    engine.add_test("odd", |value: &Value| tests::is_odd(number(value)));
    engine.add_test("even", |value: &Value| tests::is_even(number(value)));
    engine.add_test("divisibleby", |value: &Value, by: &Value| {
        tests::is_divisibleby(&number(value), &number(by))
    });
    engine.add_test("string", |value: &Value| matches!(scalar(value), Some(Val::Str(_) | Val::Named { .. })));
    engine.add_test("none", |value: &Value| scalar(value) == Some(Val::Undefined));
}

/// minijinja without changes.
fn plain_engine() -> &'static minijinja::Environment<'static> {
    static PLAIN: OnceLock<minijinja::Environment<'static>> = OnceLock::new();
    PLAIN.get_or_init(|| {
        let mut engine = minijinja::Environment::new();
        engine.set_undefined_behavior(UndefinedBehavior::Chainable);
        engine
    })
}

/// The filters and tests of [`functions`]. The arguments of a call are parsed once.
fn add_functions(engine: &mut minijinja::Environment<'static>) {
    let calls: Arc<RwLock<HashMap<String, Call>>> = Arc::default();
    for name in functions::FILTERS {
        let calls = calls.clone();
        engine.add_filter(name, move |on: &Value, args: Rest<Value>| call(&calls, name, on, &args));
    }
    for name in functions::TESTS {
        let calls = calls.clone();
        engine.add_test(name, move |on: &Value, args: Rest<Value>| {
            call(&calls, name, on, &args).map(|held| held.is_true())
        });
    }
}

fn call(
    calls: &RwLock<HashMap<String, Call>>,
    name: &str,
    on: &Value,
    args: &[Value],
) -> Result<Value, Error> {
    let on = scalar(on).unwrap_or_else(|| Val::Str(Cow::Owned(on.to_string())));
    let key = format!("{name}{args:?}");
    if let Some(call) = calls.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(to_value(call.apply(on)));
    }
    let call =
        Call::new(name, args).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let value = to_value(call.apply(on));
    let mut calls = calls.write().unwrap_or_else(PoisonError::into_inner);
    // `select('matching', x)` can compute its arguments from messages.
    if calls.len() < MOST_CALLS {
        calls.insert(key, call);
    }
    Ok(value)
}
