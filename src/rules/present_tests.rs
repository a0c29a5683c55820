//! Values with what their module says of them: one answer wherever a value is written.

use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::compile::{Compiled, RuleFile, compile};
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
