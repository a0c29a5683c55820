//! Templates and expressions of a rule, compiled.

use std::borrow::Cow;

use minijinja::machinery::{ast, parse, parse_expr};

use crate::rules::engine::{Engine, Program};
use crate::rules::expr::{self, Context, Node};
use crate::rules::functions::{self, As, Call};
use crate::rules::value::Val;
use crate::rules::variable::{Scope, TABLES, Target, Variable};
use crate::rules::walk::{self, Called};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText, did_you_mean};
use crate::settings::section::Located;

/// A rendered field is cut at this many bytes: no message may grow beyond bounds by a template.
pub const MAX_FIELD: usize = 16 * 1024;

/// Filters and tests of the language that people use most, for hints.
const USUAL: [&str; 14] = [
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

/// A template, as cheap to render as its content allows.
#[derive(Debug)]
pub enum Template {
    /// Text alone.
    Text(String),
    /// Text and expressions that need no engine.
    Parts(Vec<Part>),
    /// Everything else.
    Engine(Program),
}

/// A part of a template.
#[derive(Debug)]
pub enum Part {
    /// Text.
    Text(String),
    /// `{{ ... }}`
    Value(Node),
    /// `{% if ... %}...{% else %}...{% endif %}`
    If(Node, Vec<Part>, Vec<Part>),
    /// `{% filter ... %}...{% endfilter %}`
    Filtered(Call, Vec<Part>),
}

/// An expression that gives a value.
#[derive(Debug)]
pub enum Expression {
    /// Needs no engine.
    Native(Node),
    /// Rendered by the engine; true is any text but the empty one.
    Engine(Program),
}

/// What compiling needs to know and where it puts what it finds.
pub struct Compiler<'c> {
    /// The file that the rule stands in.
    pub source: &'c SourceText<'c>,
    /// The variables.
    pub scope: Scope<'c>,
    /// Takes what needs the engine.
    pub engine: &'c mut Engine,
    /// Takes what is wrong.
    pub found: &'c mut Diagnostics,
}

impl Compiler<'_> {
    /// Compiles a template; none if it is wrong.
    pub fn template(&mut self, text: &Located<String>) -> Option<Template> {
        let parsed = match parse(&text.value, "template", minijinja::syntax::SyntaxConfig::default()) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.syntax_error(text, 0, &error);
                return None;
            }
        };
        let locals = walk::assigned(&parsed);
        let exprs = walk::expressions(&parsed);
        if !self.names_are_known(text, &exprs, &locals) || !self.calls_are_right(text, &exprs) {
            return None;
        }
        if let Some(parts) = self.native(&parsed) {
            return Some(match parts.as_slice() {
                [] => Template::Text(String::new()),
                [Part::Text(text)] => Template::Text(text.clone()),
                _ => Template::Parts(parts),
            });
        }
        match self.engine.add(&text.value, &parsed, &self.scope) {
            Ok(program) => Some(Template::Engine(program)),
            Err(error) => {
                self.syntax_error(text, 0, &error);
                None
            }
        }
    }

    /// Compiles an expression; none if it is wrong.
    pub fn expression(&mut self, text: &Located<String>) -> Option<Expression> {
        let parsed = match parse_expr(&text.value) {
            Ok(parsed) => parsed,
            Err(error) => {
                self.syntax_error(text, 0, &error);
                return None;
            }
        };
        if !self.names_are_known(text, &[&parsed], &[]) || !self.calls_are_right(text, &[&parsed]) {
            return None;
        }
        if let Some(node) = Node::lower(&parsed, &self.scope) {
            return Some(Expression::Native(node));
        }
        // The engine renders; a condition is true if something comes out.
        let (open, close) = ("{% set x = (", ") %}{% if x %}{{ x }}{% endif %}");
        let source = format!("{open}{}{close}", text.value);
        let whole = parse(&source, "expression", minijinja::syntax::SyntaxConfig::default());
        let added = whole.and_then(|stmt| self.engine.add(&source, &stmt, &self.scope));
        match added {
            Ok(program) => Some(Expression::Engine(program)),
            Err(error) => {
                self.syntax_error(text, open.len(), &error);
                None
            }
        }
    }

    fn native(&self, parsed: &ast::Stmt<'_>) -> Option<Vec<Part>> {
        let ast::Stmt::Template(template) = parsed else { return None };
        self.parts(&template.children)
    }

    fn parts(&self, stmts: &[ast::Stmt<'_>]) -> Option<Vec<Part>> {
        let part = |stmt: &ast::Stmt<'_>| match stmt {
            ast::Stmt::EmitRaw(raw) => Some(Part::Text(raw.raw.to_owned())),
            ast::Stmt::EmitExpr(emit) => Node::lower(&emit.expr, &self.scope).map(Part::Value),
            ast::Stmt::IfCond(cond) => Some(Part::If(
                Node::lower(&cond.expr, &self.scope)?,
                self.parts(&cond.true_body)?,
                self.parts(&cond.false_body)?,
            )),
            ast::Stmt::FilterBlock(block) => {
                let ast::Expr::Filter(filter) = &block.filter else { return None };
                let call = Call::of_syntax(As::Filter, filter.name, &filter.args)?.ok()?;
                Some(Part::Filtered(call, self.parts(&block.body)?))
            }
            _ => None,
        };
        stmts.iter().map(part).collect()
    }

    fn names_are_known(&mut self, text: &Located<String>, exprs: &[&ast::Expr<'_>], locals: &[&str]) -> bool {
        let mut all_known = true;
        for found in walk::variables(exprs) {
            if let ast::Expr::Var(var) = found {
                let table = TABLES.contains(&var.id) && (var.id == "sd") != self.scope.notifications;
                let function = ["range", "dict", "namespace", "true", "false", "none"].contains(&var.id);
                if table || function || locals.contains(&var.id) {
                    continue;
                }
            }
            let span = |within| text.span_of(self.source, within);
            let within = walk::range(found.span());
            match expr::variable(found, &self.scope) {
                Some(Err(hint)) => {
                    let name = text.value.get(within.clone()).unwrap_or("?");
                    let message = format!("unknown variable '{name}'");
                    self.found.push(self.source.error(&span(within), message, Some(hint)));
                    all_known = false;
                }
                Some(Ok(Variable::Varbind { targets, .. })) if doubtful(&targets) => {
                    let candidates: Vec<String> =
                        targets.iter().map(|target| self.scope.mib.name_of(&target.oid)).collect();
                    let message = format!(
                        "several modules have this name, and the first varbind of any of them is taken: {}",
                        candidates.join(", ")
                    );
                    let hint =
                        Some("write the one that is meant with its module, as v['MODULE::name']".to_owned());
                    let warning = self.source.error(&span(within), message, hint);
                    self.found.push(Diagnostic { severity: Severity::Warning, ..warning });
                }
                _ => {}
            }
        }
        all_known
    }

    fn calls_are_right(&mut self, text: &Located<String>, exprs: &[&ast::Expr<'_>]) -> bool {
        let mut all_right = true;
        for Called { how, name, args, span } in walk::calls(exprs) {
            let (message, hint) = match Call::of_syntax(how, name, args) {
                Some(Err(error)) => (error.to_string(), None),
                None if !self.engine.knows(how, name) => {
                    let (what, ours) = match how {
                        As::Filter => ("filter", &functions::FILTERS[..]),
                        As::Test => ("test", &functions::TESTS[..]),
                    };
                    let usual = ours.iter().chain(&USUAL).copied();
                    let hint = did_you_mean(name, usual)
                        .unwrap_or_else(|| "the language is minijinja's, which is Jinja2's".to_owned());
                    (format!("there is no {what} '{name}'"), Some(hint))
                }
                _ => continue,
            };
            let span = text.span_of(self.source, walk::range(span));
            self.found.push(self.source.error(&span, message, hint));
            all_right = false;
        }
        all_right
    }

    fn syntax_error(&mut self, text: &Located<String>, offset: usize, error: &minijinja::Error) {
        let within = error.range().unwrap_or(0..0);
        let within = within.start.saturating_sub(offset)..within.end.saturating_sub(offset);
        let span = text.span_of(self.source, within);
        let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        self.found.push(self.source.error(&span, detail, None));
    }
}

impl Template {
    /// The text for a message, cut at [`MAX_FIELD`].
    pub fn render<'m>(&'m self, engine: &Engine, cx: Context<'m, '_>) -> Cow<'m, str> {
        let text = match self {
            Template::Text(text) => return Cow::Borrowed(text),
            Template::Parts(parts) => match parts.as_slice() {
                [Part::Value(node)] => node.eval(cx).into_text(),
                parts => {
                    let mut text = String::with_capacity(96);
                    push_parts(parts, cx, &mut text);
                    Cow::Owned(text)
                }
            },
            Template::Engine(program) => Cow::Owned(engine.render(program, cx)),
        };
        cut(text)
    }
}

/// Whether a name stands for objects at different places of the tree.
fn doubtful(targets: &[Target]) -> bool {
    targets.iter().any(|target| target.oid != targets[0].oid)
}

fn push_parts<'m>(parts: &'m [Part], cx: Context<'m, '_>, text: &mut String) {
    for part in parts {
        match part {
            Part::Text(piece) => text.push_str(piece),
            Part::Value(node) => node.eval(cx).push_to(text),
            Part::If(condition, then, otherwise) => {
                let chosen = if condition.eval(cx).is_true() { then } else { otherwise };
                push_parts(chosen, cx, text);
            }
            Part::Filtered(call, parts) => {
                let mut inner = String::new();
                push_parts(parts, cx, &mut inner);
                call.apply(Val::Str(inner.into())).push_to(text);
            }
        }
    }
}

fn cut(text: Cow<'_, str>) -> Cow<'_, str> {
    if text.len() <= MAX_FIELD {
        return text;
    }
    let end = text.floor_char_boundary(MAX_FIELD);
    match text {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(mut text) => {
            text.truncate(end);
            Cow::Owned(text)
        }
    }
}

impl Expression {
    /// The value for a message; the engine's as text.
    pub fn eval<'m>(&'m self, engine: &Engine, cx: Context<'m, '_>) -> Val<'m> {
        match self {
            Expression::Native(node) => node.eval(cx),
            // What cannot be computed does not hold.
            Expression::Engine(program) => {
                engine.try_render(program, cx).map_or(Val::Undefined, |text| Val::Str(text.into()))
            }
        }
    }
}
