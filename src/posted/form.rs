//! Forms (WHATWG URL, section 5.1): `a=b&c=d`, with `+` for a space and `%` before two hexadecimal digits.

/// The most fields of a form.
const MOST_FIELDS: usize = 256;

/// The names and values of a form.
///
/// # Errors
///
/// What is wrong with it.
pub fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut fields = Vec::new();
    for pair in text.trim_end_matches(['\r', '\n']).split('&').filter(|pair| !pair.is_empty()) {
        if fields.len() == MOST_FIELDS {
            return Err(format!("a form has at most {MOST_FIELDS} fields"));
        }
        let (name, value) = pair.split_once('=').ok_or("a field of a form is written name=value")?;
        fields.push((decoded(name, true)?, decoded(value, true)?));
    }
    Ok(fields)
}

/// A piece of a URL without its escapes; `+` stands for a space in forms only.
///
/// # Errors
///
/// What is wrong with it.
pub fn decoded(text: &str, plus: bool) -> Result<String, String> {
    let mut octets = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        octets.push(match octet {
            b'+' if plus => b' ',
            b'%' => {
                let digit = |octet: Option<u8>| octet.and_then(|octet| char::from(octet).to_digit(16));
                match (digit(rest.next()), digit(rest.next())) {
                    (Some(high), Some(low)) => (high * 16 + low) as u8,
                    _ => return Err("'%' must stand before two hexadecimal digits".to_owned()),
                }
            }
            octet => octet,
        });
    }
    String::from_utf8(octets).map_err(|_| "what is escaped with '%' is not UTF-8".to_owned())
}

/// A text as a piece of the path of a URL (RFC 3986, section 2.3).
pub fn encoded(text: &str) -> String {
    let mut encoded = String::new();
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            encoded.push(char::from(octet));
        } else {
            encoded += &format!("%{octet:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn forms_are_read_and_what_is_wrong_is_said() {
        let fields = read("service=backup+1&info=50%25%20%c3%a9&&empty=\r\n").unwrap();
        let expected = [("service", "backup 1"), ("info", "50% é"), ("empty", "")];
        assert_eq!(fields, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
        for wrong in ["a=%4", "a=%+1", "a=%zz", "a=%ff", "a", &"a=1&".repeat(257)] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_read_back(text in "\\PC{0,40}") {
            prop_assert_eq!(decoded(&encoded(&text), false), Ok(text.clone()));
            prop_assert_eq!(decoded(&encoded(&text), true), Ok(text));
        }

        #[test]
        fn any_text_is_safe(text in "[%+&=a-f0-9é]{0,40}") {
            let _ = read(&text);
        }
    }
}
