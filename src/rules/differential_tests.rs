//! One language, one answer: an expression gives the same value natively, in the template engine, and with its operands
//! in variables, loops, lists and maps, for every documented way to write a variable.

use std::sync::Arc;

use proptest::prelude::*;

use super::lookups::Offered;
use super::scope::{Messages, Scope};
use super::tests::{interface, mib, trap};
use super::values::MessageValues;
use super::{MessageContext, variable::Variable};
use crate::language::expr::Node;
use crate::language::jinja::Environment;
use crate::language::syntax;
use crate::language::template::{Compiler, Expression, Template};
use crate::language::value::Val;
use crate::lookup::hosts::Hosts;
use crate::lookup::load::parse;
use crate::lookup::rows::tests::definition;
use crate::lookup::settings::Definition;
use crate::lookup::tables::{Known, Tables};
use crate::message::{Message, Source, Value, Varbind};
use crate::mib::Mib;
use crate::oid::Oid;

/// Every spelling of a variable, literals of every type, and names that the message does not have.
const OPERANDS: [&str; 51] = [
    "ifDescr",
    "v['ifDescr']",
    "v.ifDescr",
    "v['IF-MIB::ifDescr']",
    "v['ifDescr.3']",
    "v['ifDescr.4']",
    "v['IF-MIB::ifDescr.4']",
    "v['1.3.6.1.2.1.2.2.1.2']",
    "v['1.3.6.1.2.1.2.2.1.2.4']",
    "v['1.3.6.1.2.1.2.2']",
    "v['1.3.6.1.2.1.2.2.1.8']",
    "v[3]",
    "v[4]",
    "raw['IF-MIB::ifDescr']",
    "raw[3]",
    "ifOperStatus",
    "v['IF-MIB::ifOperStatus']",
    "v['ifOperStatus.3']",
    "v[2]",
    "raw.ifOperStatus",
    "raw['1.3.6.1.2.1.2.2.1.8.3']",
    "ifIndex",
    "index.ifIndex",
    "index['IF-MIB::ifIndex']",
    "names[4]",
    "oids[2]",
    "types[3]",
    "plain[2]",
    "v|length",
    "host",
    "trap",
    "received",
    "ifAlias",
    "v['IF-MIB::ifAdminStatus']",
    "v[9]",
    "names[9]",
    "lookup('site', ifDescr).city",
    "lookup('site', ifDescr)['site.name']",
    "lookup('site', ifDescr).site.name",
    "lookup('site', ifDescr).floor",
    "lookup('site', ifDescr).up",
    "lookup('site', ifDescr)",
    "lookup('site', ifOperStatus).city",
    "lookup('site', ifAlias).city",
    "lookup('site', 'nowhere').city",
    "none",
    "'down'",
    "2",
    "2.0",
    "'2'",
    "''",
];

const OPERATORS: [&str; 8] = ["==", "!=", "<", "<=", ">", ">=", "in", "not in"];

/// A table with values of each type, by the description of the interface and by a state.
fn tables() -> Arc<Tables> {
    let definition = definition("json = \"f\"\nkey = \"if\"\nignore_case = true");
    let rows = br#"[{"if": "gi0/3", "city": "Wien", "site": {"name": "down"}, "floor": 2, "up": true}, {"if": "down", "city": ""}]"#;
    let table = parse(&definition, "f", rows).0.map(Arc::new);
    assert!(table.is_some());
    Arc::new(Tables::new(vec![Known::new(Arc::new(named(definition, "site")), table)]))
}

fn named(definition: Definition, name: &str) -> Definition {
    Definition { name: name.into(), ..definition }
}

struct Fixture {
    mib: Arc<Mib>,
    message: Message<'static>,
    source: Source,
    hosts: Hosts,
    environment: Environment,
    tables: Arc<Tables>,
}

impl Fixture {
    /// A linkDown that carries ifDescr twice.
    fn new() -> Self {
        let mut varbinds = interface(2);
        let second = Varbind {
            oid: "1.3.6.1.2.1.2.2.1.2.4".parse().unwrap(),
            value: Value::OctetString(b"second one"),
        };
        varbinds.push(second);
        Fixture {
            mib: mib(),
            message: trap("1.3.6.1.6.3.1.1.5.3", varbinds),
            source: Source { peer: "192.0.2.1:162".parse().unwrap(), received: 0 },
            hosts: Hosts::default(),
            environment: Environment::default(),
            tables: tables(),
        }
    }

    fn context(&self) -> MessageContext<'_> {
        MessageContext {
            message: &self.message,
            source: &self.source,
            address: "192.0.2.1",
            host: "router1",
            source_name: None,
            agent_believed: true,
            charset: crate::text::Charset::default(),
            hosts: &self.hosts,
            tags: None,
            state: None,
            tables: None,
        }
    }

    /// The value of an expression as text, natively and in the engine.
    fn both_ways(&mut self, source: &str) -> (String, String) {
        let parsed = syntax::expression(source).unwrap();
        let offered = Offered::new(&self.tables);
        let scope = Scope {
            mib: &self.mib,
            kind: Messages::Notifications,
            captures: &[],
            columns: &[],
            traps: &[],
            asked: None,
            lookups: Some(&offered),
        };
        let node: Node<Variable> =
            Node::lower(&parsed, &scope).unwrap_or_else(|| panic!("not native: {source}"));
        let program = self.environment.expression(&parsed, &scope).unwrap();
        let context = self.context();
        let values = MessageValues { context: &context, captures: &[], mib: &self.mib, tables: &self.tables };
        let engine = self.environment.eval(&program, &values);
        let native = node.eval(&values).into_text().into_owned();
        let mut pushed = String::new();
        node.push(&values, &mut pushed);
        assert_eq!(pushed, native, "{source}");
        (native, engine.map_or_else(|error| format!("({error})"), |value| value.into_text().into_owned()))
    }

    fn rendered(&mut self, source: &str) -> String {
        let offered = Offered::new(&self.tables);
        let scope = Scope {
            mib: &self.mib,
            kind: Messages::Notifications,
            captures: &[],
            columns: &[],
            traps: &[],
            asked: None,
            lookups: Some(&offered),
        };
        let mut compiler = Compiler::new(&scope, &mut self.environment);
        let template = compiler.template(source);
        let template = template.unwrap_or_else(|| panic!("{source}: {:?}", compiler.faults));
        assert!(matches!(template, Template::Program(_)), "native: {source}");
        let context = self.context();
        let values = MessageValues { context: &context, captures: &[], mib: &self.mib, tables: &self.tables };
        template
            .render(&self.environment, &values)
            .map_or_else(|error| format!("({error})"), std::borrow::Cow::into_owned)
    }
}

fn operand() -> impl Strategy<Value = &'static str> {
    prop::sample::select(OPERANDS.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn comparisons_agree_everywhere(a in operand(), op in prop::sample::select(OPERATORS.to_vec()), b in operand()) {
        let mut fixture = Fixture::new();
        let (native, engine) = fixture.both_ways(&format!("{a} {op} {b}"));
        prop_assert_eq!(&native, &engine, "{} {} {}", a, op, b);
        let mut forms = vec![
            format!("{{% set a = {a} %}}{{% set b = {b} %}}{{{{ a {op} b }}}}"),
            format!("{{% with a = {a}, b = {b} %}}{{{{ a {op} b }}}}{{% endwith %}}"),
            format!("{{% for a in [{a}] %}}{{% for b in ({b},) %}}{{{{ a {op} b }}}}{{% endfor %}}{{% endfor %}}"),
            format!("{{{{ [{a}]|first {op} [{b}]|last }}}}"),
            format!("{{{{ {{'k': {a}}}['k'] {op} {b} }}}}"),
            format!("{{% set l = [0, {a}] %}}{{{{ l[1] {op} {b} }}}}"),
            format!("{{% set b = {b} %}}{{{{ [({a}) {op} b]|first }}}}"),
        ];
        if !op.starts_with("not") {
            forms.push(format!("{{{{ [{a}]|select('{op}', {b})|list|length == 1 }}}}"));
        }
        for form in forms {
            prop_assert_eq!(&fixture.rendered(&form), &native, "{}", form);
        }
    }

    #[test]
    fn lists_contain_the_same_everywhere(a in operand(), items in prop::collection::vec(operand(), 1..4)) {
        let mut fixture = Fixture::new();
        let list = items.join(", ");
        let (native, engine) = fixture.both_ways(&format!("{a} in [{list}]"));
        prop_assert_eq!(&native, &engine, "{} in [{}]", a, list);
        for form in [
            format!("{{% set l = [{list}] %}}{{{{ {a} in l }}}}"),
            format!("{{% set a = {a} %}}{{{{ a in ({list},) }}}}"),
            format!("{{{{ not ({a} not in [{list}]|list) }}}}"),
        ] {
            prop_assert_eq!(&fixture.rendered(&form), &native, "{}", form);
        }
    }

    /// A template appends values in a shorter way than expressions have them.
    #[test]
    fn what_is_appended_is_what_expressions_have(
        name in prop::sample::select(vec!["ifIndex", "ifOperStatus", "ifDescr", "raw['ifDescr']", "raw['ifOperStatus']", "v[1]"]),
        octets in prop_oneof![prop::collection::vec(any::<u8>(), 0..24), prop::collection::vec(32..127u8, 0..24)],
        number in prop_oneof![any::<i32>(), 0..9],
        kind in 0..4,
    ) {
        let mut fixture = Fixture::new();
        let column = [("Index", 1), ("Oper", 8), ("Descr", 2), ("v[1]", 2)].into_iter().find(|(part, _)| name.contains(part));
        let oid = Oid::from_arcs(&[1, 3, 6, 1, 2, 1, 2, 2, 1, column.unwrap().1, 7]).unwrap();
        let value = match kind {
            0 => Value::Integer(number),
            1 => Value::TimeTicks(number.unsigned_abs()),
            _ => Value::OctetString(octets.leak()),
        };
        fixture.message = trap("1.3.6.1.6.3.1.1.5.3", vec![Varbind { oid, value }]);
        let (native, engine) = fixture.both_ways(name);
        prop_assert_eq!(native, engine);
    }

    /// Operators and filters that give text or a truth value.
    #[test]
    fn operators_agree(a in operand(), b in operand(), c in operand(), kind in 0..12usize) {
        let mut fixture = Fixture::new();
        let of = |a: &str, b: &str, c: &str| match kind {
            0 => format!("{a} or {b} or {c}"),
            1 => format!("{a} and {b}"),
            2 => format!("{a} ~ '-' ~ {b}"),
            3 => format!("{a} if {b} else {c}"),
            4 => format!("{a}|upper ~ {b}|lower ~ {c}|trim"),
            5 => format!("{a}|default({b})"),
            6 => format!("not {a}"),
            7 => format!("{a} is defined"),
            8 => format!("{a}|number"),
            9 => format!("{a}|regex_replace('[a-z]', '<$0>', 2)"),
            10 => format!("{a} is matching('^[0-9Gd]')"),
            _ => format!("{a} is any_bit(2)"),
        };
        let (native, engine) = fixture.both_ways(&of(a, b, c));
        prop_assert_eq!(&native, &engine, "{}", of(a, b, c));
        let form = format!("{{% set a = {a} %}}{{% set b = {b} %}}{{% set c = {c} %}}{{{{ {} }}}}", of("a", "b", "c"));
        prop_assert_eq!(&fixture.rendered(&form), &native, "{}", form);
    }
}

/// A key that is known when the rule is compiled means what it means when it is computed.
#[test]
fn computed_keys_mean_what_constants_mean() {
    let mut fixture = Fixture::new();
    for operand in OPERANDS {
        let Some((table, key)) = operand.strip_suffix(']').and_then(|o| o.split_once('[')) else { continue };
        let (native, _) = fixture.both_ways(operand);
        let form = format!("{{% set k = {key} %}}{{{{ {table}[k] }}}}");
        assert_eq!(fixture.rendered(&form), native, "{form}");
        let form = format!("{{% for k in [{key}] %}}{{{{ {table}[k] is defined }}}}{{% endfor %}}");
        assert_eq!(fixture.rendered(&form), if native.is_empty() { "False" } else { "True" }, "{form}");
    }
    for (source, expected) in [
        ("{% for at in v %}{{ at }}={{ v[at] }},{% endfor %}", "1=3,2=down,3=Gi0/3,4=second one,"),
        ("{% for name in index %}{{ name }}={{ index[name] }},{% endfor %}", "ifIndex=3,"),
        (
            "{{ names|join(' ') }} {{ types|length }}",
            "IF-MIB::ifIndex.3 IF-MIB::ifOperStatus.3 IF-MIB::ifDescr.3 IF-MIB::ifDescr.4 4",
        ),
        (
            "{{ 'ifDescr.4' in v }} {{ 'ifAlias' in v }} {{ 9 in v }} {{ 'Integer32' in types }}",
            "True False False True",
        ),
        ("{{ v['ifDescr']|title }} {{ v['1.3.6.1.2.1.2.2.1.2']|title }}", "Gi0/3 Gi0/3"),
    ] {
        assert_eq!(fixture.rendered(source), expected, "{source}");
    }
}

/// A condition and its negation are never both true, and what cannot be computed is an error, not a text.
#[test]
fn errors_are_errors() {
    let fixture = Fixture::new();
    let context = fixture.context();
    let values =
        MessageValues { context: &context, captures: &[], mib: &fixture.mib, tables: &fixture.tables };
    let scope = Scope {
        mib: &fixture.mib,
        kind: Messages::Notifications,
        captures: &[],
        columns: &[],
        traps: &[],
        asked: None,
        lookups: None,
    };
    let mut environment = Environment::default();
    for (source, fails) in [("ifAlias + 1", true), ("ifIndex + 1", false), ("ifDescr|int", true)] {
        let expression = Compiler::new(&scope, &mut environment).expression(source).unwrap();
        assert!(matches!(expression, Expression::Program(_)));
        let value: Result<Val<'_>, _> = expression.eval(&environment, &values);
        assert_eq!(value.is_err(), fails, "{source}");
    }
}

/// The table of comparisons in docs/rules.md is true, in both evaluators.
#[test]
fn the_documented_comparisons_are_true() {
    let mut fixture = Fixture::new();
    let page = include_str!("../../docs/rules.md");
    let mut rows = page.lines().skip_while(|line| !line.starts_with("| `a` | `b` |"));
    let cells = |line: &str| -> Vec<String> {
        line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`').to_owned()).collect()
    };
    let forms = cells(rows.next().unwrap());
    let rows: Vec<_> = rows.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect();
    assert!(rows.len() > 10, "{rows:?}");
    for row in rows {
        for (form, expected) in forms.iter().zip(&row).skip(2) {
            let op = form.strip_prefix("a ").and_then(|f| f.strip_suffix(" b")).unwrap();
            let (a, b) = (&row[0], &row[1]);
            let form = format!("{{% set a = {a} %}}{{% set b = {b} %}}{{{{ a {op} b }}}}");
            assert_eq!(fixture.rendered(&form).to_lowercase(), *expected, "{a} {op} {b}");
            if !b.starts_with('[') || op == "in" {
                let (native, _) = fixture.both_ways(&format!("{a} {op} {b}"));
                assert_eq!(native.to_lowercase(), *expected, "{a} {op} {b}");
            }
        }
    }
}
