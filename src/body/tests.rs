use proptest::prelude::*;

use super::bodies::likely;
use super::field::{DEEPEST, LONGEST_KEY, MOST_FIELDS};
use super::*;

/// The fields of a text, with JSON as it is.
fn fields(kind: Form, text: &str) -> Option<Vec<(String, String)>> {
    let pair = |(key, value): &(Text, Text)| (key.get(text).to_owned(), value.get(text).to_owned());
    Some(match Body::read(kind, text)? {
        Body::Pairs(pairs) => pairs.iter().map(pair).collect(),
        Body::Values(values) => {
            values.iter().enumerate().map(|(at, v)| ((at + 1).to_string(), v.get(text).to_owned())).collect()
        }
        Body::Tree(item) => vec![(String::new(), item.to_json())],
    })
}

fn all(kind: Form, text: &str, want: &[(&str, &str)]) {
    let got = fields(kind, text).unwrap_or_default();
    let got: Vec<(&str, &str)> = got.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    assert_eq!(got, want, "{text}");
}

#[test]
fn pairs_of_many_products() {
    // FortiOS 7.4, log 0100032002.
    all(
        Form::Kv,
        r#"date=2026-11-20 time=12:00:01 devname="fw1" logdesc="Admin login failed" user="ops" ui="https(203.0.113.9)" action="login" status="failed" msg="Administrator ops login failed from https(203.0.113.9) because of \"invalid\" password""#,
        &[
            ("date", "2026-11-20"),
            ("time", "12:00:01"),
            ("devname", "fw1"),
            ("logdesc", "Admin login failed"),
            ("user", "ops"),
            ("ui", "https(203.0.113.9)"),
            ("action", "login"),
            ("status", "failed"),
            ("msg", "Administrator ops login failed from https(203.0.113.9) because of \"invalid\" password"),
        ],
    );
    // netfilter: empty values and words that are no pairs.
    all(
        Form::Kv,
        "[UFW BLOCK] IN=eth0 OUT= SRC=203.0.113.9 DF PROTO=TCP SYN URGP=0",
        &[("IN", "eth0"), ("OUT", ""), ("SRC", "203.0.113.9"), ("PROTO", "TCP"), ("URGP", "0")],
    );
    // Check Point.
    all(
        Form::Kv,
        r#"[action:"Accept"; flags:"411908"; ifdir:"inbound"; src:"192.0.2.5"]"#,
        &[("action", "Accept"), ("flags", "411908"), ("ifdir", "inbound"), ("src", "192.0.2.5")],
    );
    all(Form::Kv, "a=b c, d=e f,g=h", &[("a", "b c"), ("d", "e f"), ("g", "h")]);
    all(Form::Kv, "a=1|b=2 3|c=", &[("a", "1"), ("b", "2 3"), ("c", "")]);
    all(Form::Kv, "a=1; b=x y;c=2", &[("a", "1"), ("b", "x y"), ("c", "2")]);
    all(Form::Kv, "a=\"1\", b=\"2, 3\", c=4", &[("a", "1"), ("b", "2, 3"), ("c", "4")]);
    all(Form::Kv, "user=ops", &[("user", "ops")]);
    all(Form::Kv, r#"path="C:\temp" end="cut"#, &[("path", r"C:\temp"), ("end", "cut")]);
    all(Form::Kv, "no pair here: none = of ==", &[]);
}

/// Who fills a text that a device logs cannot change what stands before it.
#[test]
fn the_first_of_equal_keys_holds() {
    all(Form::Kv, r#"user="ops" msg="x" user="root""#, &[("user", "ops"), ("msg", "x")]);
    all(
        Form::Cef,
        "CEF:0|V|P|1|2|Name|5|act=block act=allow name=Other severity=0",
        &[
            ("version", "0"),
            ("deviceVendor", "V"),
            ("deviceProduct", "P"),
            ("deviceVersion", "1"),
            ("deviceEventClassId", "2"),
            ("name", "Name"),
            ("severity", "5"),
            ("act", "block"),
        ],
    );
    assert_eq!(fields(Form::Json, r#"{"a":1,"a":2}"#).unwrap()[0].1, r#"{"a":1}"#);
}

#[test]
fn cef_with_escapes_and_labels() {
    let line = r"CEF:0|Security|threat\|manager|1.0|100|worm stopped|10|src=203.0.113.9 msg=path C:\\tmp a\=b url=http://x/?q=1 cs1=a b cs1Label=Reason two=x\ny ";
    let got = fields(Form::Cef, line).unwrap();
    let of = |key: &str| got.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str());
    assert_eq!(of("deviceProduct"), Some("threat|manager"));
    assert_eq!(of("src"), Some("203.0.113.9"));
    assert_eq!(of("msg"), Some(r"path C:\tmp a=b"));
    assert_eq!(of("url"), Some("http://x/?q=1"));
    assert_eq!((of("cs1"), of("Reason")), (Some("a b"), Some("a b")));
    assert_eq!(of("two"), Some("x\ny"));
    // A label takes the place of no other field.
    let got = fields(Form::Cef, "CEF:0|V|P|1|2|N|5|act=block cs1=allow cs1Label=act").unwrap();
    assert_eq!(got.iter().filter(|(name, _)| name == "act").count(), 1);
    assert_eq!(got[7], ("act".to_owned(), "block".to_owned()));
    assert_eq!(Body::read(Form::Cef, "CEF is a format"), None);
}

#[test]
fn leef_names_its_delimiter() {
    let wanted = [("src", "192.0.2.5"), ("usrName", "a b"), ("sev", "5")];
    for (head, between) in [
        ("LEEF:1.0|Microsoft|MSExchange|2016|15345|", "\t"),
        ("LEEF:2.0|Microsoft|MSExchange|2016|15345|^|", "^"),
        ("LEEF:2.0|Microsoft|MSExchange|2016|15345|x5E|", "^"),
        ("LEEF:2.0|Microsoft|MSExchange|2016|15345|0x5E|", "^"),
        ("LEEF:2.0|Microsoft|MSExchange|2016|15345||", "\t"),
        ("LEEF:2.0|Microsoft|MSExchange|2016|15345|", "\t"),
        ("LEEF:1.0|Microsoft|MSExchange|2016|15345|", " "),
    ] {
        let line = format!("{head}src=192.0.2.5{between}usrName=a b{between}sev=5");
        let got = fields(Form::Leef, &line).unwrap();
        let got: Vec<(&str, &str)> = got.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        assert_eq!(got[..2], [("version", &line[5..8]), ("vendor", "Microsoft")]);
        assert_eq!(got[5..], wanted, "{line}");
    }
}

#[test]
fn values_by_position() {
    all(
        Form::Csv,
        r#"1,2026/11/20 12:00:01,0011,SYSTEM,"say ""no"", twice",,"open"#,
        &[
            ("1", "1"),
            ("2", "2026/11/20 12:00:01"),
            ("3", "0011"),
            ("4", "SYSTEM"),
            ("5", "say \"no\", twice"),
            ("6", ""),
            ("7", "open"),
        ],
    );
    assert_eq!(Body::read(Form::Csv, "no comma"), None);
}

#[test]
fn json_also_behind_cee() {
    let json = r#"{"a":{"b":[1,2.5,"x",null,true]},"big":18446744073709551615}"#;
    for text in [json.to_owned(), format!("@cee:{json}"), format!(" @cee: {json} ")] {
        let body = Body::read(Form::Json, &text).unwrap();
        let key = |key: &str| Step::Key(key.into());
        let get = |steps: &[Step]| body.get(steps, &text);
        assert_eq!(get(&[key("a"), key("b"), Step::At(2)]), Some(Found::Text("x")));
        assert_eq!(get(&[key("a"), key("b"), Step::At(0)]), Some(Found::Item(&Item::Integer(1))));
        assert_eq!(get(&[key("big")]), Some(Found::Item(&Item::Integer(18_446_744_073_709_551_615))));
        assert_eq!(get(&[key("a"), key("c")]), None);
        assert_eq!(fields(Form::Json, &text).unwrap()[0].1, json);
    }
    for other in ["", "5", "{\"a\":1", "{\"a\":1} text", "text {\"a\":1}", "[1,]", "@cee:"] {
        assert_eq!(Body::read(Form::Json, other), None, "{other}");
    }
}

#[test]
fn what_is_over_a_limit_is_left_out() {
    let pairs: Vec<String> = (0..1000).map(|n| format!("k{n}={n}")).collect();
    let body = fields(Form::Kv, &pairs.join(" ")).unwrap();
    assert_eq!(body.len(), MOST_FIELDS);
    let long = "k".repeat(LONGEST_KEY + 1);
    all(Form::Kv, &format!("a=1 {long}=2 b=3"), &[("a", "1"), ("b", "3")]);
    assert_eq!(fields(Form::Csv, &",".repeat(1000)).unwrap().len(), MOST_FIELDS);
    let many = format!(
        "{{\"{long}\":1,{}}}",
        (0..1000).map(|n| format!("\"k{n}\":{n}")).collect::<Vec<_>>().join(",")
    );
    let Some(Body::Tree(Item::Map(entries))) = Body::read(Form::Json, &many) else { panic!("no object") };
    assert_eq!((entries.len(), &*entries[0].0), (MOST_FIELDS, "k0"));
    // Deeper than the limit nothing is there; deeper than the parser goes, nothing at all.
    let deep = |levels: usize| format!("{}1{}", "[".repeat(levels), "]".repeat(levels));
    let steps = |levels: usize| vec![Step::At(0); levels];
    let body = Body::read(Form::Json, &deep(DEEPEST + 8)).unwrap();
    assert!(body.get(&steps(DEEPEST), "").is_some() && body.get(&steps(DEEPEST + 1), "").is_none());
    let _ = Body::read(Form::Json, &deep(100_000));
}

#[test]
fn a_message_is_taken_for_what_it_is() {
    for (text, kind) in [
        ("{\"a\":1}", Some(Form::Json)),
        ("CEF:0|V|P|1|2|N|5|a=b c=d", Some(Form::Cef)),
        ("LEEF:1.0|V|P|1|E|a=b", Some(Form::Leef)),
        ("type=\"event\" action=\"login\"", Some(Form::Kv)),
        ("1,2026/11/20 12:00:01,0011,SYSTEM,general", Some(Form::Csv)),
        ("Interface GigabitEthernet0/8, changed state to down", None),
    ] {
        assert_eq!(likely(text).map(|(kind, _)| kind), kind, "{text}");
    }
}

#[test]
fn a_body_is_read_when_it_is_asked_for() {
    let (bodies, message) = (Bodies::default(), "user=ops");
    assert!(Form::ALL.iter().all(|kind| !bodies.is_open(*kind)));
    assert!(bodies.open(Form::Kv, message).is_some());
    let open: Vec<Form> = Form::ALL.into_iter().filter(|kind| bodies.is_open(*kind)).collect();
    assert_eq!(open, [Form::Kv]);
    assert!(!bodies.clone().is_open(Form::Kv));
}

/// Texts that make readers look at the same octets again and again if they are not careful: such a reader takes minutes here.
#[test]
fn hostile_texts_are_read() {
    for piece in [
        "=", " ", ", ", "a ", "a=\"", "\\", "\\\"", "a=", "a= ", "a,", "\"\"", "k\u{e9}=", "|", "[",
        "{\"a\":", " a\\=b", "a: \"",
    ] {
        for start in ["", "a=b ", "a=", "CEF:0|", "CEF:0|||||||", "LEEF:2.0|||||x|", "[", "{\"a\":\"", "a=\""]
        {
            let text = format!("{start}{}", piece.repeat(20_000 / piece.len()));
            for kind in Form::ALL {
                let _ = Body::read(kind, &text);
            }
        }
    }
}

/// Texts of the signs that the forms are made of.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a",
        "key",
        "=",
        "=\"",
        ":\"",
        "\"",
        "\\",
        "\\\"",
        "\\=",
        "\\|",
        "|",
        ",",
        ";",
        " ",
        "  ",
        "\t",
        "é",
        "\u{1f600}",
        "CEF:0|",
        "LEEF:1.0|",
        "LEEF:2.0|",
        "@cee:",
        "{",
        "}",
        "[",
        "]",
        ":",
        "1",
        "null",
        "cs1=",
        "cs1Label=",
        "x5E|",
        "\n",
    ]);
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

fn is_of(value: &str, text: &str) -> bool {
    // Escapes are left out of a value, so that its characters are there in this order.
    let mut rest = text.chars();
    value.chars().all(|c| {
        let escape = match c {
            '\n' => 'n',
            '\r' => 'r',
            c => c,
        };
        rest.any(|other| other == c || other == escape)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2000, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn every_value_comes_from_the_line(text in prop_oneof![text(), "\\PC{0,60}", (text(), text()).prop_map(|(a, b)| format!("CEF:0|V|P|1|2|N|3|{a} {b}"))]) {
        for kind in Form::ALL {
            let heads = ["version", "device", "name", "severity", "vendor", "product", "eventID"];
            if let Some(Body::Pairs(pairs)) = Body::read(kind, &text) {
                let names: Vec<&str> = pairs.iter().map(|(key, _)| key.get(&text)).collect();
                prop_assert!(names.len() <= MOST_FIELDS);
                for (at, (key, value)) in pairs.iter().enumerate() {
                    let (key, value) = (key.get(&text), value.get(&text));
                    prop_assert!(!names[..at].contains(&key), "{key} is twice in {text:?}");
                    prop_assert!((1..=LONGEST_KEY).contains(&key.len()));
                    prop_assert!(is_of(value, &text), "{value:?} is not of {text:?}");
                    prop_assert!(is_of(key, &text) || heads.iter().any(|head| key.starts_with(head)));
                }
            }
            if let Some(Body::Values(values)) = Body::read(kind, &text) {
                for value in &values {
                    prop_assert!(is_of(value.get(&text), &text), "{:?} is not of {text:?}", value.get(&text));
                }
            }
        }
    }

    /// What a device writes with the format's escapes is read as it meant it.
    #[test]
    fn what_is_escaped_is_read_back(value in "[ -~]{0,30}", name in "[a-z]{1,8}") {
        let escaped = value.replace('\\', "\\\\");
        let line = format!("x=1 {name}x=\"{}\" end=1", escaped.replace('"', "\\\""));
        let got = fields(Form::Kv, &line).unwrap();
        prop_assert_eq!(&got[1].1, &value);
        let line = format!("CEF:0|V|{}|1|2|N|3|{name}x={} end=1", escaped.replace('|', "\\|"), escaped.replace('=', "\\="));
        let got = fields(Form::Cef, &line).unwrap();
        prop_assert_eq!(&got[2].1, &value);
        prop_assert_eq!(&got[7].1, value.trim_end_matches(' '));
        let json = serde_json::to_string(&serde_json::json!({ &name: &value })).unwrap();
        let body = Body::read(Form::Json, &json).unwrap();
        prop_assert_eq!(body.get(&[Step::Key(name.as_str().into())], &json), Some(Found::Text(&value)));
    }
}

/// JSON of all kinds, with numbers of any length, and the same with long ones in quotes.
fn numbers() -> impl Strategy<Value = (String, String)> {
    let number = prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<u64>().prop_map(|number| number.to_string()),
        "-?[1-9][0-9]{18,60}",
        "-?[0-9]\\.[0-9]{1,30}",
        "[1-9]e[0-9]{1,2}",
    ];
    let leaf = prop_oneof![
        number.prop_map(|number| {
            let fits = number.contains(['.', 'e'])
                || number
                    .parse::<i128>()
                    .is_ok_and(|whole| (i128::from(i64::MIN)..=i128::from(u64::MAX)).contains(&whole));
            let exact = if fits { number.clone() } else { format!("\"{number}\"") };
            (number, exact)
        }),
        r"[ -~]{0,8}[0-9]{20}".prop_map(|text| {
            let text = serde_json::to_string(&text).unwrap();
            (text.clone(), text)
        }),
        Just(("null".to_owned(), "null".to_owned())),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let list = prop::collection::vec((r#"["\\\\0-9]{0,24}"#, inner), 0..4);
        (list, any::<bool>()).prop_map(|(items, is_list)| {
            let join = |of: fn(&(String, (String, String))) -> &str| {
                let parts: Vec<String> = items
                    .iter()
                    .map(|item| {
                        let key = serde_json::to_string(&item.0).unwrap();
                        if is_list { of(item).to_owned() } else { format!("{key} : {}", of(item)) }
                    })
                    .collect();
                let text = parts.join(" ,");
                if is_list { format!("[{text}]") } else { format!("{{{text}}}") }
            };
            (join(|(_, (number, _))| number), join(|(_, (_, exact))| exact))
        })
    })
}

proptest! {
    #[test]
    fn whole_numbers_of_any_length_keep_their_digits((sent, exact) in numbers()) {
        prop_assert_eq!(super::exact(&sent), exact);
    }

    #[test]
    fn what_is_no_json_stays_as_it_is(text in "[{}\\[\\]\",:0-9-]{0,40}[0-9]{20}[{}\\[\\]\",:0-9-]{0,40}") {
        if serde_json::from_str::<serde_json::Value>(&text).is_err() {
            prop_assert_eq!(&*exact(&text), &*text);
        }
    }
}

#[test]
fn a_long_id_is_whole_wherever_it_is_shown() {
    all(
        Form::Json,
        r#"{"id":123456789012345678901234,"n":-9223372036854775809,"u":18446744073709551615}"#,
        &[("", r#"{"id":"123456789012345678901234","n":"-9223372036854775809","u":18446744073709551615}"#)],
    );
}
