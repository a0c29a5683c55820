//! The values of a message for its rule's templates.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};

use crate::body::Form;
use crate::language::convert::to_value;
use crate::language::names::{Key, Values};
use crate::language::value::Val;
use crate::lookup::tables::Tables;
use crate::mib::Mib;
use crate::mib::instance::indexes;
use crate::oid::Oid;
use crate::rules::asks::What;
use crate::rules::body_values;
use crate::rules::context::MessageContext;
use crate::rules::lookups;
use crate::rules::scope::{Messages, Scope};
use crate::rules::variable::{OF_VARBINDS, Variable, of_presented, syntax_of, varbind_value};

/// What a template of a rule is rendered with.
#[derive(Debug, Clone, Copy)]
pub struct MessageValues<'m, 'c> {
    /// The message.
    pub context: &'c MessageContext<'m>,
    /// The groups of the rule's message pattern.
    pub captures: &'c [Option<&'m str>],
    /// Names and syntax of varbinds.
    pub mib: &'m Arc<Mib>,
    /// The tables that rules look into.
    pub tables: &'m Arc<Tables>,
}

impl<'m> Values<'m, Variable> for MessageValues<'m, '_> {
    fn get(&self, variable: &'m Variable) -> Val<'m> {
        variable.get(self.context, self.captures, self.mib)
    }

    fn push(&self, variable: &'m Variable, out: &mut String) {
        variable.push(self.context, self.captures, self.mib, out);
    }

    fn call(&self, function: &'m Variable, args: &[Val<'m>]) -> Val<'m> {
        let question = match function {
            Variable::State(question) => question,
            Variable::Lookup(look) => return look.of(self.tables, args.first()),
            _ => return Val::Undefined,
        };
        // What is undefined names nothing.
        let known = args.iter().all(|arg| *arg != Val::Undefined);
        let texts: Vec<Cow<'m, str>> = args.iter().map(|arg| arg.clone().into_text()).collect();
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        let state = self.context.state.filter(|_| known);
        let answer = state.map_or(0, |state| state.answer(question, &texts));
        match question.what {
            What::Open => Val::Bool(answer > 0),
            What::Count => Val::Int(answer.into()),
        }
    }

    fn table(&self, name: &str) -> Value {
        match name {
            "sd" => self.structured_data(),
            "v" => self.varbinds("v", false),
            "raw" => self.varbinds("raw", true),
            "index" => self.indexes(),
            lookups::FUNCTION => lookups::function(self.tables),
            _ => match (Form::from_word(name), body_values::Source::of(self.context)) {
                (Some(kind), Some(source)) => body_values::table(source, kind),
                _ => self.properties(name),
            },
        }
    }
}

impl MessageValues<'_, '_> {
    fn varbinds(&self, name: &'static str, raw: bool) -> Value {
        let all = self.context.notification().map_or(&[][..], |n| &n.varbinds);
        let entries = all.iter().map(|varbind| {
            let value = varbind_value(
                varbind,
                syntax_of(varbind, self.mib),
                (raw, self.context.charset, all),
                self.mib,
            );
            (varbind.oid.clone().into_owned(), to_value(value))
        });
        Value::from_object(Varbinds {
            name,
            entries: entries.collect(),
            traps: self.traps(),
            mib: self.mib.clone(),
        })
    }

    /// The indexes of all varbinds' instances; of several values of one index the first.
    fn indexes(&self) -> Value {
        let all = self.context.notification().map_or(&[][..], |n| &n.varbinds);
        let mut entries: Vec<(Oid<'static>, Value)> = Vec::new();
        for varbind in all {
            let Some(column) = self.mib.lookup(&varbind.oid) else { continue };
            let arcs: Vec<u32> = varbind.oid.suffix(&column.oid).into_iter().flatten().collect();
            for index in indexes(&arcs, column, self.mib).into_iter().flatten() {
                let Some(object) = index.object else { continue };
                if entries.iter().any(|(oid, _)| *oid == object.oid) {
                    continue;
                }
                entries.push((object.oid.clone(), to_value(of_presented(index.present(self.mib)))));
            }
        }
        Value::from_object(Varbinds { name: "index", entries, traps: self.traps(), mib: self.mib.clone() })
    }

    /// The notification that names are looked up for.
    fn traps(&self) -> Vec<Oid<'static>> {
        self.context
            .notification()
            .map(|notification| notification.oid.clone().into_owned())
            .into_iter()
            .collect()
    }

    fn properties(&self, table: &str) -> Value {
        let Some((_, what)) = OF_VARBINDS.iter().find(|(name, _)| *name == table) else {
            return Value::UNDEFINED;
        };
        let all = self.context.notification().map_or(&[][..], |n| &n.varbinds);
        let values = all.iter().map(|varbind| Value::from(what.of(varbind, self.mib).as_ref()));
        Value::from_object(Properties(values.collect()))
    }

    fn structured_data(&self) -> Value {
        let elements = self.context.syslog().map(|l| l.structured_data.as_slice()).unwrap_or_default();
        let mut all: BTreeMap<&str, Value> = BTreeMap::new();
        for element in elements {
            let mut params: BTreeMap<&str, Value> = BTreeMap::new();
            for (name, value) in &element.params {
                params.entry(name).or_insert_with(|| Value::from(value.as_ref()));
            }
            all.entry(element.id).or_insert_with(|| Value::from_pairs(params));
        }
        Value::from_pairs(all)
    }
}

/// `v`, `raw` and `index`. Every key means what it means when it is known at compile time. Iterates over the positions
/// of varbinds, or over the names of indexes.
#[derive(Debug)]
struct Varbinds {
    name: &'static str,
    entries: Vec<(Oid<'static>, Value)>,
    traps: Vec<Oid<'static>>,
    mib: Arc<Mib>,
}

impl Object for Varbinds {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let key = match key.kind() {
            ValueKind::Number => Key::Index(i128::try_from(key.clone()).ok()?),
            _ => Key::Name(key.as_str()?.into()),
        };
        let scope = Scope {
            mib: &self.mib,
            kind: Messages::Notifications,
            captures: &[],
            columns: &[],
            traps: &self.traps,
            asked: None,
            lookups: None,
        };
        let entry = match scope.entry(self.name, &key)? {
            Variable::Position { at, .. } => self.entries.get(at - 1),
            Variable::Varbind { targets, .. } => targets
                .iter()
                .find_map(|target| self.entries.iter().find(|(oid, _)| oid.starts_with(&target.oid))),
            Variable::Index { oid, .. } => self.entries.iter().find(|(other, _)| *other == oid),
            _ => None,
        };
        // An entry without a value is none.
        entry.map(|(_, value)| value.clone()).filter(|value| !value.is_undefined())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        if self.name != "index" {
            return Enumerator::Values((1..=self.entries.len()).map(Value::from).collect());
        }
        let names = self.entries.iter().filter_map(|(oid, _)| self.mib.lookup(oid));
        Enumerator::Values(names.map(|object| Value::from(&*object.name)).collect())
    }
}

/// `names`, `oids`, `types` and `plain`: one entry for each varbind, by position from 1. Iterates over the entries.
#[derive(Debug)]
struct Properties(Vec<Value>);

impl Object for Properties {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let at = usize::try_from(key.clone()).ok()?;
        self.0.get(at.checked_sub(1)?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.clone())
    }
}
