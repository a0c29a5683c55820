//! The part of the language that is evaluated without the template engine.
//!
//! A parsed expression becomes a [`Node`] if it consists of variables, literals, comparisons, `and`, `or`, `not`,
//! `in`, `~`, `x if y else z`, `is defined`, the filters `lower`, `upper`, `trim`, `default`, and the filters and tests
//! of [`functions`](crate::language::functions). The template engine evaluates everything else.

use std::borrow::Cow;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, UnaryOpKind};
use minijinja::value::{Value, ValueKind};

use crate::language::budget;
use crate::language::functions::{As, Call};
use crate::language::names::{Names, Resolved, Values};
use crate::language::syntax;
use crate::language::value::{Comparison, Val};

/// The units that a function takes.
const FUNCTION: u64 = 500;

/// A compiled expression over variables of the type `V`.
#[derive(Debug, Clone)]
pub enum Node<V> {
    /// A literal.
    Literal(Val<'static>),
    /// A variable.
    Variable(V),
    /// `not x`
    Not(Box<Node<V>>),
    /// `x and y`
    And(Box<[Node<V>; 2]>),
    /// `x or y`
    Or(Box<[Node<V>; 2]>),
    /// `x == y` and the other comparisons
    Compare(Comparison, Box<[Node<V>; 2]>),
    /// `x in [a, b]`
    InList(Box<Node<V>>, Vec<Node<V>>),
    /// `x in y` for a text y
    InText(Box<[Node<V>; 2]>),
    /// `x is defined`
    Defined(Box<Node<V>>),
    /// `x ~ y`
    Concat(Box<[Node<V>; 2]>),
    /// `x if y else z`, in the order y, x, z
    If(Box<[Node<V>; 3]>),
    /// `x|lower`
    Lower(Box<Node<V>>),
    /// `x|upper`
    Upper(Box<Node<V>>),
    /// `x|trim`
    Trim(Box<Node<V>>),
    /// `x|default(y)`
    Default(Box<[Node<V>; 2]>),
    /// A function of [`Names::function`] with its arguments behind the first.
    Function(V, Vec<Node<V>>),
    /// A filter or test of [`functions`](crate::language::functions).
    Call(Box<Node<V>>, Call),
}

impl<V> Node<V> {
    /// What it is made of.
    fn parts(&self) -> Vec<&Node<V>> {
        match self {
            Node::Literal(_) | Node::Variable(_) => Vec::new(),
            Node::Not(node)
            | Node::Defined(node)
            | Node::Lower(node)
            | Node::Upper(node)
            | Node::Trim(node)
            | Node::Call(node, _) => vec![node],
            Node::And(both)
            | Node::Or(both)
            | Node::Compare(_, both)
            | Node::InText(both)
            | Node::Concat(both)
            | Node::Default(both) => both.iter().collect(),
            Node::If(parts) => parts.iter().collect(),
            Node::InList(needle, items) => std::iter::once(&**needle).chain(items).collect(),
            Node::Function(_, args) => args.iter().collect(),
        }
    }

    /// Whether it takes time that is linear in the length of its values, whatever they are.
    pub fn is_linear(&self) -> bool {
        let itself = if let Node::Call(_, call) = self { call.is_linear() } else { true };
        itself && self.parts().into_iter().all(Node::is_linear)
    }

    /// The variables and functions in it, in their order.
    pub fn variables(&self) -> Vec<&V> {
        let own = match self {
            Node::Variable(variable) | Node::Function(variable, _) => Some(variable),
            _ => None,
        };
        own.into_iter().chain(self.parts().into_iter().flat_map(Node::variables)).collect()
    }

    /// The value of the expression. Without meaning if it goes over [budget].
    pub fn eval<'m>(&'m self, values: &impl Values<'m, V>) -> Val<'m> {
        match self {
            Node::Literal(value) => value.borrowed(),
            Node::Variable(variable) => spent(values.get(variable)),
            Node::Not(node) => Val::Bool(!node.eval(values).is_true()),
            Node::And(both) => {
                let left = both[0].eval(values);
                if left.is_true() { both[1].eval(values) } else { left }
            }
            Node::Or(both) => {
                let left = both[0].eval(values);
                if left.is_true() { left } else { both[1].eval(values) }
            }
            Node::Compare(how, both) => Val::Bool(how.holds(&both[0].eval(values), &both[1].eval(values))),
            Node::InList(needle, items) => {
                let needle = needle.eval(values);
                Val::Bool(items.iter().any(|item| needle.equals(&item.eval(values))))
            }
            Node::InText(both) => Val::Bool(both[1].eval(values).contains(both[0].eval(values))),
            Node::Defined(node) => Val::Bool(node.eval(values) != Val::Undefined),
            Node::Concat(both) => {
                let mut text = both[0].eval(values).into_text().into_owned();
                both[1].eval(values).push_to(&mut text);
                spent(Val::Str(text.into()))
            }
            Node::If(parts) => {
                let chosen = if parts[0].eval(values).is_true() { &parts[1] } else { &parts[2] };
                chosen.eval(values)
            }
            Node::Lower(node) => spent(Val::Str(node.eval(values).into_text().to_lowercase().into())),
            Node::Upper(node) => spent(Val::Str(node.eval(values).into_text().to_uppercase().into())),
            Node::Trim(node) => match node.eval(values).into_text() {
                Cow::Borrowed(text) => Val::Str(text.trim().into()),
                Cow::Owned(text) => Val::Str(text.trim().to_owned().into()),
            },
            Node::Default(both) => match both[0].eval(values) {
                Val::Undefined => both[1].eval(values),
                value => value,
            },
            Node::Function(function, args) => {
                let args: Vec<Val<'m>> = args.iter().map(|arg| arg.eval(values)).collect();
                budget::spend(FUNCTION);
                values.call(function, &args)
            }
            Node::Call(node, call) => call.apply(node.eval(values)),
        }
    }
}

impl<V> Node<V> {
    /// Appends the value as text. Without meaning if it goes over [budget].
    pub fn push<'m>(&'m self, values: &impl Values<'m, V>, out: &mut String) {
        let Node::Variable(variable) = self else { return self.eval(values).push_to(out) };
        let before = out.len();
        values.push(variable, out);
        budget::spend((out.len() - before) as u64);
    }
}

impl<V: Clone> Node<V> {
    /// The node of a parsed expression; none if it needs the template engine.
    pub fn lower<N: Names<Var = V>>(expr: &ast::Expr<'_>, names: &N) -> Option<Self> {
        if let Some(path) = syntax::path(expr) {
            return match names.resolve(&path) {
                Resolved::Variable(variable) => Some(Node::Variable(variable)),
                Resolved::Table | Resolved::Part | Resolved::Unknown(_) => None,
            };
        }
        let lower = |e| Node::lower(e, names);
        if let Some(call) = syntax::named_call(expr) {
            let first = syntax::first_text(call.args);
            let function = names.function(call.name, first, call.args.len(), &call.keys)?.ok()?;
            let args = call.args.iter().skip(1).map(|arg| match arg {
                CallArg::Pos(arg) => lower(arg),
                _ => None,
            });
            return Some(Node::Function(function, args.collect::<Option<_>>()?));
        }
        let boxed = |e| lower(e).map(Box::new);
        let pair = |a, b| Some(Box::new([lower(a)?, lower(b)?]));
        match expr {
            ast::Expr::Const(constant) => literal(&constant.value).map(Node::Literal),
            ast::Expr::UnaryOp(unary) => match (&unary.op, &unary.expr) {
                (UnaryOpKind::Not, inner) => boxed(inner).map(Node::Not),
                (UnaryOpKind::Neg, ast::Expr::Const(constant)) => match literal(&constant.value)? {
                    Val::Int(n) => Some(Node::Literal(Val::Int(-n))),
                    Val::Float(n) => Some(Node::Literal(Val::Float(-n))),
                    _ => None,
                },
                (UnaryOpKind::Neg, _) => None,
            },
            ast::Expr::BinOp(op) => {
                let (left, right) = (&op.left, &op.right);
                let compare = |how| Some(Node::Compare(how, pair(left, right)?));
                match op.op {
                    BinOpKind::ScAnd => pair(left, right).map(Node::And),
                    BinOpKind::ScOr => pair(left, right).map(Node::Or),
                    BinOpKind::Concat => pair(left, right).map(Node::Concat),
                    BinOpKind::Eq => compare(Comparison::Eq),
                    BinOpKind::Ne => compare(Comparison::Ne),
                    BinOpKind::Lt => compare(Comparison::Lt),
                    BinOpKind::Lte => compare(Comparison::Le),
                    BinOpKind::Gt => compare(Comparison::Gt),
                    BinOpKind::Gte => compare(Comparison::Ge),
                    BinOpKind::In => contains(left, right, names),
                    _ => None,
                }
            }
            ast::Expr::Compare(chain) => {
                let mut nodes = Vec::new();
                let mut left = &chain.expr;
                for op in &chain.ops {
                    nodes.push(comparison(op.op, left, &op.expr, names)?);
                    left = &op.expr;
                }
                nodes.into_iter().reduce(|a, b| Node::And(Box::new([a, b])))
            }
            ast::Expr::Test(test) if test.args.is_empty() => match test.name {
                "defined" => boxed(&test.expr).map(Node::Defined),
                "undefined" => Some(Node::Not(Box::new(Node::Defined(boxed(&test.expr)?)))),
                _ => None,
            },
            ast::Expr::Test(test) => called(As::Test, &test.expr, (test.name, &test.args), names),
            ast::Expr::IfExpr(choice) => {
                let otherwise = match &choice.false_expr {
                    Some(expr) => lower(expr)?,
                    None => Node::Literal(Val::Undefined),
                };
                Some(Node::If(Box::new([lower(&choice.test_expr)?, lower(&choice.true_expr)?, otherwise])))
            }
            ast::Expr::Filter(filter) => match (filter.name, filter.args.as_slice(), filter.expr.as_ref()?) {
                ("lower", [], inner) => boxed(inner).map(Node::Lower),
                ("upper", [], inner) => boxed(inner).map(Node::Upper),
                ("trim", [], inner) => boxed(inner).map(Node::Trim),
                ("default" | "d", [CallArg::Pos(other)], inner) => pair(inner, other).map(Node::Default),
                ("length" | "count", [], ast::Expr::Var(var)) => names.length(var.id).map(Node::Variable),
                (name, args, inner) => called(As::Filter, inner, (name, args), names),
            },
            _ => None,
        }
    }
}

/// A value, after its length is spent.
#[inline]
fn spent(value: Val<'_>) -> Val<'_> {
    if let Val::Str(text) = &value {
        budget::spend(text.len() as u64);
    }
    value
}

/// A call of a filter or test of [`functions`](crate::language::functions).
fn called<N: Names>(
    how: As,
    on: &ast::Expr<'_>,
    (name, args): (&str, &[CallArg<'_>]),
    names: &N,
) -> Option<Node<N::Var>> {
    let call = Call::of_syntax(how, name, args)?.ok()?;
    Some(Node::Call(Box::new(Node::lower(on, names)?), call))
}

fn comparison<N: Names>(
    how: CompareOpKind,
    left: &ast::Expr<'_>,
    right: &ast::Expr<'_>,
    names: &N,
) -> Option<Node<N::Var>> {
    let compare =
        |how| Some(Node::Compare(how, Box::new([Node::lower(left, names)?, Node::lower(right, names)?])));
    match how {
        CompareOpKind::Eq => compare(Comparison::Eq),
        CompareOpKind::Ne => compare(Comparison::Ne),
        CompareOpKind::Lt => compare(Comparison::Lt),
        CompareOpKind::Lte => compare(Comparison::Le),
        CompareOpKind::Gt => compare(Comparison::Gt),
        CompareOpKind::Gte => compare(Comparison::Ge),
        CompareOpKind::In => contains(left, right, names),
        CompareOpKind::NotIn => Some(Node::Not(Box::new(contains(left, right, names)?))),
    }
}

fn contains<N: Names>(needle: &ast::Expr<'_>, hay: &ast::Expr<'_>, names: &N) -> Option<Node<N::Var>> {
    let needle = Node::lower(needle, names)?;
    let items = match hay {
        ast::Expr::List(list) => Some(&list.items),
        ast::Expr::Tuple(tuple) => Some(&tuple.items),
        _ => None,
    };
    // Among the items of a list, or a part of a text: only the value can tell.
    let is_tree = syntax::path(hay).is_some_and(
        |path| matches!(names.resolve(&path), Resolved::Variable(variable) if names.is_tree(&variable)),
    );
    match items {
        _ if is_tree => None,
        Some(items) => {
            let items = items.iter().map(|i| Node::lower(i, names)).collect::<Option<_>>()?;
            Some(Node::InList(Box::new(needle), items))
        }
        None => Some(Node::InText(Box::new([needle, Node::lower(hay, names)?]))),
    }
}

/// A constant of the parser as a value; none for lists and maps.
fn literal(value: &Value) -> Option<Val<'static>> {
    Some(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Val::Undefined,
        ValueKind::Bool => Val::Bool(value.is_true()),
        ValueKind::Number => match i128::try_from(value.clone()) {
            Ok(number) if value.is_integer() => Val::Int(number),
            _ => Val::Float(f64::try_from(value.clone()).ok()?),
        },
        ValueKind::String => Val::Str(value.as_str()?.to_owned().into()),
        _ => return None,
    })
}
