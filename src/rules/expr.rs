//! Expressions: minijinja's language, its common part evaluated on the message as it stands.
//!
//! minijinja parses everything. What consists of variables, literals, comparisons, `and`, `or`, `not`, `in`,
//! `~`, `is defined`, `x if y else z`, the filters `lower`, `upper`, `trim`, `default` and those of
//! [`crate::rules::functions`] becomes a [`Node`] and
//! is evaluated without the engine; the rest is left to it (see [`crate::rules::engine`]). A differential test holds
//! the two together.

use std::borrow::Cow;
use std::cmp::Ordering;

use minijinja::machinery::ast::{self, BinOpKind, CallArg, CompareOpKind, UnaryOpKind};
use minijinja::value::{Value, ValueKind};

use crate::mib::Mib;
use crate::rules::functions::{As, Call};
use crate::rules::subject::Subject;
use crate::rules::value::Val;
use crate::rules::variable::{Scope, Variable};

/// An expression that needs no engine.
#[derive(Debug, Clone)]
pub enum Node {
    /// A literal.
    Literal(Val<'static>),
    /// A variable.
    Variable(Variable),
    /// `not x`
    Not(Box<Node>),
    /// `x and y`
    And(Box<[Node; 2]>),
    /// `x or y`
    Or(Box<[Node; 2]>),
    /// `x == y` and its like
    Compare(Comparison, Box<[Node; 2]>),
    /// `x in [a, b]`
    InList(Box<Node>, Vec<Node>),
    /// `x in y`, y a text
    InText(Box<[Node; 2]>),
    /// `x is defined`
    Defined(Box<Node>),
    /// `x ~ y`
    Concat(Box<[Node; 2]>),
    /// `x if y else z`: y, x, z
    If(Box<[Node; 3]>),
    /// `x|lower`
    Lower(Box<Node>),
    /// `x|upper`
    Upper(Box<Node>),
    /// `x|trim`
    Trim(Box<Node>),
    /// `x|default(y)`
    Default(Box<[Node; 2]>),
    /// A filter or test of [`crate::rules::functions`].
    Call(Box<Node>, Call),
}

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Comparison {
    fn holds(self, a: &Val<'_>, b: &Val<'_>) -> bool {
        match self {
            Comparison::Eq => a.equals(b),
            Comparison::Ne => !a.equals(b),
            Comparison::Lt => a.compare(b) == Some(Ordering::Less),
            Comparison::Le => matches!(a.compare(b), Some(Ordering::Less | Ordering::Equal)),
            Comparison::Gt => a.compare(b) == Some(Ordering::Greater),
            Comparison::Ge => matches!(a.compare(b), Some(Ordering::Greater | Ordering::Equal)),
        }
    }
}

/// What an expression is evaluated on.
#[derive(Clone, Copy)]
pub struct Context<'m, 'c> {
    /// The message.
    pub subject: &'c Subject<'m>,
    /// The groups of the rule's pattern.
    pub captures: &'c [Option<&'m str>],
    /// Names and syntax.
    pub mib: &'m Mib,
}

impl Node {
    /// The value for a message.
    pub fn eval<'m>(&'m self, cx: Context<'m, '_>) -> Val<'m> {
        match self {
            Node::Literal(value) => value.clone(),
            Node::Variable(variable) => variable.get(cx.subject, cx.captures, cx.mib),
            Node::Not(node) => Val::Bool(!node.eval(cx).is_true()),
            Node::And(both) => {
                let left = both[0].eval(cx);
                if left.is_true() { both[1].eval(cx) } else { left }
            }
            Node::Or(both) => {
                let left = both[0].eval(cx);
                if left.is_true() { left } else { both[1].eval(cx) }
            }
            Node::Compare(how, both) => Val::Bool(how.holds(&both[0].eval(cx), &both[1].eval(cx))),
            Node::InList(needle, items) => {
                let needle = needle.eval(cx);
                Val::Bool(items.iter().any(|item| needle.equals(&item.eval(cx))))
            }
            Node::InText(both) => match both[1].eval(cx) {
                Val::Undefined => Val::Bool(false),
                hay => Val::Bool(hay.into_text().contains(&*both[0].eval(cx).into_text())),
            },
            Node::Defined(node) => Val::Bool(node.eval(cx) != Val::Undefined),
            Node::Concat(both) => {
                let mut text = both[0].eval(cx).into_text().into_owned();
                both[1].eval(cx).push_to(&mut text);
                Val::Str(text.into())
            }
            Node::If(parts) => {
                let chosen = if parts[0].eval(cx).is_true() { &parts[1] } else { &parts[2] };
                chosen.eval(cx)
            }
            Node::Lower(node) => Val::Str(node.eval(cx).into_text().to_lowercase().into()),
            Node::Upper(node) => Val::Str(node.eval(cx).into_text().to_uppercase().into()),
            Node::Trim(node) => match node.eval(cx).into_text() {
                Cow::Borrowed(text) => Val::Str(text.trim().into()),
                Cow::Owned(text) => Val::Str(text.trim().to_owned().into()),
            },
            Node::Default(both) => match both[0].eval(cx) {
                Val::Undefined => both[1].eval(cx),
                value => value,
            },
            Node::Call(node, call) => call.apply(node.eval(cx)),
        }
    }

    /// The node of a parsed expression, if it needs no engine.
    pub fn lower(expr: &ast::Expr<'_>, scope: &Scope<'_>) -> Option<Node> {
        if let Some(variable) = variable(expr, scope) {
            return variable.ok().map(Node::Variable);
        }
        let lower = |e| Node::lower(e, scope);
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
                    BinOpKind::In => contains(left, right, scope),
                    _ => None,
                }
            }
            ast::Expr::Compare(chain) => {
                let mut nodes = Vec::new();
                let mut left = &chain.expr;
                for op in &chain.ops {
                    nodes.push(comparison(op.op, left, &op.expr, scope)?);
                    left = &op.expr;
                }
                nodes.into_iter().reduce(|a, b| Node::And(Box::new([a, b])))
            }
            ast::Expr::Test(test) if test.args.is_empty() => match test.name {
                "defined" => boxed(&test.expr).map(Node::Defined),
                "undefined" => Some(Node::Not(Box::new(Node::Defined(boxed(&test.expr)?)))),
                _ => None,
            },
            ast::Expr::Test(test) => called(As::Test, &test.expr, (test.name, &test.args), scope),
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
                ("length" | "count", [], ast::Expr::Var(var)) if scope.notifications && var.id == "v" => {
                    Some(Node::Variable(Variable::Count))
                }
                (name, args, inner) => called(As::Filter, inner, (name, args), scope),
            },
            _ => None,
        }
    }
}

/// A call of a filter or test of [`crate::rules::functions`].
fn called(
    how: As,
    on: &ast::Expr<'_>,
    (name, args): (&str, &[CallArg<'_>]),
    scope: &Scope<'_>,
) -> Option<Node> {
    let call = Call::of_syntax(how, name, args)?.ok()?;
    Some(Node::Call(Box::new(Node::lower(on, scope)?), call))
}

fn comparison(
    how: CompareOpKind,
    left: &ast::Expr<'_>,
    right: &ast::Expr<'_>,
    scope: &Scope<'_>,
) -> Option<Node> {
    let compare =
        |how| Some(Node::Compare(how, Box::new([Node::lower(left, scope)?, Node::lower(right, scope)?])));
    match how {
        CompareOpKind::Eq => compare(Comparison::Eq),
        CompareOpKind::Ne => compare(Comparison::Ne),
        CompareOpKind::Lt => compare(Comparison::Lt),
        CompareOpKind::Lte => compare(Comparison::Le),
        CompareOpKind::Gt => compare(Comparison::Gt),
        CompareOpKind::Gte => compare(Comparison::Ge),
        CompareOpKind::In => contains(left, right, scope),
        CompareOpKind::NotIn => Some(Node::Not(Box::new(contains(left, right, scope)?))),
    }
}

fn contains(needle: &ast::Expr<'_>, hay: &ast::Expr<'_>, scope: &Scope<'_>) -> Option<Node> {
    let needle = Node::lower(needle, scope)?;
    let items = match hay {
        ast::Expr::List(list) => Some(&list.items),
        ast::Expr::Tuple(tuple) => Some(&tuple.items),
        _ => None,
    };
    match items {
        Some(items) => {
            let items = items.iter().map(|i| Node::lower(i, scope)).collect::<Option<_>>()?;
            Some(Node::InList(Box::new(needle), items))
        }
        None => Some(Node::InText(Box::new([needle, Node::lower(hay, scope)?]))),
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

/// The variable that an expression names, or why there is none; nothing if it is no name at all.
pub fn variable(expr: &ast::Expr<'_>, scope: &Scope<'_>) -> Option<Result<Variable, String>> {
    match expr {
        ast::Expr::Var(var) if crate::rules::variable::TABLES.contains(&var.id) => None,
        ast::Expr::Var(var) => Some(scope.name(var.id)),
        ast::Expr::GetAttr(get) => entry(&get.expr, &Value::from(get.name), scope),
        ast::Expr::GetItem(get) => match &get.subscript_expr {
            ast::Expr::Const(constant) => entry(&get.expr, &constant.value, scope),
            _ => None,
        },
        _ => None,
    }
}

/// The place of a varbind, from 1.
fn place(key: &Value) -> Result<usize, String> {
    usize::try_from(key.clone())
        .ok()
        .filter(|at| *at > 0)
        .ok_or_else(|| "varbinds count from 1, after sysUpTime and snmpTrapOID".to_owned())
}

/// `v[1]`, `v['ifDescr.3']`, `raw.ifDescr`, `names[1]`, `sd['id'].name`
fn entry(table: &ast::Expr<'_>, key: &Value, scope: &Scope<'_>) -> Option<Result<Variable, String>> {
    match table {
        ast::Expr::Var(var) if scope.notifications && var.id == "index" => Some(
            key.as_str()
                .map_or_else(|| Err("name the index: index.ifIndex".to_owned()), |name| scope.index(name)),
        ),
        ast::Expr::Var(var) if scope.notifications && matches!(var.id, "v" | "raw") => {
            let raw = var.id == "raw";
            Some(key.as_str().map_or_else(
                || place(key).map(|at| Variable::Position { at, raw }),
                |name| scope.varbind(name, raw),
            ))
        }
        ast::Expr::Var(var) if scope.notifications => {
            let (_, what) = crate::rules::variable::OF_VARBINDS.iter().find(|(name, _)| *name == var.id)?;
            Some(place(key).map(|at| Variable::OfVarbind { at, what: *what }))
        }
        ast::Expr::GetAttr(_) | ast::Expr::GetItem(_) if !scope.notifications => {
            let (table, id) = match table {
                ast::Expr::GetAttr(get) => (&get.expr, get.name.to_owned()),
                ast::Expr::GetItem(get) => match &get.subscript_expr {
                    ast::Expr::Const(constant) => (&get.expr, constant.value.as_str()?.to_owned()),
                    _ => return None,
                },
                _ => return None,
            };
            let ast::Expr::Var(var) = table else { return None };
            (var.id == "sd")
                .then(|| Ok(Variable::StructuredData { id, name: key.as_str().unwrap_or("").to_owned() }))
        }
        _ => None,
    }
}
