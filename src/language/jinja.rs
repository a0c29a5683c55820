//! The template engine (minijinja), for templates that [`expr`](crate::language::expr) does not evaluate itself.
//!
//! The engine gets templates [rewritten](crate::language::rewrite). Named numbers are objects here. Filters and tests of
//! minijinja for text get the name of a named number, those for numbers its number.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use minijinja::machinery::ast;
use minijinja::value::{Rest, Value, ValueKind};
use minijinja::{Captured, Error, ErrorKind, UndefinedBehavior, escape_formatter};

use crate::language::budget;
use crate::language::builtins::{self, admit, spend, weight};
use crate::language::convert::{addend, field, number, scalar, text, to_value};
use crate::language::functions::{self, As, Call};
use crate::language::names::{Names, Values};
use crate::language::rewrite::{self, RESULT, Rewritten};
use crate::language::value::{Comparison, Val};

/// The most engine instructions of a rendering: enough for loops over all varbinds, too few for nested loops over a long
/// text.
const FUEL: u64 = budget::FIELD / budget::INSTRUCTION;

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
pub enum RenderError {
    /// The message makes the template too much work.
    #[error("over budget: it takes too long for this message")]
    OverBudget,
    /// An operation is impossible with the message's values.
    #[error("{0}")]
    Failed(String),
}

/// Holds the programs of one rule set or sink.
#[derive(Debug)]
pub struct Environment {
    engine: minijinja::Environment<'static>,
    count: usize,
    escape: Option<Escape>,
}

impl Default for Environment {
    fn default() -> Self {
        let mut engine = minijinja::Environment::empty();
        engine.set_undefined_behavior(UndefinedBehavior::Chainable);
        engine.set_recursion_limit(50);
        engine.set_fuel(Some(FUEL));
        engine.set_formatter(|out, state, value| {
            spend(weight(value))?;
            escape_formatter(out, state, value)
        });
        builtins::add(&mut engine);
        add_operators(&mut engine);
        add_functions(&mut engine);
        Environment { engine, count: 0, escape: None }
    }
}

impl Environment {
    /// An environment whose templates escape each value that they print, but not their own text.
    pub fn escaping(escape: Escape) -> Self {
        let mut environment = Environment::default();
        environment.engine.add_function("__escape", move |value: &Value| {
            spend(weight(value))?;
            Ok::<_, Error>(escape(&value.to_string()))
        });
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
        Ok(self.run(program, values)?.into_output())
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
        let value = self.run(program, values)?.state().lookup(RESULT).unwrap_or_default();
        Ok(match scalar(&value) {
            Some(Val::Undefined) => Val::Undefined,
            Some(Val::Bool(b)) => Val::Bool(b),
            Some(Val::Int(number)) => Val::Int(number),
            Some(Val::Float(number)) => Val::Float(number),
            Some(text @ (Val::Str(_) | Val::Named { .. } | Val::Shown(_))) => {
                Val::Str(Cow::Owned(text.into_text().into_owned()))
            }
            None => Val::Str(Cow::Owned(value.to_string())),
        })
    }

    fn run<'m, V>(
        &self,
        program: &'m Program<V>,
        values: &impl Values<'m, V>,
    ) -> Result<Captured<'_>, RenderError> {
        let ran = self.engine.get_template(&program.name)?.render_captured(program.context(values));
        match &ran {
            Ok(captured) => {
                let (instructions, _) = captured.state().fuel_levels().unwrap_or_default();
                budget::spend(instructions * budget::INSTRUCTION);
            }
            Err(error) if error.kind() == ErrorKind::OutOfFuel => budget::exceed(),
            Err(_) => {}
        }
        Ok(ran?)
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
    /// The variables in it.
    pub fn variables(&self) -> impl Iterator<Item = &V> {
        self.variables.iter().map(|(_, variable)| variable)
    }

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
        RenderError::Failed(error.detail().map_or_else(|| error.kind().to_string(), str::to_owned))
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

/// An entry of a list, a map or a text. A number that has a text is looked up by it, then by its number.
fn get(of: &Value, key: &Value) -> Value {
    if let Some(field) = field(of, key) {
        return field;
    }
    let of = match scalar(of) {
        Some(Val::Undefined) => return Value::UNDEFINED,
        _ => text(of),
    };
    let entry = |key: &Value| of.get_item(key).unwrap_or_default();
    match scalar(key) {
        Some(named @ (Val::Named { .. } | Val::Shown(_))) => {
            let by_name = entry(&Value::from(named.into_text()));
            if by_name.is_undefined() { entry(&number(key)) } else { by_name }
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

/// A question about two values, after their weight is spent.
fn weighed(
    question: impl Fn(&Value, &Value) -> bool + Send + Sync + 'static,
) -> impl Fn(&Value, &Value) -> Result<bool, Error> + Send + Sync + 'static {
    move |a, b| {
        spend(weight(a).saturating_add(weight(b)))?;
        Ok(question(a, b))
    }
}

/// The functions that rewritten templates call, and the tests that `select` and similar filters call by name.
fn add_operators(engine: &mut minijinja::Environment<'static>) {
    for (names, how) in COMPARISONS {
        engine.add_function(names[0], weighed(move |a, b| compare(how, a, b)));
        for name in &names[1..] {
            engine.add_test(*name, weighed(move |a, b| compare(how, a, b)));
        }
    }
    engine.add_function("__in", weighed(contains));
    engine.add_test("in", weighed(contains));
    engine.add_function("__chain", |args: Rest<Value>| {
        spend(args.iter().map(weight).fold(0, u64::saturating_add))?;
        Ok::<_, Error>(chain(&args))
    });
    engine.add_function("__get", |of: &Value, key: &Value| {
        // Of a list or map only one item is looked at.
        spend(of.as_str().map_or(budget::ITEM, |text| text.len() as u64))?;
        Ok::<_, Error>(get(of, key))
    });
    engine.add_function("__text", |value: &Value| {
        let text = text(value);
        spend(text.as_str().map_or(0, |text| text.len() as u64))?;
        Ok::<_, Error>(text)
    });
    engine.add_function("__made", |value: Value| admit(value));
    engine.add_function("__number", |value: &Value| number(value));
    engine.add_function("__addend", |value: &Value| addend(value));
    // A number that has a text as the key of a map.
    engine.add_function("__key", |value: &Value| match scalar(value) {
        Some(named @ (Val::Named { .. } | Val::Shown(_))) => Value::from(named.into_text()),
        _ => value.clone(),
    });
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
    spend(weight(on))?;
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
