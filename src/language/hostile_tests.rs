//! Every filter, test, function and operator on texts that a hostile sender could choose: each ends within the budget.

use std::time::{Duration, Instant};

use minijinja::Value;

use super::builtins::{filter_names, test_names};
use super::jinja::{Environment, RenderError};
use super::names::{Names, Path, Resolved, Values};
use super::template::{Compiler, Fault};
use super::value::Val;

/// One variable, `t`.
struct Text(String);

impl Names for Text {
    type Var = ();

    fn resolve(&self, path: &Path<'_>) -> Resolved<()> {
        match (path.base, path.keys.as_slice()) {
            ("t", []) => Resolved::Variable(()),
            ("t", _) => Resolved::Part,
            (name, _) => Resolved::Unknown(name.to_owned()),
        }
    }
}

impl<'m> Values<'m, ()> for Text {
    fn get(&self, (): &'m ()) -> Val<'m> {
        Val::Str(self.0.clone().into())
    }

    fn table(&self, _: &str) -> Value {
        Value::UNDEFINED
    }
}

/// 64 KiB of one kind.
fn shapes() -> Vec<Text> {
    let pieces = ["a", "<", "é", "a ", "a\n", "%9"];
    pieces.iter().map(|piece| Text(piece.repeat(65_536 / piece.len()))).collect()
}

/// A rendering, how long it took, and the template of which it is.
fn render(text: &Text, source: &str) -> Option<Result<usize, RenderError>> {
    let mut environment = Environment::default();
    let mut compiler = Compiler::new(text, &mut environment);
    let Some(template) = compiler.template(source) else {
        // Arguments of the language's own filters must be literals.
        let literals =
            |fault: &Fault| fault.message.contains("arguments") || fault.message.contains("invalid");
        assert!(compiler.faults.iter().all(literals), "{source}: {:?}", compiler.faults);
        return None;
    };
    let started = Instant::now();
    let rendered = template.render(&environment, text).map(|text| text.len());
    // The budget is a few milliseconds with optimisations.
    let took = started.elapsed();
    assert!(took < Duration::from_secs(20), "{source} took {took:?}");
    Some(rendered)
}

const ARGUMENTS: [&str; 11] = [
    "",
    "t",
    "'a'",
    "'a', t",
    "'', t",
    "1000000000, t",
    "-1000000000",
    "width=1000000000, blank=true",
    "'upper'",
    "'replace', 'a', t",
    "'matching', '(a{1,60}){1,60}b'",
];

/// The shapes for one of many templates: all of them where the build is optimised, else one of them by turns. The bench
/// `hostile` tries all with all.
fn by_turns(shapes: &[Text], turn: usize) -> &[Text] {
    if cfg!(debug_assertions) { std::slice::from_ref(&shapes[turn % shapes.len()]) } else { shapes }
}

#[test]
fn every_filter_and_test_ends_within_the_budget() {
    let forms = |call: &str| {
        [
            format!("{{{{ t{call} }}}}"),
            format!("{{{{ (t|list){call} }}}}"),
            format!("{{{{ (t|lines + [t]){call} }}}}"),
        ]
    };
    let mut sources = Vec::new();
    for name in filter_names() {
        sources.extend(ARGUMENTS.iter().flat_map(|arguments| forms(&format!("|{name}({arguments})"))));
    }
    for name in test_names() {
        sources
            .extend(ARGUMENTS[..6].iter().flat_map(|arguments| forms(&format!(" is {name}({arguments})"))));
    }
    let shapes = shapes();
    for (turn, source) in sources.iter().enumerate() {
        for text in by_turns(&shapes, turn) {
            render(text, source);
        }
    }
    let mut environment = Environment::default();
    assert!(Compiler::new(&Text(String::new()), &mut environment).template("{{ t|urlize }}").is_none());
}

/// What makes much of little: each is over budget.
const GROWING: [&str; 24] = [
    "{{ t * 1000000000 }}",
    "{{ t * 100 }}",
    "{{ (t|list) * 1000000000 }}",
    "{{ t|replace('', t) }}",
    "{% set ns = namespace(x=t) %}{% for i in range(100) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=t) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[t]) %}{% for i in range(100) %}{% set ns.x = ns.x + ns.x %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=[t]) %}{% for i in range(100) %}{% set ns.x = ns.x|chain(ns.x) %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=t) %}{% for i in range(20000) %}{% set ns.x = [ns.x] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=t) %}{% for i in range(20000) %}{% set ns.x = (ns.x,) %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=t) %}{% for i in range(20000) %}{% set ns.x = {'k': ns.x} %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=t) %}{% for i in range(20000) %}{% set ns.x = dict(k=ns.x) %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=t|list) %}{% for i in range(20000) %}{% set ns.x = ns.x[1:] %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace(x=t|list) %}{% for i in range(20000) %}{% set ns.x = ns.x|batch(1) %}{% endfor %}{{ ns.x }}",
    "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
    "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns == ns }}{{ [ns] }}",
    "{% for c in t %}{% for d in t %}{{ c }}{% endfor %}{% endfor %}",
    "{% for c in t %}{{ t }}{% endfor %}",
    "{% for i in range(60000) %}{{ t[i:i + 1] }}{% endfor %}",
    "{% for i in range(60000) %}{{ t in t }}{% endfor %}",
    "{% for i in range(60000) %}{% if t == t ~ i %}{% endif %}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for i in range(60000) %}{{ t is matching('x') }}{% endfor %}",
    "{% for x in [t] recursive %}{{ loop([x]) }}{% endfor %}",
];

#[test]
fn what_grows_without_end_is_over_budget() {
    // Blocks capture what they print.
    let doubled = "{% set x %}{{ t }}{% endset %}".to_owned()
        + &"{% set x %}{{ x }}{{ x }}{% endset %}".repeat(40)
        + "{{ x }}";
    let shapes = shapes();
    for (turn, source) in GROWING.into_iter().chain([doubled.as_str()]).enumerate() {
        for text in by_turns(&shapes, turn) {
            let rendered = render(text, source).unwrap_or_else(|| panic!("{source} does not compile"));
            let is_bounded = match &rendered {
                Err(RenderError::OverBudget) => true,
                // minijinja has limits of its own.
                Err(RenderError::Failed(error)) => error.contains("too large") || error.contains("recursion"),
                Ok(_) => false,
            };
            assert!(is_bounded, "{source}: {rendered:?}");
        }
    }
}

#[test]
fn what_a_rule_does_with_a_message_is_within_the_budget() {
    let text = Text("GigabitEthernet0/3: link is <b>down</b>, reason=\"los\"; ".repeat(300));
    assert!(text.0.len() > 16_000);
    for source in [
        "{{ t }}{{ t }}{{ t }}{{ t }}",
        "{{ t|upper|replace('link', 'LINK')|trim }}",
        "{{ t|regex_replace('<[^>]*>', '') }}",
        "{{ t|regex_replace('reason=\"([^\"]*)\"', '($1)') }}",
        "{{ t is matching('(?i)link is <b>(down|up)</b>, reason=.*los') }}",
        "{{ t|split('; ')|map('trim')|join(', ') }}",
        "{% for part in t|split(';') %}{{ part|split('=')|last }} {% endfor %}",
        "{% set ns = namespace(out='') %}{% for part in t|split(';') %}{% set ns.out = ns.out ~ part %}{% endfor %}{{ ns.out }}",
        "{{ t|split(' ')|unique|sort|join(' ') }}",
        "{{ t|split(' ')|select('matching', '^reason')|list|length }}",
        "{{ t[:200] }} {{ t|length }} {{ 'down' in t }}",
    ] {
        assert!(matches!(render(&text, source), Some(Ok(_))), "{source}: {:?}", render(&text, source));
    }
}
