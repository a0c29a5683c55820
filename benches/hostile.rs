//! The slowest templates on hostile texts of 64 KiB: `cargo bench --bench hostile`.
//!
//! Prints for each filter, test and operator the longest time of all shapes of text and all arguments, slowest first.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use minijinja::Value;
use trapline::language::builtins::{filter_names, test_names};
use trapline::language::jinja::{Environment, RenderError};
use trapline::language::names::{Names, Path, Resolved, Values};
use trapline::language::template::Compiler;
use trapline::language::value::Val;

struct Text(String);

impl Names for Text {
    type Var = ();

    fn resolve(&self, path: &Path<'_>) -> Resolved<()> {
        match path.keys.as_slice() {
            [] => Resolved::Variable(()),
            _ => Resolved::Part,
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

const PIECES: [&str; 12] = ["a", "<", "(", "\"", "é", "a ", "a\n", "%9", "%*d", "0", "x=1;", "\u{fdfa}"];

const ARGUMENTS: [&str; 20] = [
    "",
    "t",
    "'a'",
    "''",
    "t, t",
    "'a', t",
    "'', t",
    "'a', 'b'",
    "1",
    "1000000000",
    "-1000000000",
    "1000000000, t",
    "width=1000000000, blank=true",
    "width=50, blank=true",
    "'upper'",
    "'replace', 'a', 'b'",
    "'replace', 'a', t",
    "'matching', '(a{1,60}){1,60}b'",
    "'<[^>]*>|<', ''",
    "attribute='a', default=t",
];

const PATTERNS: [&str; 8] = [
    "<[^>]*>|<",
    "\"[^\"]*\"|\\\\(.*\\\\)|\\\\(",
    "(\\\\w+=\\\\w+;)|\\\\w",
    "(a{1,60}){1,60}b",
    "(?i)(?:a|b|ab|aab)*c$",
    "(x+x+)+y",
    ".*.*.*.*x",
    "(\\\\w+\\\\s?)*$",
];

const STATEMENTS: [&str; 10] = [
    "{{ t * 60 }}",
    "{{ t ~ t }}{{ t ~ t }}{{ t ~ t }}",
    "{% for c in t %}{% for d in t %}{{ c }}{% endfor %}{% endfor %}",
    "{% for c in t %}{{ c|upper }}{{ c ~ 1 }}{% endfor %}",
    "{% for i in range(60000) %}{{ t[i:i + 1] }}{% endfor %}",
    "{% for i in range(60000) %}{{ t is matching('x') }}{% endfor %}",
    "{% set ns = namespace(x=[]) %}{% for c in t %}{% set ns.x = ns.x + [c] %}{% endfor %}",
    "{% set ns = namespace(x='') %}{% for c in t %}{% set ns.x = ns.x ~ c %}{% endfor %}",
    "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
    "{% for x in t|split(' ') %}{% for y in t|split(' ') %}{{ x == y }}{% endfor %}{% endfor %}",
];

fn main() {
    let mut slowest: BTreeMap<String, (Duration, String, usize)> = BTreeMap::new();
    let mut sources: Vec<(String, String)> = Vec::new();
    let forms = |name: &str, call: String| {
        ["t", "(t|list)", "(t|split(' '))"].map(|on| (name.to_owned(), format!("{{{{ {on}{call} }}}}")))
    };
    for arguments in ARGUMENTS {
        for name in filter_names() {
            sources.extend(forms(name, format!("|{name}({arguments})")));
        }
        for name in test_names() {
            sources.extend(forms(name, format!(" is {name}({arguments})")));
        }
    }
    for pattern in PATTERNS {
        sources.extend(forms("matching", format!(" is matching('{pattern}')")));
        sources.extend(forms("regex_replace", format!("|regex_replace('{pattern}', '')")));
        sources.extend(forms("regex_replace $0", format!("|regex_replace('{pattern}', '$0$0')")));
    }
    sources.extend(STATEMENTS.map(|source| (source.to_owned(), source.to_owned())));
    let (mut count, mut over) = (0, 0);
    for piece in PIECES {
        let text = Text(piece.repeat(65_536 / piece.len()));
        for (name, source) in &sources {
            let mut environment = Environment::default();
            let Some(template) = Compiler::new(&text, &mut environment).template(source) else { continue };
            let started = Instant::now();
            let rendered = template.render(&environment, &text).map(|text| text.len());
            let took = started.elapsed();
            count += 1;
            over += usize::from(rendered == Err(RenderError::OverBudget));
            let slow = slowest.entry(name.clone()).or_default();
            if took > slow.0 {
                *slow = (took, format!("{piece:?} {source}"), rendered.unwrap_or_default());
            }
        }
    }
    println!("{count} renderings, {over} over budget; slowest of each:");
    let mut all: Vec<_> = slowest.into_values().collect();
    all.sort_by(|a, b| b.cmp(a));
    for (took, what, length) in all {
        println!("{:>8.2} ms  {length:>6}  {what}", took.as_secs_f64() * 1e3);
    }
}
