use std::collections::BTreeMap;

use minijinja::Value;
use proptest::prelude::*;

use super::convert::to_value;
use super::jinja::{Environment, RenderError};
use super::names::{Key, Names, Path, Resolved, Values};
use super::template::{Compiler, Expression, Template};
use super::value::Val;
use crate::settings::diagnostic::Severity;

/// Some variables, and a table `t` of the same.
struct Variables(BTreeMap<&'static str, Val<'static>>);

impl Variables {
    fn new() -> Self {
        let text = |text: &'static str| Val::Str(text.into());
        Variables(BTreeMap::from([
            ("word", text("Gi0/3")),
            ("empty", text("")),
            ("tab", text("a\t\"b\"")),
            ("three", Val::Int(3)),
            ("zero", Val::Int(0)),
            ("half", Val::Float(0.5)),
            ("down", Val::Named { number: 2, name: "down" }),
            ("emerg", Val::Named { number: 0, name: "emerg" }),
            ("missing", Val::Undefined),
        ]))
    }
}

impl Names for Variables {
    type Var = String;

    fn resolve(&self, path: &Path<'_>) -> Resolved<String> {
        match (path.base, path.keys.as_slice()) {
            ("t", []) => Resolved::Table,
            ("t", [Key::Name(name)]) => Resolved::Variable(name.to_string()),
            (name, []) if self.0.contains_key(name) => Resolved::Variable(name.to_owned()),
            (name, _) if self.0.contains_key(name) => Resolved::Part,
            (name, _) => Resolved::Unknown(format!("no '{name}' here")),
        }
    }

    fn is_text(&self, variable: &String) -> bool {
        variable == "word"
    }
}

impl<'m> Values<'m, String> for Variables {
    fn get(&self, variable: &'m String) -> Val<'m> {
        self.0.get(variable.as_str()).cloned().unwrap_or(Val::Undefined)
    }

    fn table(&self, _name: &str) -> Value {
        Value::from_pairs(self.0.iter().map(|(name, value)| (*name, to_value(value.clone()))))
    }
}

fn rendered(source: &str) -> String {
    rendered_with(Environment::default(), source)
}

fn rendered_with(mut environment: Environment, source: &str) -> String {
    let variables = Variables::new();
    let mut compiler = Compiler::new(&variables, &mut environment);
    let template = compiler.template(source);
    let faults = std::mem::take(&mut compiler.faults);
    let template = template.unwrap_or_else(|| panic!("{source}: {faults:?}"));
    template
        .render(&environment, &variables)
        .map_or_else(|error| format!("({error})"), std::borrow::Cow::into_owned)
}

fn faults(source: &str) -> Vec<String> {
    let variables = Variables::new();
    let mut environment = Environment::default();
    let mut compiler = Compiler::new(&variables, &mut environment);
    let compiled = compiler.template(source);
    let errors = compiler.faults.iter().any(|f| f.severity == Severity::Error);
    assert_eq!(compiled.is_none(), errors, "{source}");
    compiler
        .faults
        .iter()
        .map(|fault| {
            let at = source.get(fault.within.clone()).unwrap_or("?");
            format!("{at}: {}; {}", fault.message, fault.hint.as_deref().unwrap_or("-"))
        })
        .collect()
}

#[test]
fn named_numbers_in_locals_lists_loops_and_maps() {
    for (source, expected) in [
        ("{% set x = down %}{{ x }} {{ x == 2 }} {{ x == 'down' }} {{ x + 1 }}", "down True True 3"),
        ("{% for x in [down, 7] %}{{ x }}{{ x == 2 }} {% endfor %}", "downTrue 7False "),
        ("{{ [down]|first == 2 }} {{ (down, 1)|first == 'down' }}", "True True"),
        ("{{ {2: 'bad'}[down] }} {{ {'down': 'bad'}[down] }} {{ {down: 'x'}['down'] }}", "bad bad x"),
        ("{{ down + 1 }} {{ 1 + down }} {{ -down }} {{ down * 2 }}", "3 3 -2 4"),
        ("{{ down|int }} {{ down|float }} {{ down|string }} {{ down|length }}", "2 2.0 down 4"),
        (
            "{{ down|upper }} {{ down[:2] }} {{ down ~ '!' }} {{ down|replace('d', 'D') }}",
            "DOWN do down! Down",
        ),
        ("{{ [1, 2, 3]|select('==', down)|join(',') }} {{ [down, three]|join(',') }}", "2 down,3"),
        (
            "{{ down in [1, 2] }} {{ down in ['down'] }} {{ 2 in [down] }} {{ 'ow' in down }}",
            "True True True True",
        ),
        ("{{ [down] == [2] }} {{ [down] == ['down'] }} {{ [down] != [3] }}", "True True True"),
        (
            "{{ 1 < down <= 2 }} {{ down is odd }} {{ down is number }} {{ down is string }}",
            "True False True True",
        ),
        ("{{ emerg and 'yes' }} {{ 'zero' if zero else 'none' }}", "yes none"),
        ("{{ [three, down]|sort|join(',') }} {{ [down, down]|unique|list|length }}", "down,3 1"),
        ("{{ t.down == 2 }} {{ t['down'] + 1 }} {% set k = 'down' %}{{ t[k] == 2 }}", "True 3 True"),
    ] {
        // Kinds do not mix in a sort.
        let expected = expected.replace("down,3 1", "3,down 1");
        assert_eq!(rendered(source), expected, "{source}");
    }
}

#[test]
fn undefined_values() {
    for (source, expected) in [
        ("{{ missing }}|{{ missing|length }}|{{ missing|upper }}|{{ missing|replace('a', 'b') }}", "|0||"),
        ("{{ missing == missing }} {{ missing != missing }} {{ missing == '' }}", "False True False"),
        ("{% set x = missing %}{{ x == missing }} {{ x == none }} {{ x is none }}", "False False True"),
        ("{{ missing in 'abc' }} {{ missing in [missing] }} {{ 'a' in missing }}", "False False False"),
        ("{{ missing[:3] }}|{{ missing.a.b }}|{{ missing['a'][1] }}", "||"),
        ("{{ missing|default('-') }} {{ missing|first|default('-') }} {{ none|default('-') }}", "- - -"),
        ("{{ missing + 1 }}", "(tried to use + operator on unsupported types undefined and number)"),
        ("{{ missing < 1 }} {{ missing >= 0 }} {% for x in missing %}x{% endfor %}", "False False "),
    ] {
        assert_eq!(rendered(source), expected, "{source}");
    }
}

#[test]
fn assigned_names_hide_variables() {
    for (source, expected) in [
        ("{% set three = 5 %}{% if three == 5 %}yes{% else %}no{% endif %}", "yes"),
        ("{% for three in [7] %}{{ three }}{% endfor %}{{ three }}", "73"),
        ("{% with t = {'down': 1} %}{{ t.down }}{{ t['down'] }}{% endwith %}{{ t.down }}", "11down"),
        (
            "{% set ns = namespace(n=0) %}{% for x in [1, 2] %}{% set ns.n = ns.n + x %}{% endfor %}{{ ns.n }}",
            "3",
        ),
        ("{% for x in ['a', 'b'] %}{{ loop.index }}{{ x }}{{ loop.cycle('-', '') }}{% endfor %}", "1a-2b"),
    ] {
        assert_eq!(rendered(source), expected, "{source}");
    }
}

#[test]
fn values_are_escaped_where_they_are_printed() {
    let escape = |text: &str| text.replace('"', "\\\"").replace('\t', "\\t");
    for (source, expected) in [
        ("\"{{ tab }}\"", r#""a\t\"b\"""#),
        ("\"{{ tab|upper }}\"", r#""A\t\"B\"""#),
        ("{{ tab[:2] }}.{{ tab|length }} {{ tab == 'a\t\"b\"' }}", r"a\t.5 True"),
        ("{% if three %}\"{{ tab }}{% endif %}", r#""a\t\"b\""#),
        ("{% filter upper %}\"{{ tab }}{% endfilter %}", r#"\"A\t\"B\""#),
        ("{% filter regex_replace('b', 'c') %}\"{{ tab }}{% endfilter %}", r#"\"a\t\"c\""#),
        ("{% set x %}<{{ tab }}>{% endset %}{{ x }}{{ x|length }}", r#"<a\t\"b\">7"#),
        (
            "{% for c in [tab] recursive %}{{ c }}{% if loop.depth < 2 %}{{ loop([c]) }}{% endif %}{% endfor %}",
            r#"a\t\"b\"a\t\"b\""#,
        ),
    ] {
        assert_eq!(rendered_with(Environment::escaping(escape), source), expected, "{source}");
    }
}

#[test]
fn mistakes_have_a_place_and_a_hint() {
    for (source, expected) in [
        ("{{ wrd }}", "wrd: unknown variable 'wrd'; no 'wrd' here"),
        (
            "{{ word.split(',') }}",
            "word.split(','): values have no methods, so not 'split'; write x|split(',')",
        ),
        (
            "{{ word.frob() }}",
            "word.frob(): values have no methods, so not 'frob'; use a filter, such as x|replace('a', 'b')",
        ),
        ("{{ rnge(3) }}", "rnge(3): unknown function 'rnge'; did you mean 'range'?"),
        ("{{ word|lowr }}", "lowr: unknown filter 'lowr'; did you mean 'lower'?"),
        (
            "{{ word|matching('a') }}",
            "matching('a'): unknown filter 'matching'; 'matching' is a test: write x is matching(...)",
        ),
        (
            "{{ word is replace('a', 'b') }}",
            "replace('a', 'b'): unknown test 'replace'; 'replace' is a filter: write x|replace(...)",
        ),
        ("{{ word is matchin('a') }}", "matchin('a'): unknown test 'matchin'; did you mean 'matching'?"),
        (
            "{{ t.down(1) }}",
            "t.down(1): values have no methods, so not 'down'; use a filter, such as x|replace('a', 'b')",
        ),
        ("{{ loop.index }}", "loop.index: unknown variable 'loop.index'; no 'loop' here"),
        (
            "{% do range(3) %}",
            "do range(3): the statement 'do' has no effect; write {{ ... }} to print a value, {% set x = ... %} to keep it",
        ),
        (
            "{% set __eq = 1 %}{{ word == 'a' }}",
            ": names that start with '__' are reserved: '__eq'; rename it",
        ),
        (
            "{{ word is within('10.0.0.0/40') }}",
            "within('10.0.0.0/40'): invalid address, network or range '10.0.0.0/40'; write 192.0.2.1, 192.0.2.0/24 or 192.0.2.1-192.0.2.9",
        ),
        (
            "{{ word|regex_replace(word, 'a') }}",
            "regex_replace(word, 'a'): the arguments of 'regex_replace' must be literals; write the text itself in quotes; variables are not possible here",
        ),
    ] {
        assert_eq!(faults(source), [expected], "{source}");
    }
    for (source, expected) in [
        (
            "{{ word > 5 }}",
            "word: 'word' is text, so its comparison with a number is always false; write word|number",
        ),
        (
            "{{ 5 != t.word }}",
            "t.word: 't.word' is text, so its comparison with a number is always true; write t.word|number",
        ),
        (
            "{{ word in [1, -2] }}",
            "word: 'word' is text, so its comparison with a number is always false; write word|number",
        ),
        (
            "{{ word not in [1] }}",
            "word: 'word' is text, so its comparison with a number is always true; write word|number",
        ),
        (
            "{% if 1 < word <= three %}{% endif %}",
            "word: 'word' is text, so its comparison with a number is always false; write word|number",
        ),
    ] {
        assert_eq!(faults(source), [expected], "{source}");
    }
    let fine = "{{ word == '5' }}{{ three > 2 }}{{ word|number > 2 }}{{ word in [1, 'a'] }}";
    assert_eq!(faults(fine), [""; 0]);
    assert!(
        faults("{{ range(3)|join(',') }}{% for x in [1] %}{{ loop.cycle(1, 2) }}{% endfor %}").is_empty()
    );
}

#[test]
fn constants_that_an_expression_must_not_give() {
    let variables = Variables::new();
    let valid = |value: &Val<'_>| match value.borrowed().into_text().as_ref() {
        "ok" | "bad" => Ok(()),
        other => Err((format!("not '{other}'"), "ok or bad".to_owned())),
    };
    for (source, wrong) in [
        ("'ok' if word else 'bad'", None),
        ("'ok' if word else 'worse'", Some("'worse'")),
        ("word or 'wrong'", Some("'wrong'")),
        ("{'a': 'ok'}[word]|default('x')", Some("'x'")),
    ] {
        let mut environment = Environment::default();
        let mut compiler = Compiler::new(&variables, &mut environment);
        let compiled = compiler.expression_of(source, valid);
        assert_eq!(compiled.is_none(), wrong.is_some(), "{source}");
        assert_eq!(compiler.faults.first().map(|f| &source[f.within.clone()]), wrong, "{source}");
    }
}

/// The value that an expression has in the engine keeps its type.
#[test]
fn expressions_of_the_engine_give_values() {
    let variables = Variables::new();
    for (source, expected) in [
        ("[0]|first", Val::Int(0)),
        ("[half]|first", Val::Float(0.5)),
        ("[down]|first", Val::Str("down".into())),
        ("[missing]|first", Val::Undefined),
        ("[1]|length > 0", Val::Bool(true)),
        ("[three, 'x']", Val::Str("[3, 'x']".into())),
    ] {
        let mut environment = Environment::default();
        let expression = Compiler::new(&variables, &mut environment).expression(source).unwrap();
        assert!(matches!(expression, Expression::Program(_)), "{source}");
        let value = expression.eval(&environment, &variables).unwrap();
        assert_eq!(value, expected, "{source}");
    }
}

#[test]
fn loops_without_end_end() {
    let long = "{% for a in range(100) %}{% for b in range(100) %}{% for c in range(100) %}{{ c }}{% endfor %}{% endfor %}{% endfor %}";
    assert_eq!(rendered(long), format!("({})", RenderError::OverBudget));
}

/// Templates over strings and numbers, without what the language changes on purpose.
fn plain_template() -> impl Strategy<Value = String> {
    let leaf =
        prop::sample::select(vec!["word", "three", "zero", "half", "'a{{b'", "7", "x", "true", "-2", "1.5"]);
    let expression = leaf.prop_map(str::to_owned).prop_recursive(4, 24, 3, |inner| {
        let binary = prop::sample::select(vec!["or", "and", "~", "==", "!="]);
        prop_oneof![
            (inner.clone(), binary, inner.clone()).prop_map(|(a, op, b)| format!("{a} {op} {b}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) ~ ({b})")),
            (inner.clone(), inner.clone(), inner.clone())
                .prop_map(|(a, b, c)| format!("({a} if {b} else {c})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("[{a}, {b}]|join('-')")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("{{'k': {a}, 'l': {b}}}['k']")),
            inner.clone().prop_map(|a| format!("(not ({a}))")),
            inner.clone().prop_map(|a| format!("({a})|string|upper")),
            inner.clone().prop_map(|a| format!("({a}) is defined")),
            (0..9i32, 1..9i32).prop_map(|(a, b)| format!("{a} + {b} * 2 - {a} // {b} % 3 ** 2")),
            inner.prop_map(|a| format!("(({a}) ~ '')[1:3]")),
        ]
    });
    let statement = expression.clone().prop_map(|e| format!("{{{{ {e} }}}}"));
    let text = "[a-z \n'{}%\\\\-]{0,6}".prop_filter("no tags", |t| !t.contains("{{") && !t.contains("{%"));
    let leaf = prop_oneof![statement, text];
    let body = leaf.prop_recursive(3, 16, 3, move |inner| {
        let e = expression.clone();
        prop_oneof![
            (e.clone(), inner.clone(), inner.clone(), inner.clone()).prop_map(|(e, a, b, c)| format!(
                "{{% if {e} %}}{a}{{% elif {e} %}}{b}{{% else %}}{c}{{% endif %}}"
            )),
            (e.clone(), inner.clone()).prop_map(|(e, a)| format!(
                "{{% for x in [{e}, 1] if x %}}{a}{{{{ loop.index }}}}{{% else %}}-{{% endfor %}}"
            )),
            (e.clone(), inner.clone()).prop_map(|(e, a)| format!("{{% set x = {e} %}}{a}")),
            inner.clone().prop_map(|a| format!("{{% set x | upper | trim %}}{a}{{% endset %}}{{{{ x }}}}")),
            inner.clone().prop_map(|a| format!("{{% filter lower|trim %}}{a}{{% endfilter %}}")),
            (e, inner).prop_map(|(e, a)| format!("{{%- with x = {e} %}}{a}{{% endwith -%}}")),
        ]
    });
    prop::collection::vec(body, 1..4).prop_map(|parts| format!("{{% set x = 'x' %}}{}", parts.concat()))
}

proptest! {
    /// A rewritten template says what the template says.
    #[test]
    fn templates_render_as_in_minijinja(source in plain_template()) {
        let variables = Variables::new();
        let mut plain = minijinja::Environment::new();
        plain.set_undefined_behavior(minijinja::UndefinedBehavior::Chainable);
        let expected = plain.render_str(&source, variables.table(""));
        // A text at the edge of a tag can make a tag of it.
        prop_assume!(crate::language::syntax::template(&source).is_ok());
        let mut environment = Environment::default();
        let mut compiler = Compiler::new(&variables, &mut environment);
        let template = compiler.template(&source);
        prop_assert!(template.is_some(), "{} {:?}", source, compiler.faults);
        let template = template.unwrap();
        let is_text = matches!(template, Template::Text(_));
        prop_assert!(!is_text);
        let got = template.render(&environment, &variables);
        match expected {
            Ok(expected) => prop_assert_eq!(got.unwrap().into_owned(), expected, "{}", source),
            Err(_) => prop_assert!(got.is_err(), "{}", source),
        }
    }

    /// The compiler and the engine survive any source.
    #[test]
    fn any_source_is_safe(source in "(\\{\\{|\\}\\}|\\{%|%\\}| |x|t|down|missing|'a'|\\[|\\]|\\(|\\)|\\||~|\\+|-|<|==|in|not|if|else|endif|for|endfor|set|=|,|:|\\.|1|first|is|defined|loop){0,24}") {
        let variables = Variables::new();
        let mut environment = Environment::default();
        let template = Compiler::new(&variables, &mut environment).template(&source);
        if let Some(template) = template {
            let _ = template.render(&environment, &variables);
        }
        if let Some(expression) = Compiler::new(&variables, &mut environment).expression(&source) {
            let _ = expression.eval(&environment, &variables);
        }
    }
}
