//! The template engine, for what [`super::expr`] does not evaluate itself.
//!
//! The engine sees enumerations as their names. Where the source compares one with a number, the comparison is
//! turned to the raw value when the rule is compiled, so that enumerations compare by name and number here too.

use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::machinery::ast;
use minijinja::value::{Object, Value, ValueKind};
use minijinja::{Environment, UndefinedBehavior};

use super::expr::Context;
use super::value::Val;
use super::variable::{Scope, TABLES, Variable, varbind_value};
use super::walk;
use crate::mib::{Kind, instance};

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
    ) -> Result<Program, minijinja::Error> {
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
        for (name, span) in walk::compared_with_numbers(&exprs) {
            if matches!(scope.name(name), Ok(Variable::Varbind { .. })) {
                edits.push((span, format!("raw['{name}']")));
                tables.push("raw");
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
        let mut values: BTreeMap<String, Value> = program
            .variables
            .iter()
            .map(|(name, variable)| (name.clone(), to_value(variable.get(cx.subject, cx.captures, cx.mib))))
            .collect();
        for table in &program.tables {
            let value = match *table {
                "sd" => structured_data(cx),
                "index" => indexes(cx),
                table => varbinds(cx, table == "raw"),
            };
            values.insert((*table).to_owned(), value);
        }
        self.environment
            .get_template(&program.name)
            .and_then(|template| template.render(Value::from(values)))
            .unwrap_or_else(|error| format!("({error})"))
    }
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

/// All varbinds: by place from 1, by name, by name and instance, by OID. Iterates over the values.
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

fn varbinds(cx: Context<'_, '_>, raw: bool) -> Value {
    let Some(notification) = cx.subject.notification() else { return Value::UNDEFINED };
    let mut all = Varbinds { in_order: Vec::new(), by_name: BTreeMap::new() };
    for varbind in &notification.varbinds {
        let object = cx.mib.lookup(&varbind.oid);
        let value = to_value(varbind_value(
            varbind,
            object.map(|o| &*o.syntax),
            (raw, &notification.varbinds),
            cx.mib,
        ));
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
