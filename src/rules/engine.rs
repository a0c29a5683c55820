//! The template engine, for what [`crate::rules::expr`] does not evaluate itself.
//!
//! The engine sees enumerations as their names. Where the source compares one with a number, or makes it one, this is
//! turned to the raw value or the number when the rule is compiled, so that enumerations are both here too.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use minijinja::machinery::ast;
use minijinja::value::{Object, Rest, Value, ValueKind};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

use crate::mib::{Kind, instance};
use crate::rules::expr::Context;
use crate::rules::functions::{self, As, Call};
use crate::rules::value::Val;
use crate::rules::variable::{OF_VARBINDS, OfVarbind, Scope, TABLES, Variable, varbind_value};
use crate::rules::walk;

/// The table of varbinds as numbers; no rule can name it.
const NUMBERS: &str = "_numbers";

/// A source that the engine renders, and the variables that it needs.
#[derive(Debug)]
pub struct Program {
    name: String,
    variables: Vec<(String, Variable)>,
    tables: Vec<&'static str>,
}

/// All programs of a rule set.
#[derive(Debug)]
pub struct Engine {
    environment: Environment<'static>,
    count: usize,
}

impl Default for Engine {
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Chainable);
        // A template that loops over hostile input ends all the same.
        environment.set_recursion_limit(50);
        // Calls are read once: their arguments are written out (see `functions`).
        let calls: Arc<RwLock<HashMap<String, Call>>> = Arc::default();
        for name in functions::FILTERS {
            let calls = calls.clone();
            environment.add_filter(name, move |on: Value, args: Rest<Value>| call(&calls, name, &on, &args));
        }
        for name in functions::TESTS {
            let calls = calls.clone();
            environment.add_test(name, move |on: Value, args: Rest<Value>| {
                call(&calls, name, &on, &args).map(|held| held.is_true())
            });
        }
        Engine { environment, count: 0 }
    }
}

impl Engine {
    /// Adds a template.
    ///
    /// # Errors
    ///
    /// What the engine says of the source.
    pub fn add(
        &mut self,
        source: &str,
        template: &ast::Stmt<'_>,
        scope: &Scope<'_>,
    ) -> Result<Program, Error> {
        let exprs = walk::expressions(template);
        let mut edits = Vec::new();
        let mut variables = Vec::new();
        let mut tables = Vec::new();
        for found in walk::variables(&exprs) {
            let ast::Expr::Var(var) = found else { continue };
            if let Some(table) = TABLES.into_iter().find(|t| *t == var.id) {
                tables.push(table);
            } else if let Ok(variable) = scope.name(var.id) {
                variables.push((var.id.to_owned(), variable));
            }
        }
        let numbers = walk::numbers(&exprs);
        for (table, names) in [("raw", numbers.compared), (NUMBERS, numbers.made)] {
            for (name, span) in names {
                if name == "v" && scope.notifications {
                    edits.push((span, table.to_owned()));
                    tables.push(table);
                } else if matches!(scope.name(name), Ok(Variable::Varbind { .. })) {
                    edits.push((span, format!("{table}['{name}']")));
                    tables.push(table);
                }
            }
        }
        edits.sort_by_key(|(span, _)| std::cmp::Reverse(span.start_offset));
        edits.dedup_by_key(|(span, _)| span.start_offset);
        let mut source = source.to_owned();
        for (span, text) in edits {
            source.replace_range(span.start_offset as usize..span.end_offset as usize, &text);
        }
        tables.sort_unstable();
        tables.dedup();
        let name = format!("t{}", self.count);
        self.count += 1;
        self.environment.add_template_owned(name.clone(), source)?;
        Ok(Program { name, variables, tables })
    }

    /// Renders a program for a message; what cannot be rendered becomes the engine's words in brackets.
    pub fn render(&self, program: &Program, cx: Context<'_, '_>) -> String {
        self.try_render(program, cx).unwrap_or_else(|error| format!("({error})"))
    }

    /// Whether there is a filter or test of this name.
    pub fn knows(&self, how: As, name: &str) -> bool {
        let question = match how {
            As::Filter => "{{ name is filter }}",
            As::Test => "{{ name is test }}",
        };
        let asked = BTreeMap::from([("name", name.to_owned())]);
        self.environment.render_str(question, asked).is_ok_and(|answer| answer.eq_ignore_ascii_case("true"))
    }

    /// Renders a program for a message.
    ///
    /// # Errors
    ///
    /// What the engine says, if it cannot be rendered.
    pub fn try_render(&self, program: &Program, cx: Context<'_, '_>) -> Result<String, Error> {
        let mut values: BTreeMap<String, Value> = program
            .variables
            .iter()
            .map(|(name, variable)| (name.clone(), to_value(variable.get(cx.subject, cx.captures, cx.mib))))
            .collect();
        for table in &program.tables {
            let value = match *table {
                "sd" => structured_data(cx),
                "index" => indexes(cx),
                "raw" => varbinds(cx, Form::Raw),
                NUMBERS => varbinds(cx, Form::Number),
                table => match OF_VARBINDS.iter().find(|(name, _)| *name == table) {
                    Some((_, what)) => of_varbinds(cx, *what),
                    None => varbinds(cx, Form::Written),
                },
            };
            values.insert((*table).to_owned(), value);
        }
        self.environment.get_template(&program.name).and_then(|template| template.render(Value::from(values)))
    }
}

/// A call of [`functions`] on one of the engine's values.
fn call(
    calls: &RwLock<HashMap<String, Call>>,
    name: &str,
    on: &Value,
    args: &[Value],
) -> Result<Value, Error> {
    let on = match on.kind() {
        ValueKind::Undefined | ValueKind::None => Val::Undefined,
        ValueKind::Bool => Val::Bool(on.is_true()),
        ValueKind::Number => match i128::try_from(on.clone()) {
            Ok(number) if on.is_integer() => Val::Int(number),
            _ => Val::Float(f64::try_from(on.clone()).unwrap_or_default()),
        },
        _ => Val::Str(Cow::Owned(on.to_string())),
    };
    let key = format!("{name}{args:?}");
    if let Some(call) = calls.read().unwrap_or_else(PoisonError::into_inner).get(&key) {
        return Ok(to_value(call.apply(on)));
    }
    let call =
        Call::new(name, args).map_err(|error| Error::new(ErrorKind::InvalidOperation, error.to_string()))?;
    let value = to_value(call.apply(on));
    calls.write().unwrap_or_else(PoisonError::into_inner).insert(key, call);
    Ok(value)
}

fn to_value(value: Val<'_>) -> Value {
    match value {
        Val::Undefined => Value::UNDEFINED,
        Val::Bool(b) => Value::from(b),
        Val::Int(n) => Value::from(n),
        Val::Float(n) => Value::from(n),
        Val::Str(s) => Value::from(s.as_ref()),
        Val::Named { name, .. } => Value::from(name),
    }
}

/// All varbinds: by place from 1, by name, by name and instance, by OID. Iterates over the places.
#[derive(Debug)]
struct Varbinds {
    in_order: Vec<Value>,
    by_name: BTreeMap<String, Value>,
}

impl Object for Varbinds {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        if key.kind() == ValueKind::Number {
            let at = usize::try_from(key.clone()).ok()?;
            return self.in_order.get(at.checked_sub(1)?).cloned();
        }
        self.by_name.get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Values((1..=self.in_order.len()).map(Value::from).collect())
    }
}

/// What is known of all varbinds beside their values, by place.
fn of_varbinds(cx: Context<'_, '_>, what: OfVarbind) -> Value {
    let all = cx.subject.notification().map_or(&[][..], |n| &n.varbinds);
    Value::from_object(Places(
        all.iter().map(|varbind| Value::from(what.of(varbind, cx.mib).as_ref())).collect(),
    ))
}

/// How the values of varbinds are put.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As they are written.
    Written,
    /// Without what the MIB knows.
    Raw,
    /// As [`Call::Number`] makes them.
    Number,
}

/// One thing for each varbind, by place from 1. Iterates over the things.
#[derive(Debug)]
struct Places(Vec<Value>);

impl Object for Places {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = usize::try_from(key.clone()).ok()?;
        self.0.get(at.checked_sub(1)?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> minijinja::value::Enumerator {
        minijinja::value::Enumerator::Values(self.0.clone())
    }
}

fn varbinds(cx: Context<'_, '_>, form: Form) -> Value {
    let Some(notification) = cx.subject.notification() else { return Value::UNDEFINED };
    let mut all = Varbinds { in_order: Vec::new(), by_name: BTreeMap::new() };
    for varbind in &notification.varbinds {
        let object = cx.mib.lookup(&varbind.oid);
        let value = varbind_value(
            varbind,
            object.map(|o| &*o.syntax),
            (form == Form::Raw, &notification.varbinds),
            cx.mib,
        );
        let value = to_value(if form == Form::Number { Call::Number.apply(value) } else { value });
        all.in_order.push(value.clone());
        all.by_name.insert(varbind.oid.to_string(), value.clone());
        if let Some(object) = object.filter(|o| o.kind == Kind::Object) {
            all.by_name.insert(object.name.to_string(), value.clone());
            let full = cx.mib.name_of(&varbind.oid);
            if let Some((_, instance)) = full.split_once("::") {
                all.by_name.insert(instance.to_owned(), value.clone());
            }
            all.by_name.insert(full, value);
        }
    }
    Value::from_object(all)
}

/// The indexes of all varbinds' instances, by name; the first varbind that has one counts.
fn indexes(cx: Context<'_, '_>) -> Value {
    let Some(notification) = cx.subject.notification() else { return Value::UNDEFINED };
    let mut all: BTreeMap<String, Value> = BTreeMap::new();
    for varbind in &notification.varbinds {
        let Some(column) = cx.mib.lookup(&varbind.oid) else { continue };
        let arcs: Vec<u32> = varbind.oid.suffix(&column.oid).into_iter().flatten().collect();
        for index in instance::indexes(&arcs, column, cx.mib).into_iter().flatten() {
            let Some(object) = index.object else { continue };
            let value = match index.number() {
                Some(number) if object.syntax.enums.is_empty() => Value::from(number),
                _ => Value::from(index.text(cx.mib)),
            };
            all.entry(object.qualified()).or_insert_with(|| value.clone());
            all.entry(object.name.to_string()).or_insert(value);
        }
    }
    Value::from(all)
}

fn structured_data(cx: Context<'_, '_>) -> Value {
    let elements = cx.subject.syslog().map(|l| l.structured_data.as_slice()).unwrap_or_default();
    elements
        .iter()
        .map(|element| {
            let params: BTreeMap<String, Value> =
                element.params.iter().map(|(n, v)| ((*n).to_owned(), Value::from(v.as_ref()))).collect();
            (element.id.to_owned(), Value::from(params))
        })
        .collect()
}
