//! Walks over minijinja's syntax tree.

use minijinja::machinery::Span;
use minijinja::machinery::ast::{BinOpKind, CallArg, CompareOpKind, Expr, Stmt};
use minijinja::value::ValueKind;

use crate::rules::functions::As;

/// All expressions at the top of a template's statements.
pub fn expressions<'a, 's>(template: &'a Stmt<'s>) -> Vec<&'a Expr<'s>> {
    let mut found = Vec::new();
    statement(template, &mut found);
    found
}

fn statement<'a, 's>(stmt: &'a Stmt<'s>, found: &mut Vec<&'a Expr<'s>>) {
    let block = |body: &'a [Stmt<'s>], found: &mut Vec<&'a Expr<'s>>| {
        for stmt in body {
            statement(stmt, found);
        }
    };
    match stmt {
        Stmt::Template(template) => block(&template.children, found),
        Stmt::EmitExpr(emit) => found.push(&emit.expr),
        Stmt::EmitRaw(_) => {}
        Stmt::ForLoop(each) => {
            found.extend([&each.target, &each.iter]);
            found.extend(each.filter_expr.as_ref());
            block(&each.body, found);
            block(&each.else_body, found);
        }
        Stmt::IfCond(cond) => {
            found.push(&cond.expr);
            block(&cond.true_body, found);
            block(&cond.false_body, found);
        }
        Stmt::WithBlock(with) => {
            found.extend(with.assignments.iter().flat_map(|(target, value)| [target, value]));
            block(&with.body, found);
        }
        Stmt::Set(set) => found.extend([&set.target, &set.expr]),
        Stmt::SetBlock(set) => {
            found.push(&set.target);
            found.extend(set.filter.as_ref());
            block(&set.body, found);
        }
        Stmt::AutoEscape(escape) => {
            found.push(&escape.enabled);
            block(&escape.body, found);
        }
        Stmt::FilterBlock(filter) => {
            found.push(&filter.filter);
            block(&filter.body, found);
        }
        Stmt::Do(call) => {
            found.push(&call.call.expr);
            found.extend(call.call.args.iter().map(argument));
        }
    }
}

/// The names that a template gives values to itself.
pub fn assigned<'a>(template: &'a Stmt<'_>) -> Vec<&'a str> {
    fn targets<'a>(expr: &'a Expr<'_>, names: &mut Vec<&'a str>) {
        match expr {
            Expr::Var(var) => names.push(var.id),
            Expr::List(list) => list.items.iter().for_each(|e| targets(e, names)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|e| targets(e, names)),
            _ => {}
        }
    }
    fn statement<'a>(stmt: &'a Stmt<'_>, names: &mut Vec<&'a str>) {
        let block = |body: &'a [Stmt<'_>], names: &mut Vec<&'a str>| {
            for stmt in body {
                statement(stmt, names);
            }
        };
        match stmt {
            Stmt::Template(template) => block(&template.children, names),
            Stmt::ForLoop(each) => {
                names.push("loop");
                targets(&each.target, names);
                block(&each.body, names);
                block(&each.else_body, names);
            }
            Stmt::IfCond(cond) => {
                block(&cond.true_body, names);
                block(&cond.false_body, names);
            }
            Stmt::WithBlock(with) => {
                with.assignments.iter().for_each(|(target, _)| targets(target, names));
                block(&with.body, names);
            }
            Stmt::Set(set) => targets(&set.target, names),
            Stmt::SetBlock(set) => {
                targets(&set.target, names);
                block(&set.body, names);
            }
            Stmt::AutoEscape(escape) => block(&escape.body, names),
            Stmt::FilterBlock(filter) => block(&filter.body, names),
            Stmt::EmitExpr(_) | Stmt::EmitRaw(_) | Stmt::Do(_) => {}
        }
    }
    let mut names = Vec::new();
    statement(template, &mut names);
    names
}

/// The parts of an expression, one level down.
fn parts<'a, 's>(expr: &'a Expr<'s>) -> Vec<&'a Expr<'s>> {
    let mut parts: Vec<&'a Expr<'s>> = Vec::new();
    match expr {
        Expr::Var(_) | Expr::Const(_) => {}
        Expr::Slice(slice) => {
            parts.push(&slice.expr);
            parts.extend([&slice.start, &slice.stop, &slice.step].into_iter().flatten());
        }
        Expr::UnaryOp(unary) => parts.push(&unary.expr),
        Expr::BinOp(op) => parts.extend([&op.left, &op.right]),
        Expr::Compare(chain) => {
            parts.push(&chain.expr);
            parts.extend(chain.ops.iter().map(|op| &op.expr));
        }
        Expr::IfExpr(choice) => {
            parts.extend([&choice.test_expr, &choice.true_expr]);
            parts.extend(choice.false_expr.as_ref());
        }
        Expr::Filter(filter) => {
            parts.extend(filter.expr.as_ref());
            parts.extend(filter.args.iter().map(argument));
        }
        Expr::Test(test) => {
            parts.push(&test.expr);
            parts.extend(test.args.iter().map(argument));
        }
        Expr::GetAttr(get) => parts.push(&get.expr),
        Expr::GetItem(get) => parts.extend([&get.expr, &get.subscript_expr]),
        Expr::Call(call) => {
            parts.push(&call.expr);
            parts.extend(call.args.iter().map(argument));
        }
        Expr::List(list) => parts.extend(&list.items),
        Expr::Tuple(tuple) => parts.extend(&tuple.items),
        Expr::Map(map) => parts.extend(map.keys.iter().chain(&map.values)),
    }
    parts
}

fn argument<'a, 's>(argument: &'a CallArg<'s>) -> &'a Expr<'s> {
    match argument {
        CallArg::Pos(expr)
        | CallArg::Kwarg(_, expr)
        | CallArg::PosSplat(expr)
        | CallArg::KwargSplat(expr) => expr,
    }
}

/// All names in some expressions, each with the entry taken of it (`v[1]`) where it is one.
pub fn variables<'a, 's>(exprs: &[&'a Expr<'s>]) -> Vec<&'a Expr<'s>> {
    let mut found = Vec::new();
    let mut open: Vec<&'a Expr<'s>> = exprs.to_vec();
    while let Some(expr) = open.pop() {
        if matches!(expr, Expr::Var(_) | Expr::GetAttr(_) | Expr::GetItem(_)) {
            found.push(expr);
        }
        open.extend(parts(expr));
    }
    found
}

/// A call of a filter or test.
#[derive(Clone, Copy)]
pub struct Called<'a, 's> {
    /// As what.
    pub how: As,
    /// Its name.
    pub name: &'s str,
    /// Its arguments.
    pub args: &'a [CallArg<'s>],
    /// Where it stands.
    pub span: Span,
}

/// All calls of filters and tests.
pub fn calls<'a, 's>(exprs: &[&'a Expr<'s>]) -> Vec<Called<'a, 's>> {
    let mut found = Vec::new();
    let mut open: Vec<&'a Expr<'s>> = exprs.to_vec();
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Filter(f) => {
                found.push(Called { how: As::Filter, name: f.name, args: &f.args, span: f.span() });
            }
            Expr::Test(t) => {
                found.push(Called { how: As::Test, name: t.name, args: &t.args, span: t.span() });
            }
            _ => {}
        }
        open.extend(parts(expr));
    }
    found
}

/// Names that stand for numbers, or `v` where an entry of it does.
#[derive(Debug, Default)]
pub struct Numbers<'a> {
    /// Those that are compared with a number, and where they stand.
    pub compared: Vec<(&'a str, Span)>,
    /// Those that are made one by `number` or `any_bit`.
    pub made: Vec<(&'a str, Span)>,
}

/// The names that stand for numbers.
pub fn numbers<'a>(exprs: &[&'a Expr<'_>]) -> Numbers<'a> {
    let mut found = Numbers::default();
    let mut open: Vec<&'a Expr<'_>> = exprs.to_vec();
    let name = |expr: &'a Expr<'_>| {
        let table = match expr {
            Expr::GetItem(get) => &get.expr,
            Expr::GetAttr(get) => &get.expr,
            plain => plain,
        };
        match table {
            Expr::Var(var) if std::ptr::eq(table, expr) || var.id == "v" => Some((var.id, var.span())),
            _ => None,
        }
    };
    let mut note = |a: &'a Expr<'_>, b: &Expr<'_>| {
        if is_number(b) {
            found.compared.extend(name(a));
        }
    };
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinOp(op) => match op.op {
                BinOpKind::Eq
                | BinOpKind::Ne
                | BinOpKind::Lt
                | BinOpKind::Lte
                | BinOpKind::Gt
                | BinOpKind::Gte => {
                    note(&op.left, &op.right);
                    note(&op.right, &op.left);
                }
                BinOpKind::In => note(&op.left, &op.right),
                _ => {}
            },
            Expr::Compare(chain) => {
                let mut left = &chain.expr;
                for op in &chain.ops {
                    note(left, &op.expr);
                    if !matches!(op.op, CompareOpKind::In | CompareOpKind::NotIn) {
                        note(&op.expr, left);
                    }
                    left = &op.expr;
                }
            }
            Expr::Filter(filter) if filter.name == "number" => {
                found.made.extend(filter.expr.as_ref().and_then(name));
            }
            Expr::Test(test) if test.name == "any_bit" => found.made.extend(name(&test.expr)),
            _ => {}
        }
        open.extend(parts(expr));
    }
    found
}

/// A number, or a list of numbers.
fn is_number(expr: &Expr<'_>) -> bool {
    match expr {
        Expr::Const(constant) => constant.value.kind() == ValueKind::Number,
        Expr::UnaryOp(unary) => is_number(&unary.expr),
        Expr::List(ast) => !ast.items.is_empty() && ast.items.iter().all(is_number),
        Expr::Tuple(ast) => !ast.items.is_empty() && ast.items.iter().all(is_number),
        _ => false,
    }
}

/// Where a span stands in its source.
pub fn range(span: Span) -> std::ops::Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}
