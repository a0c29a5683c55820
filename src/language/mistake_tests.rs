//! Sources with a mistake of syntax, each of a kind: the mistake is said where it is, and what to write.

use super::mistakes::{Form, mistake};
use super::syntax;

fn said(form: Form, source: &str) -> Option<super::mistakes::Mistake> {
    let error = match form {
        Form::Template => syntax::template(source).err(),
        Form::Expression => syntax::expression(source).err(),
    }?;
    let message = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
    Some(mistake(form, source, error.range().unwrap_or(0..0), &message))
}

#[test]
fn what_is_meant_is_said() {
    let mut all = String::new();
    for (form, sources) in [
        (
            Form::Expression,
            &[
                "a << 3",
                "a >> 3",
                "a <> 3",
                "a =< 3",
                "a => 3",
                "a = 3",
                "a === 3",
                "a !== 3",
                "a =~ 'x'",
                "a && b",
                "a || b",
                "!a",
                "a == 'up",
                "(a == 3",
                "a == 3)",
                "a in ['x', 'y'",
                "a and",
                "",
                " ",
                "a b",
                "a in ('x', 'y']",
                "a|",
                "x == 'a << b' and a << 3",
            ][..],
        ),
        (
            Form::Template,
            &[
                "x {{ a }",
                "x {{ a",
                "{{ a } {{ b }}",
                "{{ a {{ b }}",
                "{{ }}",
                "x {{ a | }}",
                "{{ a << 3 }}",
                "{% if a %}b",
                "{% if a }b{% endif %}",
                "{% if a == 'b %}c{% endif %}",
                "a {# b",
                "{{ f(a }}",
                "{{ {'a': 1}[b }}",
                "{{ a }} {{ b = 3 }}",
                "{% if a %}{% else %}",
                "{% iff a %}b{% endif %}",
            ][..],
        ),
    ] {
        for source in sources {
            let mistake = said(form, source).unwrap_or_else(|| panic!("{source} parses"));
            let (begin, what) = (mistake.within.start, (mistake.message, mistake.hint));
            all.push_str(&format!("{source:32} {begin:2}: {}; {}\n", what.0, what.1));
        }
    }
    insta::assert_snapshot!(all);
}

/// An expression alone has no tags: whoever writes some is told so, with the expression where that can be told.
#[test]
fn an_expression_that_is_written_as_a_template_is_shown_without_tags() {
    for (source, hint) in [
        ("{{ 'ok' if x else 'critical' }}", "leave {{ }} out: 'ok' if x else 'critical'"),
        ("  {{x == 3}} ", "leave {{ }} out: x == 3"),
        ("{{ a }}-{{ b }}", "join parts with ~"),
        ("{% if x %}ok{% endif %}", "choose with: 'a' if x == 1 else 'b'"),
        ("x == {{ y }}", "leave {{ }} out, join"),
        ("ok {{ x }}", "leave {{ }} out, join"),
        ("{{ }}", "leave {{ }} out, join"),
        ("{{ x ", "leave {{ }} out, join"),
    ] {
        let mistake = said(Form::Expression, source).unwrap_or_else(|| panic!("{source} parses"));
        assert!(mistake.message.contains("is an expression, not a template"), "{source}: {mistake:?}");
        assert!(mistake.hint.contains(hint), "{source}: {mistake:?}");
        if let Some(expression) = mistake.hint.strip_prefix("leave {{ }} out: ") {
            assert_eq!(said(Form::Expression, expression), None, "{source}");
        }
    }
    // In a text they are no tags.
    let mistake = said(Form::Expression, "x = '{{ y }}'").unwrap();
    assert!(mistake.message.contains("operator"), "{mistake:?}");
}

#[test]
fn whatever_is_left_out_of_a_source_it_is_said_where_and_what_to_write() {
    let sources = [
        (
            Form::Expression,
            "(a == 'x' or b in ['up', 'down']) and c|default('-') is matching('^[a-z]+$') and d[1] != 3",
        ),
        (
            Form::Template,
            "x {{ a|default('-') }} {% if b == 'up' %}y{% else %}{{ c[2] }}{% endif %} {{ {'u': 1}[d] }}",
        ),
    ];
    for (form, whole) in sources {
        assert_eq!(said(form, whole), None);
        for (at, c) in whole.char_indices().filter(|(_, c)| c.is_ascii_punctuation()) {
            let source = format!("{}{}", &whole[..at], &whole[at + c.len_utf8()..]);
            let twice = format!("{}{c}{}", &whole[..at], &whole[at..]);
            for source in [source, twice] {
                let Some(mistake) = said(form, &source) else { continue };
                assert!(!mistake.hint.is_empty() && !mistake.message.is_empty(), "{source}");
                // Never the end alone: of what was left open the beginning is told.
                let begin = mistake.within.start;
                assert!(begin < source.len() && source.is_char_boundary(begin), "{source}: {mistake:?}");
            }
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_has_its_mistake_within(source in "[a-z0-9 .,'\"(){}%#|=<>!&~\\\\ü\\[\\]-]{0,40}") {
        for form in [Form::Template, Form::Expression] {
            if let Some(mistake) = said(form, &source) {
                let within = mistake.within;
                proptest::prop_assert!(within.start <= within.end && !mistake.hint.is_empty(), "{}", source);
                proptest::prop_assert!(within.end <= source.len() + 1, "{} {:?}", source, within);
            }
        }
    }
}
