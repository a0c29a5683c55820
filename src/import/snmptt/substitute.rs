//! Translates the `$` variables of FORMAT, EXEC and MATCH.

use crate::import::snmptt::ini::{Ini, Names};
use crate::import::snmptt::left_out::LeftOut;
use crate::import::snmptt::write::template_text;
use crate::language::syntax::quoted;

/// A part of a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Text.
    Text(String),
    /// A variable.
    Variable(Variable),
}

/// A variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Variable {
    /// `$1`
    Value(usize),
    /// `$v1`
    Name(usize),
    /// `$+1`
    NameAndValue(usize),
    /// `$-1`
    NameTypeAndValue(usize),
    /// `$*`
    Values,
    /// `$+*`
    NamesAndValues,
    /// `$-*`
    NamesTypesAndValues,
    /// `$p1`, `$pu1`
    Preexec(usize),
    /// One or two letters, or a sign.
    Word(&'static str),
}

impl Variable {
    /// How many varbinds a trap must have so that it is not empty.
    pub fn varbinds(self) -> usize {
        match self {
            Variable::Value(at)
            | Variable::Name(at)
            | Variable::NameAndValue(at)
            | Variable::NameTypeAndValue(at) => at,
            Variable::Values | Variable::NamesAndValues | Variable::NamesTypesAndValues => 1,
            Variable::Preexec(_) | Variable::Word(_) => 0,
        }
    }
}

/// Words that start with another word come before it.
const WORDS: [&str; 35] = [
    "aA", "aR", "ar", "Be", "BE", "Bn", "Bu", "Fa", "Ff", "Fn", "Fr", "Ft", "Fz", "A", "c", "C", "D", "e",
    "E", "G", "H", "i", "j", "N", "o", "O", "r", "R", "s", "S", "T", "x", "X", "#", "@",
];

/// Splits a text into its parts. Unknown variables stay text.
pub fn pieces(text: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        plain.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            plain.push('$');
            rest = after;
        } else if let Some((variable, length)) = variable(rest) {
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Variable(variable));
            rest = &rest[length..];
        } else {
            plain.push('$');
        }
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    pieces
}

/// The variable at the start of a text, and its length.
fn variable(text: &str) -> Option<(Variable, usize)> {
    let numbered = |prefix: &str, kind: fn(usize) -> Variable| {
        let rest = text.strip_prefix(prefix)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = rest[..digits].parse().ok().filter(|n| *n > 0)?;
        Some((kind(number), prefix.len() + digits))
    };
    let found = numbered("", Variable::Value)
        .or_else(|| numbered("v", Variable::Name))
        .or_else(|| numbered("+", Variable::NameAndValue))
        .or_else(|| numbered("-", Variable::NameTypeAndValue))
        .or_else(|| numbered("pu", Variable::Preexec))
        .or_else(|| numbered("p", Variable::Preexec));
    if found.is_some() {
        return found;
    }
    let all =
        [("*", Variable::Values), ("+*", Variable::NamesAndValues), ("-*", Variable::NamesTypesAndValues)];
    if let Some((sign, variable)) = all.into_iter().find(|(sign, _)| text.starts_with(sign)) {
        return Some((variable, sign.len()));
    }
    let word = WORDS.into_iter().find(|word| text.starts_with(word))?;
    Some((Variable::Word(word), word.len()))
}

/// The meaning of the variables of one EVENT.
pub struct Meaning<'e> {
    /// snmptt's settings.
    pub ini: &'e Ini,
    /// The name of the EVENT.
    pub name: &'e str,
    /// Its OID as numbers, with its leading dot and its wildcard.
    pub oid: &'e str,
    /// Its category.
    pub category: &'e str,
    /// Its severity.
    pub severity: &'e str,
    /// The text of `$D`.
    pub description: &'e str,
    /// The template of FORMAT for `$Fz` in EXEC; none in FORMAT itself.
    pub format: Option<&'e str>,
}

/// The translation of a variable.
enum Translation {
    /// A constant text.
    Text(String),
    /// Texts and expressions to concatenate.
    Parts(Vec<Part>),
    /// A part of a template that is no expression.
    Block(String),
}

enum Part {
    Text(String),
    Expression(String),
}

impl Part {
    fn in_template(&self) -> String {
        match self {
            Part::Text(text) => template_text(text),
            Part::Expression(expression) => format!("{{{{ {expression} }}}}"),
        }
    }
}

impl Meaning<'_> {
    /// The template for a text. `left_out` gets what cannot be translated.
    pub fn template(&self, pieces: &[Piece], mut left_out: impl FnMut(LeftOut)) -> String {
        let mut template = String::new();
        for piece in pieces {
            match self.part(piece) {
                Ok(Translation::Text(text)) => template.push_str(&template_text(&text)),
                Ok(Translation::Parts(parts)) => {
                    let text = parts.iter().map(Part::in_template).collect();
                    template.push_str(&self.or_as_written(piece, text));
                }
                Ok(Translation::Block(block)) => template.push_str(&block),
                Err(error) => {
                    left_out(error);
                    if let Piece::Variable(Variable::Preexec(at)) = piece {
                        template.push_str(&format!("$p{at}"));
                    }
                }
            }
        }
        // The template engine removes one newline at the end.
        if template.ends_with('\n') {
            template.truncate(template.len() - 1);
            template.push_str("{{ '\\n' }}");
        }
        template
    }

    /// The template for a varbind. If the trap does not have it, snmptt leaves the variable as written in FORMAT; in
    /// EXEC the shell replaces it with nothing.
    fn or_as_written(&self, piece: &Piece, template: String) -> String {
        let (sign, at) = match piece {
            Piece::Variable(_) if self.ini.names != Names::Numbers || self.format.is_some() => {
                return template;
            }
            Piece::Variable(Variable::Value(at)) => return format!("{{{{ plain[{at}]|default('${at}') }}}}"),
            Piece::Variable(Variable::Name(at)) => ("v", at),
            Piece::Variable(Variable::NameAndValue(at)) => ("+", at),
            Piece::Variable(Variable::NameTypeAndValue(at)) => ("-", at),
            _ => return template,
        };
        format!("{{% if plain[{at}] is defined %}}{template}{{% else %}}${sign}{at}{{% endif %}}")
    }

    /// The expression for a text.
    ///
    /// # Errors
    ///
    /// [`LeftOut`], if it cannot be an expression.
    pub fn expression(&self, pieces: &[Piece]) -> Result<String, LeftOut> {
        let mut parts = Vec::new();
        for piece in pieces {
            match self.part(piece)? {
                Translation::Text(text) => parts.push(quoted(&text)),
                Translation::Parts(all) => parts.extend(all.into_iter().map(|part| match part {
                    Part::Text(text) => quoted(&text),
                    Part::Expression(expression) => expression,
                })),
                Translation::Block(_) => return Err(LeftOut::NoExpression),
            }
        }
        Ok(match parts.as_slice() {
            [] => "''".to_owned(),
            [one] if !one.contains(' ') => one.clone(),
            [one] => format!("({one})"),
            more => format!("({})", more.join(" ~ ")),
        })
    }

    fn part(&self, piece: &Piece) -> Result<Translation, LeftOut> {
        match piece {
            Piece::Text(text) => Ok(Translation::Text(text.clone())),
            Piece::Variable(variable) => self.translate(*variable),
        }
    }

    fn translate(&self, variable: Variable) -> Result<Translation, LeftOut> {
        let one = |expression: &str| Translation::Parts(vec![Part::Expression(expression.to_owned())]);
        let words = self.ini.names != Names::Numbers;
        let value = |at: &str| Part::Expression(format!("{}[{at}]", if words { "v" } else { "plain" }));
        // The name of a varbind: short, with its module, or as numbers.
        let name = |at: &str| match self.ini.names {
            Names::Numbers => vec![Part::Text(".".into()), Part::Expression(format!("oids[{at}]"))],
            Names::Short => vec![Part::Expression(format!("names[{at}]|split('::')|last"))],
            Names::Qualified => vec![Part::Expression(format!("names[{at}]"))],
        };
        let with_value = |at: &str, with_type: bool| {
            let mut parts = name(at);
            if with_type && words {
                parts.extend([
                    Part::Text(" (".into()),
                    Part::Expression(format!("types[{at}]")),
                    Part::Text("):".into()),
                ]);
            } else {
                parts.push(Part::Text(if with_type { " (unknown):" } else { ":" }.into()));
            }
            parts.push(value(at));
            parts
        };
        let each = |parts: Vec<Part>| {
            let inner: String = parts.iter().map(Part::in_template).collect();
            let between = template_text(&self.ini.separator);
            Translation::Block(format!(
                "{{% for n in v %}}{inner}{{% if not loop.last %}}{between}{{% endif %}}{{% endfor %}}"
            ))
        };
        Ok(match variable {
            Variable::Value(at) => Translation::Parts(vec![value(&at.to_string())]),
            Variable::Name(at) => Translation::Parts(name(&at.to_string())),
            Variable::NameAndValue(at) => Translation::Parts(with_value(&at.to_string(), false)),
            Variable::NameTypeAndValue(at) => Translation::Parts(with_value(&at.to_string(), true)),
            Variable::Values if words && self.ini.separator == " " => one("text"),
            Variable::Values if words => each(vec![value("n")]),
            Variable::Values => one(&format!("plain|join({})", quoted(&self.ini.separator))),
            Variable::NamesAndValues => each(with_value("n", false)),
            Variable::NamesTypesAndValues => each(with_value("n", true)),
            Variable::Preexec(_) => return Err(LeftOut::PreexecResult),
            Variable::Word(word) => self.word(word)?,
        })
    }

    fn word(&self, word: &'static str) -> Result<Translation, LeftOut> {
        let one = |expression: &str| Translation::Parts(vec![Part::Expression(expression.to_owned())]);
        let text = |text: &str| Translation::Text(text.to_owned());
        let time = |format: &str| one(&format!("received|strftime({})", quoted(format)));
        let dotted = |name: &str, of: &str| match self.ini.names {
            Names::Numbers => Translation::Block(format!("{{% if {of} %}}.{{{{ {of} }}}}{{% endif %}}")),
            Names::Short => one(&format!("({name} or '')|split('::')|last")),
            Names::Qualified => one(name),
        };
        // The last number of the trap's OID: a constant unless the EVENT has a wildcard.
        let last = match self.oid.rsplit_once('.') {
            Some((_, "*")) | None => one("oid|split('.')|last"),
            Some((_, last)) => text(last),
        };
        let generic = self.oid.starts_with(".1.3.6.1.6.3.1.1.5");
        Ok(match word {
            "A" => one("host"),
            "r" | "R" => one("source_host"),
            "aA" => one("agent"),
            "aR" | "ar" => one("source"),
            "Bu" => one("user"),
            "Bn" => one("context"),
            "Be" | "BE" => return Err(LeftOut::EngineId),
            "c" => text(self.category),
            "s" => text(self.severity),
            "N" => text(self.name),
            "i" => text(self.oid),
            "C" => one("community"),
            "E" => dotted("enterprise", "enterprise_oid"),
            "e" => Translation::Block("{% if enterprise_oid %}.{{ enterprise_oid }}{% endif %}".into()),
            "j" => one("(enterprise_oid or '')|split('.')|last"),
            "O" if self.ini.names == Names::Short => one("trap|split('::')|last"),
            "O" if self.ini.names == Names::Qualified => one("trap"),
            "O" | "o" => Translation::Parts(vec![Part::Text(".".into()), Part::Expression("oid".into())]),
            "G" if generic => last,
            "S" if generic => text("0"),
            "G" => text("0"),
            "S" => last,
            "H" => text(&self.ini.system_name),
            "T" => one(if self.ini.names == Names::Numbers { "plain_uptime" } else { "uptime" }),
            "x" => time(&self.ini.date_format),
            "X" => time(&self.ini.time_format),
            "@" => one("received"),
            "#" => one("v|length"),
            "D" => text(self.description),
            "Fa" => text("\u{7}"),
            "Ff" => text("\u{c}"),
            "Fn" => text("\n"),
            "Fr" => text("\r"),
            "Ft" => text("\t"),
            _ => Translation::Block(self.format.unwrap_or_default().to_owned()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> String {
        let ini = Ini { system_name: "nms".into(), ..Ini::default() };
        let meaning = Meaning {
            ini: &ini,
            name: "linkDown",
            oid: ".1.3.6.1.6.3.1.1.5.3",
            category: "Status Events",
            severity: "Normal",
            description: "",
            format: None,
        };
        meaning.template(&pieces(text), |error| panic!("{error}"))
    }

    #[test]
    fn every_variable_has_its_meaning() {
        let all = "$A $aA $Bu $Bn $c $C $D $E $e $j $Fa$Ff$Fn$Fr$Ft $Fz $G $S $H $N $i $O $o $R $r $aR $ar $s $T $X $x $# $$ $@ \
                   $1 $+2 $-3 $v4 $* $+* $-* $10";
        insta::assert_snapshot!(said(all));
    }

    #[test]
    fn dollars_and_what_stands_for_nothing() {
        for (text, is) in [
            ("costs 5$ or $$5 or $$$1", "costs 5$ or $5 or ${{ plain[1]|default('$1') }}"),
            ("$a $0 $F $v $B {{ x }}", "$a $0 $F $v $B {{ '{{' }} x }}"),
            ("end$Fn", "end{{ '\\n' }}"),
        ] {
            assert_eq!(said(text), is, "{text}");
        }
    }
}
