//! Templates rewritten for the template engine.
//!
//! The engine knows no named numbers, and it compares undefined values and values of different types in its own way.
//! So a template is written anew from its syntax tree before the engine gets it:
//!
//! - A path such as `v['IF-MIB::ifDescr']` becomes a variable of its own, which holds the value that the native
//!   evaluator uses.
//! - Comparisons and `in` become calls of functions that compare as [`Val`](crate::language::value::Val) does.
//! - Operands of arithmetic, slices and computed keys become calls that turn a named number into what fits.
//! - What an operator or a literal makes of other values goes through a function that counts its size.
//! - Text becomes a string literal, so that no whitespace rule applies to it twice.
//!
//! Scopes stay as they are: a name that the template assigns anywhere keeps its spelling.

use std::fmt::Write as _;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CompareOpKind, Expr, Stmt, UnaryOpKind};

use crate::language::names::{Key, Names, Path, Resolved};
use crate::language::syntax;

/// Prefix of the names that the rewritten template uses; templates must not assign such names.
pub const RESERVED: &str = "__";
/// The name that holds the value of a rewritten expression.
pub const RESULT: &str = "__result";

/// A rewritten template.
#[derive(Debug)]
pub struct Rewritten<V> {
    /// The source for the engine.
    pub source: String,
    /// The variables that it needs, with their names in the source.
    pub variables: Vec<(String, V)>,
    /// The tables that it needs.
    pub tables: Vec<String>,
}

/// Rewrites a template. With `escape`, each value that it prints goes through the function `__escape`.
pub fn template<N: Names>(parsed: &Stmt<'_>, names: &N, escape: bool) -> Rewritten<N::Var> {
    let mut rewriter = Rewriter::new(names, syntax::assigned(parsed), escape);
    rewriter.statement(parsed);
    rewriter.done()
}

/// Rewrites an expression to a template that assigns its value to [`RESULT`].
pub fn expression<N: Names>(parsed: &Expr<'_>, names: &N) -> Rewritten<N::Var> {
    let mut rewriter = Rewriter::new(names, Vec::new(), false);
    rewriter.push(&format!("{{% set {RESULT} = "));
    rewriter.expr(parsed, IF);
    rewriter.push(" %}");
    rewriter.done()
}

// How tightly operators bind, as in minijinja's parser. An operand that binds less tightly needs parentheses.
const IF: u8 = 0;
const OR: u8 = 1;
const AND: u8 = 2;
const NOT: u8 = 3;
const SUM: u8 = 5;
const CONCAT: u8 = 6;
const PRODUCT: u8 = 7;
const POWER: u8 = 8;
const FILTER: u8 = 9;
const NEGATION: u8 = 10;
const PRIMARY: u8 = 11;

fn binding(expr: &Expr<'_>) -> u8 {
    match expr {
        Expr::IfExpr(_) => IF,
        Expr::UnaryOp(unary) => match unary.op {
            UnaryOpKind::Not => NOT,
            UnaryOpKind::Neg => NEGATION,
        },
        Expr::BinOp(op) => operator(op.op).map_or(PRIMARY, |(_, binding)| binding),
        Expr::Filter(_) | Expr::Test(_) => FILTER,
        _ => PRIMARY,
    }
}

/// The operators that stay operators, with how tightly they bind. All are left-associative.
fn operator(op: BinOpKind) -> Option<(&'static str, u8)> {
    Some(match op {
        BinOpKind::ScOr => ("or", OR),
        BinOpKind::ScAnd => ("and", AND),
        BinOpKind::Add => ("+", SUM),
        BinOpKind::Sub => ("-", SUM),
        BinOpKind::Concat => ("~", CONCAT),
        BinOpKind::Mul => ("*", PRODUCT),
        BinOpKind::Div => ("/", PRODUCT),
        BinOpKind::FloorDiv => ("//", PRODUCT),
        BinOpKind::Rem => ("%", PRODUCT),
        BinOpKind::Pow => ("**", POWER),
        _ => return None,
    })
}

/// The functions that comparisons become.
fn comparison(op: BinOpKind) -> &'static str {
    match op {
        BinOpKind::Eq => "__eq",
        BinOpKind::Ne => "__ne",
        BinOpKind::Lt => "__lt",
        BinOpKind::Lte => "__le",
        BinOpKind::Gt => "__gt",
        BinOpKind::Gte => "__ge",
        _ => "__in",
    }
}

/// The comparisons of a chain, as `__chain` reads them.
fn chained(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => "==",
        CompareOpKind::Ne => "!=",
        CompareOpKind::Lt => "<",
        CompareOpKind::Lte => "<=",
        CompareOpKind::Gt => ">",
        CompareOpKind::Gte => ">=",
        CompareOpKind::In => "in",
        CompareOpKind::NotIn => "not in",
    }
}

struct Rewriter<'n, 'a, N: Names> {
    names: &'n N,
    /// The names that the template assigns.
    locals: Vec<&'a str>,
    escape: bool,
    /// Blocks around the current statement whose output is captured.
    captures: usize,
    rewritten: Rewritten<N::Var>,
    /// The paths of the variables so far, in their order.
    paths: Vec<String>,
    blocks: usize,
}

impl<'n, 'a, N: Names> Rewriter<'n, 'a, N> {
    fn new(names: &'n N, locals: Vec<&'a str>, escape: bool) -> Self {
        let rewritten = Rewritten { source: String::new(), variables: Vec::new(), tables: Vec::new() };
        Rewriter { names, locals, escape, captures: 0, rewritten, paths: Vec::new(), blocks: 0 }
    }

    fn done(self) -> Rewritten<N::Var> {
        self.rewritten
    }

    fn push(&mut self, text: &str) {
        self.rewritten.source.push_str(text);
    }

    fn block(&mut self, statements: &[Stmt<'_>]) {
        for stmt in statements {
            self.statement(stmt);
        }
    }

    fn captured(&mut self, statements: &[Stmt<'_>]) {
        self.captures += 1;
        self.block(statements);
        self.captures -= 1;
    }

    fn statement(&mut self, stmt: &Stmt<'_>) {
        match stmt {
            Stmt::Template(template) => self.block(&template.children),
            Stmt::EmitRaw(raw) if raw.raw.is_empty() => {}
            Stmt::EmitRaw(raw) => {
                let _ = write!(self.rewritten.source, "{{{{ {} }}}}", syntax::quoted(raw.raw));
            }
            Stmt::EmitExpr(emit) => {
                // What a recursive loop prints has been escaped inside it.
                let again = matches!(&emit.expr, Expr::Call(call) if matches!(&call.expr, Expr::Var(v) if v.id == "loop"));
                let escape = self.escape && self.captures == 0 && !again;
                self.push(if escape { "{{ __escape(" } else { "{{ " });
                self.expr(&emit.expr, IF);
                self.push(if escape { ") }}" } else { " }}" });
            }
            Stmt::ForLoop(each) => {
                self.push("{% for ");
                self.target(&each.target);
                self.push(" in ");
                self.expr(&each.iter, OR);
                if let Some(condition) = &each.filter_expr {
                    self.push(" if ");
                    self.expr(condition, OR);
                }
                self.push(if each.recursive { " recursive %}" } else { " %}" });
                self.block(&each.body);
                if !each.else_body.is_empty() {
                    self.push("{% else %}");
                    self.block(&each.else_body);
                }
                self.push("{% endfor %}");
            }
            Stmt::IfCond(cond) => {
                self.push("{% if ");
                self.expr(&cond.expr, OR);
                self.push(" %}");
                self.block(&cond.true_body);
                let mut otherwise = &cond.false_body;
                while let [Stmt::IfCond(next)] = otherwise.as_slice() {
                    self.push("{% elif ");
                    self.expr(&next.expr, OR);
                    self.push(" %}");
                    self.block(&next.true_body);
                    otherwise = &next.false_body;
                }
                if !otherwise.is_empty() {
                    self.push("{% else %}");
                    self.block(otherwise);
                }
                self.push("{% endif %}");
            }
            Stmt::WithBlock(with) => {
                self.push("{% with ");
                for (at, (target, value)) in with.assignments.iter().enumerate() {
                    self.push(if at > 0 { ", " } else { "" });
                    self.target_in_parentheses(target);
                    self.push(" = ");
                    self.expr(value, IF);
                }
                self.push(" %}");
                self.block(&with.body);
                self.push("{% endwith %}");
            }
            Stmt::Set(set) => {
                self.push("{% set ");
                self.target(&set.target);
                self.push(" = ");
                self.expr(&set.expr, IF);
                self.push(" %}");
            }
            Stmt::SetBlock(set) => {
                self.push("{% set ");
                self.target(&set.target);
                if let Some(filter) = &set.filter {
                    self.push(" | ");
                    self.filter_chain(filter);
                }
                self.push(" %}");
                self.captured(&set.body);
                self.push("{% endset %}");
            }
            Stmt::AutoEscape(escape) => {
                self.push("{% autoescape ");
                self.expr(&escape.enabled, IF);
                self.push(" %}");
                self.block(&escape.body);
                self.push("{% endautoescape %}");
            }
            Stmt::FilterBlock(filter) if self.escape && self.captures == 0 => {
                // The filter works on raw text; its result is escaped.
                let name = format!("__block{}", self.blocks);
                self.blocks += 1;
                self.push(&format!("{{% set {name} | "));
                self.filter_chain(&filter.filter);
                self.push(" %}");
                self.captured(&filter.body);
                self.push(&format!("{{% endset %}}{{{{ __escape({name}) }}}}"));
            }
            Stmt::FilterBlock(filter) => {
                self.push("{% filter ");
                self.filter_chain(&filter.filter);
                self.push(" %}");
                self.captured(&filter.body);
                self.push("{% endfilter %}");
            }
            Stmt::Do(call) => {
                self.push("{% do ");
                self.call(&call.call);
                self.push(" %}");
            }
        }
    }

    /// The target of an assignment.
    fn target(&mut self, expr: &Expr<'_>) {
        match expr {
            Expr::Var(var) => self.push(var.id),
            Expr::GetAttr(get) => {
                self.target(&get.expr);
                self.push(".");
                self.push(get.name);
            }
            Expr::List(list) => {
                for (at, item) in list.items.iter().enumerate() {
                    self.push(if at > 0 { ", " } else { "" });
                    self.target_in_parentheses(item);
                }
                // One name with a comma unpacks too.
                self.push(if list.items.len() == 1 { "," } else { "" });
            }
            _ => {}
        }
    }

    fn target_in_parentheses(&mut self, expr: &Expr<'_>) {
        let several = matches!(expr, Expr::List(_));
        self.push(if several { "(" } else { "" });
        self.target(expr);
        self.push(if several { ")" } else { "" });
    }

    /// The filters of a block, innermost first.
    fn filter_chain(&mut self, expr: &Expr<'_>) {
        if let Expr::Filter(filter) = expr {
            if let Some(inner) = &filter.expr {
                self.filter_chain(inner);
                self.push("|");
            }
            self.push(filter.name);
            self.arguments(&filter.args);
        }
    }

    /// An expression as an operand that must bind at least this tightly.
    fn expr(&mut self, expr: &Expr<'_>, least: u8) {
        if self.path(expr) {
            return;
        }
        let parentheses = binding(expr) < least;
        self.push(if parentheses { "(" } else { "" });
        self.operation(expr);
        self.push(if parentheses { ")" } else { "" });
    }

    /// A path that stands for a value, as a variable of its own; false if it is none.
    fn path(&mut self, expr: &Expr<'_>) -> bool {
        let Some(path) = syntax::path(expr) else { return false };
        let local = self.locals.contains(&path.base);
        if local && !path.keys.is_empty() {
            return false;
        }
        match self.names.resolve(&path) {
            // Outside the scope of the assignment the name stands for the value from outside.
            Resolved::Variable(variable) if local => {
                if !self.rewritten.variables.iter().any(|(name, _)| name == path.base) {
                    self.rewritten.variables.push((path.base.to_owned(), variable));
                }
                self.push(path.base);
            }
            Resolved::Variable(variable) if self.names.is_tree(&variable) => self.tree(&path),
            Resolved::Variable(variable) => {
                let written = format!("{:?}{:?}", path.base, path.keys);
                let known = self.paths.iter().position(|other| *other == written);
                let at = known.unwrap_or_else(|| {
                    self.paths.push(written);
                    self.rewritten.variables.push((format!("__v{}", self.paths.len() - 1), variable));
                    self.paths.len() - 1
                });
                self.push(&format!("__v{at}"));
            }
            Resolved::Table if path.keys.is_empty() => self.table(path.base),
            _ => return false,
        }
        true
    }

    fn table(&mut self, name: &str) {
        if !self.rewritten.tables.iter().any(|table| table == name) {
            self.rewritten.tables.push(name.to_owned());
        }
        self.push(name);
    }

    /// An item of a table that can be a list or a map.
    fn tree(&mut self, path: &Path<'_>) {
        self.push(&"__get(".repeat(path.keys.len()));
        self.table(path.base);
        for key in &path.keys {
            let key = match key {
                Key::Name(name) => syntax::quoted(name),
                Key::Index(at) | Key::Dotted(at) => at.to_string(),
            };
            self.push(&format!(", {key})"));
        }
    }

    fn operation(&mut self, expr: &Expr<'_>) {
        if let Some(call) = syntax::named_call(expr)
            && !call.keys.is_empty()
            && self.is_of_engine(call.name)
        {
            self.push("__get(");
            self.call(call.call);
            self.push(&format!(", {})", syntax::quoted(&syntax::joined(&call.keys))));
            return;
        }
        match expr {
            Expr::Var(var) => self.push(var.id),
            // `none` is undefined.
            Expr::Const(constant) => {
                let text = syntax::constant(&constant.value).unwrap_or_else(|| "__none".to_owned());
                self.push(&text);
            }
            Expr::Slice(slice) => {
                self.push("__made(");
                self.function("__text", &[&slice.expr]);
                self.push("[");
                for (at, part) in [&slice.start, &slice.stop, &slice.step].into_iter().enumerate() {
                    self.push(if at > 0 { ":" } else { "" });
                    if let Some(part) = part {
                        self.operand(part, IF);
                    }
                }
                self.push("])");
            }
            Expr::UnaryOp(unary) => match unary.op {
                UnaryOpKind::Not => {
                    self.push("not ");
                    self.expr(&unary.expr, NOT);
                }
                UnaryOpKind::Neg => {
                    self.push("-");
                    self.operand(&unary.expr, NEGATION);
                }
            },
            Expr::BinOp(op) => match operator(op.op) {
                Some((sign, binding)) => {
                    let arithmetic = binding > NOT && binding != CONCAT;
                    let joins =
                        matches!(op.op, BinOpKind::Add) && [&op.left, &op.right].into_iter().any(is_text);
                    let side = match (arithmetic, joins) {
                        (true, true) => Self::addend,
                        (true, false) => Self::operand,
                        (false, _) => Self::expr,
                    };
                    let grows = matches!(op.op, BinOpKind::Add | BinOpKind::Mul | BinOpKind::Concat);
                    self.push(if grows { "__made(" } else { "" });
                    side(self, &op.left, binding);
                    self.push(&format!(" {sign} "));
                    side(self, &op.right, binding + 1);
                    self.push(if grows { ")" } else { "" });
                }
                None => self.function(comparison(op.op), &[&op.left, &op.right]),
            },
            Expr::Compare(chain) => {
                self.push("__chain(");
                self.expr(&chain.expr, IF);
                for op in &chain.ops {
                    self.push(&format!(", '{}', ", chained(op.op)));
                    self.expr(&op.expr, IF);
                }
                self.push(")");
            }
            Expr::IfExpr(choice) => {
                self.expr(&choice.true_expr, OR);
                self.push(" if ");
                self.expr(&choice.test_expr, OR);
                // Without `else`, a following `if` would belong to this expression.
                self.push(" else ");
                match &choice.false_expr {
                    Some(otherwise) => self.expr(otherwise, IF),
                    None => self.push("__none"),
                }
            }
            Expr::Filter(filter) => {
                if let Some(inner) = &filter.expr {
                    self.expr(inner, FILTER);
                    self.push("|");
                }
                self.push(filter.name);
                self.arguments(&filter.args);
            }
            Expr::Test(test) => {
                self.expr(&test.expr, FILTER);
                self.push(" is ");
                self.push(test.name);
                self.arguments(&test.args);
            }
            Expr::GetAttr(get) => {
                self.expr(&get.expr, PRIMARY);
                self.push(".");
                self.push(get.name);
            }
            Expr::GetItem(get) => self.function("__get", &[&get.expr, &get.subscript_expr]),
            Expr::Call(call) => self.call(call),
            Expr::List(list) => {
                self.push("__made([");
                self.items(&list.items);
                self.push("])");
            }
            Expr::Tuple(tuple) => {
                self.push("__made((");
                self.items(&tuple.items);
                self.push(if tuple.items.len() == 1 { ",))" } else { "))" });
            }
            Expr::Map(map) => {
                self.push("__made({");
                for (at, (key, value)) in map.keys.iter().zip(&map.values).enumerate() {
                    self.push(if at > 0 { ", " } else { "" });
                    match key {
                        Expr::Const(_) => self.expr(key, IF),
                        key => self.function("__key", &[key]),
                    }
                    self.push(": ");
                    self.expr(value, IF);
                }
                self.push("})");
            }
        }
    }

    /// An operand of arithmetic: a named number as its number.
    fn operand(&mut self, expr: &Expr<'_>, least: u8) {
        let number = match expr {
            Expr::Const(_) => true,
            Expr::BinOp(op) => operator(op.op).is_some_and(|(_, b)| b > NOT && b != CONCAT),
            Expr::UnaryOp(unary) => matches!(unary.op, UnaryOpKind::Neg),
            _ => false,
        };
        if number {
            self.expr(expr, least);
        } else {
            self.function("__number", &[expr]);
        }
    }

    /// A side of an addition whose other side is a text.
    fn addend(&mut self, expr: &Expr<'_>, least: u8) {
        match expr {
            Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_) => self.function("__addend", &[expr]),
            _ => self.operand(expr, least),
        }
    }

    fn function(&mut self, name: &str, args: &[&Expr<'_>]) {
        self.push(name);
        self.push("(");
        for (at, arg) in args.iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" });
            self.expr(arg, IF);
        }
        self.push(")");
    }

    fn items(&mut self, items: &[Expr<'_>]) {
        for (at, item) in items.iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" });
            self.expr(item, IF);
        }
    }

    /// Whether a name is a function that the engine gets as a table.
    fn is_of_engine(&self, name: &str) -> bool {
        self.names.engine_functions().contains(&name) && !self.locals.contains(&name)
    }

    fn call(&mut self, call: &Call<'_>) {
        match &call.expr {
            Expr::Var(var) if self.is_of_engine(var.id) => self.table(var.id),
            Expr::Var(var) => self.push(var.id),
            callee => self.expr(callee, PRIMARY),
        }
        self.arguments(&call.args);
    }

    /// Arguments in parentheses. A test without arguments gets empty ones, so that the parser takes nothing behind it for
    /// an argument.
    fn arguments(&mut self, args: &[CallArg<'_>]) {
        self.push("(");
        for (at, arg) in args.iter().enumerate() {
            self.push(if at > 0 { ", " } else { "" });
            match arg {
                CallArg::Pos(expr) => self.expr(expr, IF),
                CallArg::Kwarg(name, expr) => {
                    self.push(name);
                    self.push("=");
                    self.expr(expr, IF);
                }
                CallArg::PosSplat(expr) => {
                    self.push("*");
                    self.expr(expr, IF);
                }
                CallArg::KwargSplat(expr) => {
                    self.push("**");
                    self.expr(expr, IF);
                }
            }
        }
        self.push(")");
    }
}

/// Whether an expression is a text in quotes, or a sum with one.
fn is_text(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(constant) => constant.value.as_str().is_some(),
        Expr::BinOp(op) => matches!(op.op, BinOpKind::Add) && (is_text(&op.left) || is_text(&op.right)),
        _ => false,
    }
}
