//! Reads syslog messages as their receivers do, to see which fields they have.

use crate::sinks::piece::Format;

/// A name and a value.
type Field = (String, String);

/// Whether a message has other fields than one with marks, or its values leave their places.
pub(super) fn differs(
    marked: &str,
    text: &str,
    format: Format,
    part: impl Fn(&str, &str) -> Result<(), String>,
) -> Result<(), String> {
    let read = |text: &str| fields(text, format).ok_or_else(|| format!("not readable: {text}"));
    let (marked, fields) = (read(marked)?, read(text)?);
    let mut marked = marked.iter();
    for (name, text) in &fields {
        // Fields without a value are left out.
        let found = marked.find(|(known, _)| known == name);
        let (_, marked) = found.ok_or_else(|| format!("another field '{name}'"))?;
        // The names of an event's own fields are values here.
        if !name.contains("fields") && !name.contains("labels") {
            part(marked, text)?;
        }
    }
    Ok(())
}

/// The fields of a message: those of its header by their places.
fn fields(text: &str, format: Format) -> Option<Vec<Field>> {
    let mut header = text.splitn(7, ' ');
    let mut fields: Vec<Field> = Vec::new();
    for name in ["priority", "time", "", "app", "process", "msgid"] {
        let value = header.next()?;
        // A host that does not fit is left out there.
        if !name.is_empty() {
            fields.push((name.to_owned(), value.to_owned()));
        }
    }
    let rest = header.next()?;
    match format {
        Format::StructuredData => structured(rest, &mut fields)?,
        Format::Cef => cef(rest, &mut fields)?,
        _ => leef(rest, &mut fields)?,
    }
    Some(fields)
}

/// RFC 5424, section 6.3.
fn structured(text: &str, fields: &mut Vec<Field>) -> Option<()> {
    let (id, mut rest) = text.strip_prefix('[')?.split_once(' ')?;
    fields.push(("sd-id".to_owned(), id.to_owned()));
    loop {
        let (name, value) = rest.split_once("=\"")?;
        let (value, behind) = unescaped(value, &['"'], &['"', '\\', ']'])?;
        fields.push((name.trim_start().to_owned(), value));
        rest = behind.strip_prefix('"')?;
        if let Some(element) = rest.strip_prefix("][") {
            let (id, behind) = element.split_once(' ')?;
            fields.push(("sd-id".to_owned(), id.to_owned()));
            rest = behind;
            continue;
        }
        if let Some(text) = rest.strip_prefix("] ") {
            fields.push(("text".to_owned(), text.to_owned()));
            return Some(());
        }
    }
}

/// Header fields of CEF, then its extension, where a name is what stands between a space and `=`.
fn cef(text: &str, fields: &mut Vec<Field>) -> Option<()> {
    let mut rest = text.strip_prefix("- CEF:0|")?;
    for name in ["vendor", "product", "version", "class", "name", "severity"] {
        let (value, behind) = unescaped(rest, &['|'], &['|', '\\'])?;
        fields.push((name.to_owned(), value));
        rest = behind.strip_prefix('|')?;
    }
    let mut name = String::new();
    loop {
        let (value, behind) = unescaped(rest, &['='], &['=', '\\', 'n']).unwrap_or((rest.to_owned(), ""));
        let Some(behind) = behind.strip_prefix('=') else {
            fields.push((name, rest.replace("\\=", "=").replace("\\\\", "\\")));
            return Some(());
        };
        match value.rsplit_once(' ') {
            Some((value, next)) => {
                fields.push((name, value.to_owned()));
                name = next.to_owned();
            }
            None if name.is_empty() => name = value,
            None => return None,
        }
        rest = behind;
    }
}

/// Header fields of LEEF, then fields between tabs.
fn leef(text: &str, fields: &mut Vec<Field>) -> Option<()> {
    let mut header = text.strip_prefix("- LEEF:2.0|")?.splitn(6, '|');
    for name in ["vendor", "product", "version", "event", "delimiter"] {
        fields.push((name.to_owned(), header.next()?.to_owned()));
    }
    for field in header.next()?.split('\t') {
        let (name, value) = field.split_once('=')?;
        fields.push((name.to_owned(), value.to_owned()));
    }
    Some(())
}

/// A value up to an end that is not escaped, and what stands from there on.
fn unescaped<'t>(text: &'t str, ends: &[char], escapes: &[char]) -> Option<(String, &'t str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next().map(|(_, c)| c).filter(|c| escapes.contains(c))?),
            c if ends.contains(&c) => return Some((value, &text[at..])),
            c => value.push(c),
        }
    }
    None
}
