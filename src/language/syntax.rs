//! Parsing, and walks over minijinja's syntax tree.

use std::borrow::Cow;
use std::ops::Range;

use minijinja::machinery::ast::{BinOpKind, Call, CallArg, CompareOpKind, Const, Expr, Stmt, UnaryOpKind};
use minijinja::machinery::{Span, parse, parse_expr};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Value, ValueKind};

use crate::language::functions::As;
use crate::language::names::{Key, Path};

/// The functions that a template may call.
pub const FUNCTIONS: [&str; 3] = ["dict", "namespace", "range"];

/// Parses a template.
///
/// # Errors
///
/// The parser's error, with the range of the mistake.
pub fn template(source: &str) -> Result<Stmt<'_>, minijinja::Error> {
    parse(source, "template", SyntaxConfig::default())
}

/// Parses an expression.
///
/// # Errors
///
/// The parser's error, with the range of the mistake.
pub fn expression(source: &str) -> Result<Expr<'_>, minijinja::Error> {
    parse_expr(source)
}

/// Calls `see` for a statement and all statements in it, in their order.
fn visit<'a, 's>(stmt: &'a Stmt<'s>, see: &mut impl FnMut(&'a Stmt<'s>)) {
    see(stmt);
    let bodies: [&'a [Stmt<'s>]; 2] = match stmt {
        Stmt::Template(template) => [&template.children, &[]],
        Stmt::ForLoop(each) => [&each.body, &each.else_body],
        Stmt::IfCond(cond) => [&cond.true_body, &cond.false_body],
        Stmt::WithBlock(with) => [&with.body, &[]],
        Stmt::SetBlock(set) => [&set.body, &[]],
        Stmt::AutoEscape(escape) => [&escape.body, &[]],
        Stmt::FilterBlock(filter) => [&filter.body, &[]],
        Stmt::EmitExpr(_) | Stmt::EmitRaw(_) | Stmt::Set(_) | Stmt::Do(_) => [&[], &[]],
    };
    for stmt in bodies.into_iter().flatten() {
        visit(stmt, see);
    }
}

/// The expressions of a template's statements, without the calls of `{% do %}`.
pub fn expressions<'a, 's>(template: &'a Stmt<'s>) -> Vec<&'a Expr<'s>> {
    let mut found = Vec::new();
    visit(template, &mut |stmt| match stmt {
        Stmt::EmitExpr(emit) => found.push(&emit.expr),
        Stmt::ForLoop(each) => {
            found.extend([&each.target, &each.iter]);
            found.extend(each.filter_expr.as_ref());
        }
        Stmt::IfCond(cond) => found.push(&cond.expr),
        Stmt::WithBlock(with) => {
            found.extend(with.assignments.iter().flat_map(|(target, value)| [target, value]));
        }
        Stmt::Set(set) => found.extend([&set.target, &set.expr]),
        Stmt::SetBlock(set) => {
            found.push(&set.target);
            found.extend(set.filter.as_ref());
        }
        Stmt::AutoEscape(escape) => found.push(&escape.enabled),
        Stmt::FilterBlock(filter) => found.push(&filter.filter),
        Stmt::Template(_) | Stmt::EmitRaw(_) | Stmt::Do(_) => {}
    });
    found
}

/// The places of `{% do %}` statements.
pub fn do_statements(template: &Stmt<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    visit(template, &mut |stmt| {
        if let Stmt::Do(call) = stmt {
            found.push(range(call.span()));
        }
    });
    found
}

/// The names that a template assigns: targets of `set`, `with` and `for`, and `loop`.
pub fn assigned<'a>(template: &'a Stmt<'_>) -> Vec<&'a str> {
    fn targets<'a>(expr: &'a Expr<'_>, names: &mut Vec<&'a str>) {
        match expr {
            Expr::Var(var) => names.push(var.id),
            Expr::List(list) => list.items.iter().for_each(|e| targets(e, names)),
            Expr::Tuple(tuple) => tuple.items.iter().for_each(|e| targets(e, names)),
            _ => {}
        }
    }
    let mut names = Vec::new();
    visit(template, &mut |stmt| match stmt {
        Stmt::ForLoop(each) => {
            names.push("loop");
            targets(&each.target, &mut names);
        }
        Stmt::WithBlock(with) => with.assignments.iter().for_each(|(target, _)| targets(target, &mut names)),
        Stmt::Set(set) => targets(&set.target, &mut names),
        Stmt::SetBlock(set) => targets(&set.target, &mut names),
        _ => {}
    });
    names
}

/// The direct parts of an expression.
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

/// The path that an expression is, if it is a name with constant keys.
pub fn path<'a>(expr: &'a Expr<'_>) -> Option<Path<'a>> {
    let span = range(expr.span());
    match expr {
        Expr::Var(var) => Some(Path { base: var.id, keys: Vec::new(), span }),
        Expr::GetAttr(get) => {
            let mut path = path(&get.expr)?;
            path.keys.push(Key::Name(Cow::Borrowed(get.name)));
            path.span.end = span.end;
            Some(path)
        }
        Expr::GetItem(get) => {
            let Expr::Const(constant) = &get.subscript_expr else { return None };
            let key = match constant.value.as_str() {
                Some(name) => Key::Name(Cow::Borrowed(name)),
                None if !constant.value.is_integer() => return None,
                None => {
                    let number = i128::try_from(constant.value.clone()).ok()?;
                    // Behind a key in brackets the bracket follows.
                    let dotted = constant.span().end_offset == get.span().end_offset;
                    if dotted { Key::Dotted(number) } else { Key::Index(number) }
                }
            };
            let mut path = path(&get.expr)?;
            path.keys.push(key);
            path.span.end = span.end;
            Some(path)
        }
        _ => None,
    }
}

/// A call of a function by its name, with the constant keys behind it: `lookup('site', host).city`.
#[derive(Debug)]
pub struct NamedCall<'a, 's> {
    /// The function.
    pub name: &'a str,
    /// Its arguments.
    pub args: &'a [CallArg<'s>],
    /// The keys, the first one first.
    pub keys: Vec<Key<'a>>,
    /// The call without the keys.
    pub call: &'a Call<'s>,
}

/// The call that an expression is.
pub fn named_call<'a, 's>(expr: &'a Expr<'s>) -> Option<NamedCall<'a, 's>> {
    match expr {
        Expr::Call(call) => {
            let Expr::Var(var) = &call.expr else { return None };
            Some(NamedCall { name: var.id, args: &call.args, keys: Vec::new(), call })
        }
        Expr::GetAttr(get) => {
            let mut call = named_call(&get.expr)?;
            call.keys.push(Key::Name(Cow::Borrowed(get.name)));
            Some(call)
        }
        Expr::GetItem(get) => {
            let mut call = named_call(&get.expr)?;
            let Expr::Const(constant) = &get.subscript_expr else { return None };
            call.keys.push(match constant.value.as_str() {
                Some(name) => Key::Name(Cow::Borrowed(name)),
                None if !constant.value.is_integer() => return None,
                None => Key::Index(i128::try_from(constant.value.clone()).ok()?),
            });
            Some(call)
        }
        _ => None,
    }
}

/// Keys as one name, with points between.
pub fn joined(keys: &[Key<'_>]) -> String {
    let text = |key: &Key<'_>| match key {
        Key::Name(name) => name.to_string(),
        Key::Index(number) | Key::Dotted(number) => number.to_string(),
    };
    keys.iter().map(text).collect::<Vec<_>>().join(".")
}

/// The paths in some expressions, each with all of its constant keys.
pub fn paths<'a>(exprs: &[&'a Expr<'_>]) -> Vec<Path<'a>> {
    let mut found = Vec::new();
    let mut open: Vec<&'a Expr<'_>> = exprs.to_vec();
    while let Some(expr) = open.pop() {
        match path(expr) {
            Some(path) => found.push(path),
            None => open.extend(called_by(expr).unwrap_or_else(|| parts(expr))),
        }
    }
    found
}

/// Where an expression starts. The parser's own span of `a.b.c` starts at the last key but one.
fn start(expr: &Expr<'_>) -> usize {
    match expr {
        Expr::GetAttr(get) => start(&get.expr),
        Expr::GetItem(get) => start(&get.expr),
        Expr::Slice(slice) => start(&slice.expr),
        Expr::Call(call) => start(&call.expr),
        other => range(other.span()).start,
    }
}

/// The arguments of a call by name. The name of a function is no variable.
fn called_by<'a, 's>(expr: &'a Expr<'s>) -> Option<Vec<&'a Expr<'s>>> {
    match expr {
        Expr::Call(call) if matches!(call.expr, Expr::Var(_)) => {
            Some(call.args.iter().map(argument).collect())
        }
        _ => None,
    }
}

/// The first argument of a call, if it is a text.
pub fn first_text<'a>(args: &'a [CallArg<'_>]) -> Option<&'a str> {
    match args.first()? {
        CallArg::Pos(Expr::Const(constant)) => constant.value.as_str(),
        _ => None,
    }
}

/// A call.
pub struct Called<'a, 's> {
    /// What is called.
    pub what: Callee<'s>,
    /// Its arguments.
    pub args: &'a [CallArg<'s>],
    /// The constant keys behind it, of a function.
    pub keys: Vec<Key<'a>>,
    /// Its bytes in the source; for a filter or test from its name on.
    pub within: Range<usize>,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callee<'s> {
    /// A filter or test.
    Named(As, &'s str),
    /// `name(...)`
    Function(&'s str),
    /// `x.name(...)`
    Method(&'s str),
    /// Anything else, such as `x[1](...)`.
    Value,
}

/// All calls in some expressions.
pub fn calls<'a, 's>(exprs: &[&'a Expr<'s>]) -> Vec<Called<'a, 's>> {
    let mut found = Vec::new();
    let mut open: Vec<&'a Expr<'s>> = exprs.to_vec();
    while let Some(expr) = open.pop() {
        if let Some(call) = named_call(expr).filter(|call| !call.keys.is_empty()) {
            let var = if let Expr::Var(var) = &call.call.expr { var.id } else { "" };
            let within = start(expr)..range(expr.span()).end;
            found.push(Called { what: Callee::Function(var), args: call.args, keys: call.keys, within });
            open.extend(call.args.iter().map(argument));
            continue;
        }
        match expr {
            Expr::Filter(f) => {
                let what = Callee::Named(As::Filter, f.name);
                found.push(Called { what, args: &f.args, keys: Vec::new(), within: range(f.span()) });
            }
            Expr::Test(t) => {
                let what = Callee::Named(As::Test, t.name);
                found.push(Called { what, args: &t.args, keys: Vec::new(), within: range(t.span()) });
            }
            Expr::Call(c) => {
                let what = match &c.expr {
                    Expr::Var(var) => Callee::Function(var.id),
                    // The loop's own methods.
                    Expr::GetAttr(get) => match &get.expr {
                        Expr::Var(var) if var.id == "loop" => Callee::Function("loop"),
                        _ => Callee::Method(get.name),
                    },
                    _ => Callee::Value,
                };
                let within = start(&c.expr)..range(c.span()).end;
                found.push(Called { what, args: &c.args, keys: Vec::new(), within });
            }
            _ => {}
        }
        open.extend(parts(expr));
    }
    found
}

/// The operands of all comparisons in some expressions, and whether they are compared with `!=` or `not in`.
pub fn comparisons<'a, 's>(exprs: &[&'a Expr<'s>]) -> Vec<(&'a Expr<'s>, &'a Expr<'s>, bool)> {
    let mut found = Vec::new();
    let mut open: Vec<&'a Expr<'s>> = exprs.to_vec();
    while let Some(expr) = open.pop() {
        match expr {
            // `x not in y`
            Expr::UnaryOp(unary) => {
                if let Expr::BinOp(op) = &unary.expr
                    && matches!((&unary.op, op.op), (UnaryOpKind::Not, BinOpKind::In))
                {
                    found.push((&op.left, &op.right, true));
                    open.extend([&op.left, &op.right]);
                    continue;
                }
            }
            Expr::BinOp(op) => match op.op {
                BinOpKind::Eq
                | BinOpKind::Lt
                | BinOpKind::Lte
                | BinOpKind::Gt
                | BinOpKind::Gte
                | BinOpKind::In => {
                    found.push((&op.left, &op.right, false));
                }
                BinOpKind::Ne => found.push((&op.left, &op.right, true)),
                _ => {}
            },
            Expr::Compare(chain) => {
                let mut left = &chain.expr;
                for op in &chain.ops {
                    found.push((left, &op.expr, matches!(op.op, CompareOpKind::Ne | CompareOpKind::NotIn)));
                    left = &op.expr;
                }
            }
            _ => {}
        }
        open.extend(parts(expr));
    }
    found
}

/// Whether an expression is a number, or a list of numbers.
pub fn is_number(expr: &Expr<'_>) -> bool {
    let all = |items: &[Expr<'_>]| !items.is_empty() && items.iter().all(is_number);
    match expr {
        Expr::Const(constant) => constant.value.kind() == ValueKind::Number,
        Expr::UnaryOp(unary) => matches!(unary.op, UnaryOpKind::Neg) && is_number(&unary.expr),
        Expr::List(list) => all(&list.items),
        Expr::Tuple(tuple) => all(&tuple.items),
        _ => false,
    }
}

/// The texts that an operand of a comparison is, or consists of.
pub fn texts<'a>(expr: &'a Expr<'_>) -> Vec<&'a str> {
    match expr {
        Expr::Const(constant) => constant.value.as_str().into_iter().collect(),
        Expr::List(list) => list.items.iter().flat_map(texts).collect(),
        Expr::Tuple(tuple) => tuple.items.iter().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The constants that an expression can result in, for checks of what it may give. Conditions decide at run time,
/// so all branches count.
pub fn results<'a, 's>(expr: &'a Expr<'s>) -> Vec<(&'a Const, Range<usize>)> {
    let mut found = Vec::new();
    let mut open: Vec<&'a Expr<'s>> = vec![expr];
    while let Some(expr) = open.pop() {
        match expr {
            Expr::Const(constant) => found.push((&**constant, range(constant.span()))),
            Expr::IfExpr(choice) => {
                open.push(&choice.true_expr);
                open.extend(choice.false_expr.as_ref());
            }
            Expr::BinOp(op) if matches!(op.op, BinOpKind::ScOr | BinOpKind::ScAnd) => {
                let ends_with = matches!(op.op, BinOpKind::ScOr);
                open.push(&op.right);
                // `x or y` gives x only where it is true, `x and y` only where it is false.
                let left_never = matches!(&op.left, Expr::Const(c) if c.value.is_true() != ends_with);
                if !left_never {
                    open.push(&op.left);
                }
            }
            Expr::Filter(filter) if matches!(filter.name, "default" | "d") => {
                open.extend(filter.expr.as_ref());
                open.extend(filter.args.first().map(argument));
            }
            _ => {}
        }
    }
    found
}

/// A constant as the language writes it, if it is a scalar.
pub fn constant(value: &Value) -> Option<String> {
    Some(match value.kind() {
        ValueKind::Bool => if value.is_true() { "true" } else { "false" }.to_owned(),
        ValueKind::Number => match i128::try_from(value.clone()) {
            Ok(number) if value.is_integer() => number.to_string(),
            _ => format!("{:?}", f64::try_from(value.clone()).ok()?),
        },
        ValueKind::String => quoted(value.as_str()?),
        _ => return None,
    })
}

/// A string as the language writes it.
pub fn quoted(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        match c {
            '\'' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

/// The bytes of the source that a span covers.
pub fn range(span: Span) -> Range<usize> {
    span.start_offset as usize..span.end_offset as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path_of(source: &str) -> Option<(String, Vec<Key<'static>>, String)> {
        let parsed = expression(source).unwrap();
        let found = path(&parsed)?;
        let keys = found.keys.into_iter().map(|key| match key {
            Key::Name(name) => Key::Name(name.into_owned().into()),
            Key::Index(number) => Key::Index(number),
            Key::Dotted(number) => Key::Dotted(number),
        });
        Some((found.base.to_owned(), keys.collect(), source[found.span].to_owned()))
    }

    #[test]
    fn paths_with_constant_keys() {
        let name = |n: &'static str| Key::Name(n.into());
        for (source, base, keys) in [
            ("ifDescr", "ifDescr", vec![]),
            ("v[1]", "v", vec![Key::Index(1)]),
            ("ifDescr.3", "ifDescr", vec![Key::Dotted(3)]),
            ("v['a.3']", "v", vec![name("a.3")]),
            ("sd['id'].name", "sd", vec![name("id"), name("name")]),
            ("a.b['c'][2].d", "a", vec![name("b"), name("c"), Key::Index(2), name("d")]),
        ] {
            assert_eq!(path_of(source), Some((base.to_owned(), keys, source.to_owned())));
        }
        assert_eq!(path_of("v[x]"), None);
        assert_eq!(path_of("v[1.5]"), None);
        assert_eq!(path_of("v[-1]"), None);
    }

    #[test]
    fn constants_that_an_expression_can_result_in() {
        for (source, expected) in [
            ("'ok' if x else 'critical'", vec!["critical", "ok"]),
            ("'' or y or 'bad'", vec!["bad"]),
            ("x and 2", vec!["2"]),
            ("x|default('unknown')", vec!["unknown"]),
            ("x == 'a' and y in ['b']", vec![]),
            ("{'a': 'ok'}[x]", vec![]),
        ] {
            let parsed = expression(source).unwrap();
            let mut found: Vec<String> =
                results(&parsed).into_iter().map(|(constant, _)| constant.value.to_string()).collect();
            found.sort();
            assert_eq!(found, expected, "{source}");
        }
    }
}
