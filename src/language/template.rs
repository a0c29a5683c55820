//! Compiled templates and expressions.

use std::borrow::Cow;
use std::ops::Range;

use minijinja::machinery::ast;

use crate::language::budget;
use crate::language::expr::Node;
use crate::language::functions::{self, As, Call};
use crate::language::jinja::{Environment, Escape, Program, RenderError};
use crate::language::mistakes::{self, Form};
use crate::language::names::{Doubt, Names, Path, Resolved, Values};
use crate::language::rewrite::RESERVED;
use crate::language::syntax::{self, Called, Callee, FUNCTIONS};
use crate::language::value::Val;
use crate::settings::diagnostic::{Severity, did_you_mean};

/// The maximum length of a rendered template, in bytes. Longer text is cut.
pub const MAX_TEXT: usize = 16 * 1024;
/// How long most rendered texts are at most, in bytes.
const USUAL: usize = 96;

/// Filters and tests of minijinja that hints suggest.
const COMMON: [&str; 14] = [
    "lower",
    "upper",
    "trim",
    "default",
    "replace",
    "length",
    "split",
    "first",
    "last",
    "join",
    "int",
    "startingwith",
    "endingwith",
    "defined",
];

/// Methods of Python's strings and lists, and what to write in their place.
const METHODS: [(&str, &str); 16] = [
    ("split", "x|split(',')"),
    ("splitlines", "x|lines"),
    ("strip", "x|trim"),
    ("lstrip", "x|trim"),
    ("rstrip", "x|trim"),
    ("lower", "x|lower"),
    ("upper", "x|upper"),
    ("title", "x|title"),
    ("capitalize", "x|capitalize"),
    ("replace", "x|replace('a', 'b')"),
    ("startswith", "x is startingwith('a')"),
    ("endswith", "x is endingwith('a')"),
    ("find", "'a' in x"),
    ("join", "x|join(', ')"),
    ("get", "x['key']|default('-')"),
    ("format", "'a' ~ x"),
];

/// A mistake or a doubt in a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// An error prevents the use of the template, a warning does not.
    pub severity: Severity,
    /// The bytes of the source that it is about.
    pub within: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub hint: Option<String>,
}

/// A compiled template over variables of the type `V`.
#[derive(Debug)]
pub enum Template<V> {
    /// Text alone.
    Text(String),
    /// Text and expressions without the template engine.
    Parts(Vec<Part<V>>),
    /// Everything else.
    Program(Program<V>),
}

/// A part of a template.
#[derive(Debug)]
pub enum Part<V> {
    /// Text.
    Text(String),
    /// `{{ ... }}`
    Value(Node<V>),
    /// `{% if ... %}...{% else %}...{% endif %}`
    If(Node<V>, Vec<Part<V>>, Vec<Part<V>>),
    /// `{% filter ... %}...{% endfilter %}`
    Filtered(Call, Vec<Part<V>>),
}

/// A compiled expression over variables of the type `V`.
#[derive(Debug)]
pub enum Expression<V> {
    /// Evaluated without the template engine.
    Native(Node<V>),
    /// Everything else.
    Program(Program<V>),
}

/// Compiles templates that use the same names.
pub struct Compiler<'c, N> {
    names: &'c N,
    environment: &'c mut Environment,
    /// What was found so far, in no order.
    pub faults: Vec<Fault>,
}

impl<'c, N: Names> Compiler<'c, N> {
    /// A compiler. `environment` takes the templates that need the engine, and later renders them.
    pub fn new(names: &'c N, environment: &'c mut Environment) -> Self {
        Compiler { names, environment, faults: Vec::new() }
    }

    /// The names that templates may use.
    pub fn names(&self) -> &'c N {
        self.names
    }

    /// Compiles a template; none if it has errors.
    pub fn template(&mut self, source: &str) -> Option<Template<N::Var>> {
        let parsed = syntax::template(source)
            .map_err(|error| self.syntax_error(Form::Template, source, &error))
            .ok()?;
        let before = self.faults.len();
        let locals = syntax::assigned(&parsed);
        for name in locals.iter().filter(|name| name.starts_with(RESERVED)) {
            self.error(
                0..0,
                format!("names that start with '{RESERVED}' are reserved: '{name}'"),
                "rename it".into(),
            );
        }
        for within in syntax::do_statements(&parsed) {
            let hint = "write {{ ... }} to print a value, {% set x = ... %} to keep it";
            self.error(within, "the statement 'do' has no effect".into(), hint.into());
        }
        let expressions = syntax::expressions(&parsed);
        self.check(source, &expressions, &locals);
        if self.has_errors(before) {
            return None;
        }
        if let Some(parts) = self.native(&parsed) {
            return Some(match parts.as_slice() {
                [] => Template::Text(String::new()),
                [Part::Text(text)] => Template::Text(text.clone()),
                _ => Template::Parts(parts),
            });
        }
        if self.has_functions(&expressions) {
            return None;
        }
        let added = self.environment.template(&parsed, self.names);
        added.map(Template::Program).map_err(|error| self.engine_error(&error)).ok()
    }

    /// Compiles an expression; none if it has errors.
    pub fn expression(&mut self, source: &str) -> Option<Expression<N::Var>> {
        let parsed = syntax::expression(source)
            .map_err(|error| self.syntax_error(Form::Expression, source, &error))
            .ok()?;
        let before = self.faults.len();
        self.check(source, &[&parsed], &[]);
        if self.has_errors(before) {
            return None;
        }
        if let Some(node) = Node::lower(&parsed, self.names) {
            return Some(Expression::Native(node));
        }
        if self.has_functions(&[&parsed]) {
            return None;
        }
        let added = self.environment.expression(&parsed, self.names);
        added.map(Expression::Program).map_err(|error| self.engine_error(&error)).ok()
    }

    /// Whether expressions for the template engine call functions that it does not know, which is reported.
    fn has_functions(&mut self, exprs: &[&ast::Expr<'_>]) -> bool {
        let known = self.names.functions();
        let ours =
            |call: &Called<'_, '_>| matches!(call.what, Callee::Function(name) if known.contains(&name));
        let Some(call) = syntax::calls(exprs).into_iter().find(ours) else { return false };
        let hint = "leave the arguments and the rest to variables, texts, comparisons, ~, and, or, not, if, lower, upper, trim, default";
        self.error(
            call.within,
            format!("{} cannot stand beside other filters, functions and statements", known.join(" and ")),
            hint.to_owned(),
        );
        true
    }

    /// Compiles an expression that must give one of a set of values. `valid` checks each constant that the expression can
    /// give; its error is a message and a hint.
    pub fn expression_of(
        &mut self,
        source: &str,
        valid: impl Fn(&Val<'_>) -> Result<(), (String, String)>,
    ) -> Option<Expression<N::Var>> {
        let before = self.faults.len();
        if let Ok(parsed) = syntax::expression(source) {
            for (constant, within) in syntax::results(&parsed) {
                let value = crate::language::convert::scalar(&constant.value).unwrap_or(Val::Undefined);
                if let Err((message, hint)) = valid(&value) {
                    self.error(within, message, hint);
                }
            }
        }
        self.expression(source).filter(|_| !self.has_errors(before))
    }

    fn native(&self, parsed: &ast::Stmt<'_>) -> Option<Vec<Part<N::Var>>> {
        let ast::Stmt::Template(template) = parsed else { return None };
        self.parts(&template.children)
    }

    fn parts(&self, stmts: &[ast::Stmt<'_>]) -> Option<Vec<Part<N::Var>>> {
        let part = |stmt: &ast::Stmt<'_>| match stmt {
            ast::Stmt::EmitRaw(raw) => Some(Part::Text(raw.raw.to_owned())),
            ast::Stmt::EmitExpr(emit) => Node::lower(&emit.expr, self.names).map(Part::Value),
            ast::Stmt::IfCond(cond) => Some(Part::If(
                Node::lower(&cond.expr, self.names)?,
                self.parts(&cond.true_body)?,
                self.parts(&cond.false_body)?,
            )),
            ast::Stmt::FilterBlock(block) => {
                let ast::Expr::Filter(filter) = &block.filter else { return None };
                // Of a chain only the outermost filter is in the tree here.
                if filter.expr.is_some() {
                    return None;
                }
                let call = Call::of_syntax(As::Filter, filter.name, &filter.args)?.ok()?;
                Some(Part::Filtered(call, self.parts(&block.body)?))
            }
            _ => None,
        };
        stmts.iter().map(part).collect()
    }

    /// Whether there are errors among the faults from this index on.
    fn has_errors(&self, from: usize) -> bool {
        self.faults[from..].iter().any(|fault| fault.severity == Severity::Error)
    }

    /// Checks names and calls.
    fn check(&mut self, source: &str, exprs: &[&ast::Expr<'_>], locals: &[&str]) {
        for path in syntax::paths(exprs) {
            if !locals.contains(&path.base) {
                self.check_path(source, &path);
            }
        }
        for call in syntax::calls(exprs) {
            self.check_call(&call, locals);
        }
        for (left, right, negated) in syntax::comparisons(exprs) {
            self.check_comparison(source, (left, right), negated, locals);
            self.check_comparison(source, (right, left), negated, locals);
            self.check_enumeration(source, (left, right), locals);
        }
    }

    /// Warns if an enumeration is compared with a text that is none of its names, which it never equals.
    fn check_enumeration(
        &mut self,
        source: &str,
        (value, other): (&ast::Expr<'_>, &ast::Expr<'_>),
        locals: &[&str],
    ) {
        let Some(path) = syntax::path(value).filter(|path| !locals.contains(&path.base)) else { return };
        let Resolved::Variable(variable) = self.names.resolve(&path) else { return };
        let texts = syntax::texts(other);
        let Some(known) = Some(texts.as_slice())
            .filter(|texts| !texts.is_empty())
            .and_then(|_| self.names.enumeration(&variable))
        else {
            return;
        };
        for text in texts.into_iter().filter(|text| !known.iter().any(|name| name == text)) {
            let name = source.get(path.span.clone()).unwrap_or(path.base);
            let hint = if text.parse::<i64>().is_ok() {
                "numbers are written without quotes".to_owned()
            } else {
                let names = known.iter().map(String::as_str);
                did_you_mean(text, names).unwrap_or_else(|| format!("its values: {}", known.join(", ")))
            };
            self.faults.push(Fault {
                severity: Severity::Warning,
                within: path.span.clone(),
                message: format!("'{name}' never is '{}'", text.escape_debug()),
                hint: Some(hint),
            });
        }
    }

    fn check_path(&mut self, source: &str, path: &Path<'_>) {
        match self.names.resolve(path) {
            Resolved::Unknown(hint) => {
                let name = source.get(path.span.clone()).unwrap_or(path.base);
                self.error(path.span.clone(), format!("unknown variable '{name}'"), hint);
            }
            Resolved::Variable(variable) => {
                if let Some(doubt) = self.names.doubt(&variable) {
                    self.faults.push(Fault {
                        severity: Severity::Warning,
                        within: path.span.clone(),
                        message: doubt.message,
                        hint: Some(doubt.hint),
                    });
                }
            }
            Resolved::Table | Resolved::Part => {}
        }
    }

    /// Warns if a text is compared with a number, which never holds.
    fn check_comparison(
        &mut self,
        source: &str,
        (text, number): (&ast::Expr<'_>, &ast::Expr<'_>),
        negated: bool,
        locals: &[&str],
    ) {
        let Some(path) = syntax::path(text).filter(|path| !locals.contains(&path.base)) else { return };
        let Resolved::Variable(variable) = self.names.resolve(&path) else { return };
        if syntax::is_number(number) && self.names.is_text(&variable) {
            let name = source.get(path.span.clone()).unwrap_or(path.base);
            let result = if negated { "true" } else { "false" };
            self.faults.push(Fault {
                severity: Severity::Warning,
                within: path.span.clone(),
                message: format!("'{name}' is text, so its comparison with a number is always {result}"),
                hint: Some(format!("write {}", self.names.number_of(&variable, name))),
            });
        }
    }

    fn check_call(&mut self, call: &Called<'_, '_>, locals: &[&str]) {
        let within = call.within.clone();
        match call.what {
            Callee::Named(how, name) => match Call::of_syntax(how, name, call.args) {
                Some(Err(error)) => self.error(within, error.to_string(), error.hint()),
                None if !self.environment.knows(how, name) => {
                    let (what, hint) = self.call_hint(how, name);
                    self.error(within, format!("unknown {what} '{name}'"), hint);
                }
                _ => {}
            },
            Callee::Function(name)
                if FUNCTIONS.contains(&name) || (name == "loop" && locals.contains(&name)) => {}
            Callee::Function(name) => {
                let first = syntax::first_text(call.args);
                let named = self.names.function(name, first, call.args.len(), &call.keys);
                if let Some(known) = named {
                    if let Err(Doubt { message, hint }) = known {
                        self.error(within, message, hint);
                    }
                    return;
                }
                let own = self.names.functions().iter().chain(self.names.engine_functions());
                let functions = FUNCTIONS.iter().chain(own).copied();
                let hint = did_you_mean(name, functions).unwrap_or_else(|| {
                    format!("functions: {}; filters are written x|filter", FUNCTIONS.join(", "))
                });
                self.error(within, format!("unknown function '{name}'"), hint);
            }
            Callee::Method(name) => {
                let instead = METHODS.iter().find(|(method, _)| *method == name);
                let hint = instead.map_or_else(
                    || "use a filter, such as x|replace('a', 'b')".to_owned(),
                    |(_, instead)| format!("write {instead}"),
                );
                self.error(within, format!("values have no methods, so not '{name}'"), hint);
            }
            Callee::Value => {
                let hint = format!("functions: {}", FUNCTIONS.join(", "));
                self.error(within, "a value cannot be called".to_owned(), hint);
            }
        }
    }

    /// What an unknown filter or test is, and what to write instead.
    fn call_hint(&self, how: As, name: &str) -> (&'static str, String) {
        let (what, ours, other) = match how {
            As::Filter => ("filter", &functions::FILTERS[..], As::Test),
            As::Test => ("test", &functions::TESTS[..], As::Filter),
        };
        let hint = match other {
            As::Test if self.environment.knows(other, name) => {
                format!("'{name}' is a test: write x is {name}(...)")
            }
            As::Filter if self.environment.knows(other, name) => {
                format!("'{name}' is a filter: write x|{name}(...)")
            }
            _ => did_you_mean(name, ours.iter().chain(&COMMON).copied())
                .unwrap_or_else(|| format!("minijinja's documentation lists all {what}s")),
        };
        (what, hint)
    }

    fn error(&mut self, within: Range<usize>, message: String, hint: String) {
        self.faults.push(Fault { severity: Severity::Error, within, message, hint: Some(hint) });
    }

    /// What is wrong in a source that does not parse.
    fn syntax_error(&mut self, form: Form, source: &str, error: &minijinja::Error) {
        let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        let mistakes::Mistake { within, message, hint } =
            mistakes::mistake(form, source, error.range().unwrap_or(0..0), &message);
        self.error(within, message, hint);
    }

    /// An error of the engine for a template that parses, such as one that is nested too deeply.
    fn engine_error(&mut self, error: &RenderError) {
        self.error(0..0, error.to_string(), "write it in a simpler way".to_owned());
    }
}

impl<V> Part<V> {
    fn is_linear(&self) -> bool {
        match self {
            Part::Text(_) => true,
            Part::Value(node) => node.is_linear(),
            Part::If(condition, then, otherwise) => {
                condition.is_linear() && then.iter().chain(otherwise).all(Part::is_linear)
            }
            Part::Filtered(call, parts) => call.is_linear() && parts.iter().all(Part::is_linear),
        }
    }
}

impl<V> Template<V> {
    /// Its text, if it is the same for all values.
    pub fn constant(&self) -> Option<&str> {
        match self {
            Template::Text(text) => Some(text),
            Template::Parts(_) | Template::Program(_) => None,
        }
    }

    /// Whether it takes time that is linear in the length of its values, whatever they are.
    pub fn is_linear(&self) -> bool {
        match self {
            Template::Text(_) => true,
            Template::Parts(parts) => parts.iter().all(Part::is_linear),
            Template::Program(_) => false,
        }
    }

    /// The text for these values, cut at [`MAX_TEXT`].
    ///
    /// # Errors
    ///
    /// [`RenderError`], if the template cannot be rendered with these values, or not within its [budget].
    pub fn render<'m>(
        &'m self,
        environment: &Environment,
        values: &impl Values<'m, V>,
    ) -> Result<Cow<'m, str>, RenderError> {
        self.render_in(environment, values, String::new)
    }

    /// The same; `room` gives an empty text to write into, where one is needed.
    ///
    /// # Errors
    ///
    /// As [`Template::render`].
    pub fn render_in<'m>(
        &'m self,
        environment: &Environment,
        values: &impl Values<'m, V>,
        room: impl FnOnce() -> String,
    ) -> Result<Cow<'m, str>, RenderError> {
        self.whole_in(environment, values, room).map(cut)
    }

    /// The text for these values, however long.
    ///
    /// # Errors
    ///
    /// As [`Template::render`].
    pub fn render_whole<'m>(
        &'m self,
        environment: &Environment,
        values: &impl Values<'m, V>,
    ) -> Result<Cow<'m, str>, RenderError> {
        self.whole_in(environment, values, String::new)
    }

    fn whole_in<'m>(
        &'m self,
        environment: &Environment,
        values: &impl Values<'m, V>,
        room: impl FnOnce() -> String,
    ) -> Result<Cow<'m, str>, RenderError> {
        let render = || match self {
            Template::Text(text) => Ok(Cow::Borrowed(text.as_str())),
            Template::Parts(parts) => Ok(match (parts.as_slice(), environment.escape()) {
                ([Part::Value(node)], None) => node.eval(values).into_text(),
                (parts, escape) => {
                    let mut text = room();
                    text.reserve(USUAL);
                    push_parts(parts, values, escape, &mut text);
                    Cow::Owned(text)
                }
            }),
            Template::Program(program) => environment.render(program, values).map(Cow::Owned),
        };
        match budget::field(render) {
            (_, true) => Err(RenderError::OverBudget),
            (text, false) => text,
        }
    }
}

fn push_parts<'m, V>(
    parts: &'m [Part<V>],
    values: &impl Values<'m, V>,
    escape: Option<Escape>,
    text: &mut String,
) {
    let push = |value: Val<'_>, text: &mut String| match escape {
        Some(escape) => {
            let escaped = escape(&value.into_text());
            budget::spend(escaped.len() as u64);
            text.push_str(&escaped);
        }
        None => value.push_to(text),
    };
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Value(node) if escape.is_none() => node.push(values, text),
            Part::Value(node) => push(node.eval(values), text),
            Part::If(condition, then, otherwise) => {
                let chosen = if condition.eval(values).is_true() { then } else { otherwise };
                push_parts(chosen, values, escape, text);
            }
            Part::Filtered(call, parts) => {
                let mut inner = String::new();
                push_parts(parts, values, None, &mut inner);
                push(call.apply(Val::Str(inner.into())), text);
            }
        }
    }
}

#[inline]
fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= MAX_TEXT { text } else { cut_long(text) }
}

#[cold]
fn cut_long(text: Cow<'_, str>) -> Cow<'_, str> {
    let end = text.floor_char_boundary(MAX_TEXT);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

impl<V> Expression<V> {
    /// Whether it takes time that is linear in the length of its values, whatever they are.
    pub fn is_linear(&self) -> bool {
        match self {
            Expression::Native(node) => node.is_linear(),
            Expression::Program(_) => false,
        }
    }

    /// The value for these values of the variables.
    ///
    /// # Errors
    ///
    /// [`RenderError`], if it cannot be computed, or not within its [budget].
    pub fn eval<'m>(
        &'m self,
        environment: &Environment,
        values: &impl Values<'m, V>,
    ) -> Result<Val<'m>, RenderError> {
        let eval = || match self {
            Expression::Native(node) => Ok(node.eval(values)),
            Expression::Program(program) => environment.eval(program, values),
        };
        match budget::field(eval) {
            (_, true) => Err(RenderError::OverBudget),
            (value, false) => value,
        }
    }
}
