//! Values with what their module says of them: one answer wherever a value is written, and how it compares.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::compile::{Compiled, RuleFile, compile};
use super::testing;
use crate::lookup::hosts::Hosts;
use crate::message::{Value, Varbind};
use crate::mib::Mib;

/// Objects with each kind of syntax, by number: their names are `x1`, `x2` and so on.
const SYNTAXES: [&str; 14] = [
    "Integer32",
    "Places",
    "NoPlaces",
    "Hex",
    "Binary",
    "Octal",
    "Odd",
    "INTEGER { one(1), two(2), zero(0) }",
    "Unsigned32",
    "UnsignedPlaces",
    "TimeTicks",
    "OCTET STRING",
    "DisplayString",
    "Counter64",
];

/// Columns `x1` to `x14` with the indexes `x2` and `x8`.
fn mib() -> Arc<Mib> {
    static MIB: OnceLock<Arc<Mib>> = OnceLock::new();
    let load = || {
        let convention = |name: &str, hint: &str, of: &str| {
            format!(
                "{name} ::= TEXTUAL-CONVENTION DISPLAY-HINT \"{hint}\" STATUS current DESCRIPTION \"x\" SYNTAX {of}\n"
            )
        };
        let mut text = "X-MIB DEFINITIONS ::= BEGIN\nIMPORTS MODULE-IDENTITY, OBJECT-TYPE, NOTIFICATION-TYPE, Integer32, Unsigned32, Counter64, \
            TimeTicks, enterprises FROM SNMPv2-SMI\n TEXTUAL-CONVENTION, DisplayString FROM SNMPv2-TC;\n\
            x MODULE-IDENTITY LAST-UPDATED \"202611200000Z\" ORGANIZATION \"x\" CONTACT-INFO \"x\" DESCRIPTION \"x\" ::= { enterprises 99991 }\n"
            .to_owned();
        for (name, hint) in [
            ("Places", "d-2"),
            ("NoPlaces", "d-0"),
            ("Hex", "x"),
            ("Binary", "b"),
            ("Octal", "o"),
            ("Odd", "q7"),
        ] {
            text += &convention(name, hint, "Integer32");
        }
        text += &convention("UnsignedPlaces", "d-1", "Unsigned32");
        text += "xTable OBJECT-TYPE SYNTAX SEQUENCE OF XEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" ::= { x 1 }\n\
            xEntry OBJECT-TYPE SYNTAX XEntry MAX-ACCESS not-accessible STATUS current DESCRIPTION \"x\" INDEX { x2, x8 } ::= { xTable 1 }\n\
            XEntry ::= SEQUENCE { x1 Integer32 }\n";
        for (at, syntax) in SYNTAXES.iter().enumerate() {
            let at = at + 1;
            text += &format!(
                "x{at} OBJECT-TYPE SYNTAX {syntax} MAX-ACCESS read-only STATUS current DESCRIPTION \"x\" ::= {{ xEntry {at} }}\n"
            );
        }
        text +=
            "xTrap NOTIFICATION-TYPE OBJECTS { x1 } STATUS current DESCRIPTION \"x\" ::= { x 0 1 }\nEND\n";
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("x.txt"), text).unwrap();
        let loaded = crate::mib::load::load(&[folder.path().to_owned()]);
        assert_eq!(loaded.found.to_text(), "");
        Arc::new(loaded.mib)
    };
    MIB.get_or_init(load).clone()
}

fn compiled(text: &str) -> Compiled {
    compile(&[RuleFile { name: "rules/x.toml".into(), text: text.into() }], mib())
}

/// What a rule for traps with one varbind makes of an expression, where the varbind has a value in TOML. The varbind is sent as
/// its object is, or without a module.
fn made(expression: &str, object: usize, value: &str) -> String {
    let text = format!(
        "[[rule]]\nid = \"a\"\ntrap = \"X-MIB::xTrap\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{{{ {expression} }}}}\"\n\
         [[rule.test]]\ntrap = \"X-MIB::xTrap\"\nvarbinds = {{ \"x{object}.2345.2\" = {value} }}\nexpect = {{ output = \"?\" }}\n"
    );
    let compiled = compiled(&text);
    let report = testing::run(&compiled.rules.unwrap(), &compiled.tests, &Hosts::default());
    let said = report.found.to_text();
    let output =
        said.split("output is \"").nth(1).and_then(|behind| behind.split("\", expected \"?\"").next());
    output.unwrap_or_else(|| panic!("{said}")).to_owned()
}

#[test]
fn numbers_compare_as_numbers_and_as_they_are_printed() {
    for (object, value, shown, holds) in [
        (1, "9000", "9000", "{} == 9000 and {} > 50 and {}|number == 9000 and {} is number"),
        (2, "9000", "90.00", "{} > 50 and {} == 90 and {} == '90.00' and {} < 90.5 and {}|number == 90"),
        (
            2,
            "2345",
            "23.45",
            "{} == 23.45 and {} in [23.45] and {} in ['23.45'] and {} != 2345 and {} + 1 == 24.45",
        ),
        (2, "-5", "-0.05", "{} < 0 and {} == -0.05 and {} is matching('^-0') and {} ~ ' C' == '-0.05 C'"),
        (
            2,
            "2345",
            "23.45",
            "{} + ' C' == '23.45 C' and 'T ' + {} + ' C' == 'T 23.45 C' and {}|replace('.', ',') == '23,45'",
        ),
        (
            2,
            "2345",
            "23.45",
            "{'23.45': 'a'}[{}] == 'a' and {}|length == 5 and {} is string and {}|round == 23",
        ),
        (2, "2345", "23.45", "v[1] == 23.45 and v.x2 == '23.45' and raw.x2 == 2345 and raw[1] > 2000"),
        (3, "31", "31", "{} == 31 and {} == '31'"),
        (4, "31", "1F", "{} == 31 and {} == '1F' and {} > 30 and {}|number == 31"),
        (5, "5", "101", "{} == 5 and {} == '101'"),
        (6, "8", "10", "{} == 8 and {} == '10'"),
        (7, "8", "8", "{} == 8"),
        (8, "2", "two", "{} == 2 and {} == 'two' and {} > 1"),
        (8, "7", "7", "{} == 7"),
        (9, "3000000000", "3000000000", "{} > 2000000000"),
        (10, "3000000000", "300000000.0", "{} == 300000000 and {} == '300000000.0'"),
        (11, "4711", "0:00:47.11", "{} == '0:00:47.11' and raw.x11 == 4711"),
        (14, "'18446744073709551615'", "18446744073709551615", "{} == 18446744073709551615 and {} > 1"),
    ] {
        let name = format!("x{object}");
        assert_eq!(made(&name, object, value), shown, "{name}");
        // By itself, and by the template engine.
        let holds = holds.replace("{}", &name);
        assert_eq!(made(&holds, object, value), "True", "{holds}");
        let looped = format!("[{holds}]|first");
        assert_eq!(made(&looped, object, value).to_lowercase(), "true", "{looped}");
    }
}

#[test]
fn what_stays_text_is_told_where_it_is_compared_with_a_number() {
    let found = |condition: &str| {
        let rule = "[[rule]]\nid = \"a\"\ntrap = \"X-MIB::xTrap\"\ndrop = true\n";
        compiled(&format!("{rule}where = \"{condition}\"\n")).found.to_text()
    };
    for (name, instead) in [
        ("x11", Some("raw.x11, which is in hundredths of a second")),
        ("v.x11", Some("raw.x11, which is in hundredths of a second")),
        ("v['x11']", Some("raw['x11'], which is in hundredths of a second")),
        ("x13", Some("x13|number")),
        ("v['x13.1']", Some("v['x13.1']|number")),
        ("sysObjectID", Some("sysObjectID|number")),
        ("raw.x13", Some("raw.x13|number")),
        ("raw.x11", None),
        // Not known: an Opaque may be a number.
        ("x12", None),
        ("v[1]", None),
        ("x1", None),
        ("x2", None),
        ("x4", None),
        ("x8", None),
        ("x14", None),
        ("index.x2", None),
    ] {
        let said = found(&format!("{name} > 50"));
        let expected = instead.map(|instead| {
            format!(
                "rules/x.toml:5:10: warning: '{name}' is text, so its comparison with a number is always false; write {instead}\n"
            )
        });
        assert_eq!(said, expected.unwrap_or_default(), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The type of a value in the message and the syntax of its object are independent.
    #[test]
    fn a_value_is_written_in_one_way(object in 1..=14usize, kind in 0..5usize, number in 0..3000u32) {
        let value = match kind {
            0 => Value::Integer(number as i32 - 10),
            1 => Value::Gauge32(number),
            2 => Value::Counter32(number),
            3 => Value::Counter64(number.into()),
            _ => Value::TimeTicks(number),
        };
        let oid = format!("1.3.6.1.4.1.99991.1.1.{object}.2345.2");
        let rule = format!(
            "[[rule]]\nid = \"a\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\n\
             output = \"{{{{ text }}}}|{{{{ x{object} }}}}|{{{{ v[1] }}}}|{{% for n in v %}}{{{{ v[n] }}}}{{% endfor %}}|{{{{ x{object} ~ '' }}}}\"\n"
        );
        let rules = compiled(&rule).rules.unwrap();
        let message = super::tests::trap("1.3.6.1.4.1.99991.0.1", vec![Varbind { oid: oid.parse().unwrap(), value }]);
        let made = super::tests::outputs(&rules, &message);
        let texts: Vec<&str> = made.split('|').collect();
        prop_assert!(texts.iter().all(|text| *text == texts[0]), "{}", made);
    }

    /// The same for the numbers with a fraction that are wrapped in Opaque, which are as they are shown elsewhere.
    #[test]
    fn a_float_is_written_in_one_way(number in prop_oneof![
        (-50..50i32).prop_map(f64::from), any::<f64>(), (-5000..5000i32).prop_map(|n| f64::from(n) / 100.0)
    ], single in any::<bool>()) {
        let value = || if single { Value::Float(number as f32) } else { Value::Double(number) };
        let shown = crate::mib::format::plain(&value(), crate::text::Charset::default()).into_owned();
        let rule = "[[rule]]\nid = \"a\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\n\
             output = \"{{ text }}|{{ v[1] }}|{{ raw[1] }}|{% for n in v %}{{ v[n] }}{% endfor %}|{{ v[1] ~ '' }}|{{ v[1]|number == v[1] }}\"\n";
        let rules = compiled(rule).rules.unwrap();
        let varbind = Varbind { oid: "1.3.6.1.4.1.99992.1".parse().unwrap(), value: value() };
        let made = super::tests::outputs(&rules, &super::tests::trap("1.3.6.1.4.1.99991.0.1", vec![varbind]));
        let texts: Vec<&str> = made.split('|').collect();
        prop_assert!(texts[..5].iter().all(|text| *text == shown), "{}: {}", shown, made);
        prop_assert!(number.is_nan() || texts[5] == "True", "{}", made);
    }

    /// An index is written as the same value in a varbind.
    #[test]
    fn an_index_is_written_as_a_varbind(first in 0..3000u32, second in 0..4u32) {
        let column = |at: u32| format!("1.3.6.1.4.1.99991.1.1.{at}.{first}.{second}").parse().unwrap();
        let rule = "[[rule]]\nid = \"a\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\n\
             output = \"{{ x2 }} {{ x8 }}|{{ index.x2 }} {{ index.x8 }}|{% for n in ['x2', 'x8'] %}{{ index[n] }} {% endfor %}|{{ index.x2 == x2 and index.x8 == x8 }}\"\n";
        let rules = compiled(rule).rules.unwrap();
        let varbinds = vec![
            Varbind { oid: column(2), value: Value::Integer(first as i32) },
            Varbind { oid: column(8), value: Value::Integer(second as i32) },
        ];
        let made = super::tests::outputs(&rules, &super::tests::trap("1.3.6.1.4.1.99991.0.1", varbinds));
        let texts: Vec<&str> = made.split('|').map(str::trim).collect();
        prop_assert_eq!((texts[1], texts[2], texts[3]), (texts[0], texts[0], "True"), "{}", made);
    }
}
