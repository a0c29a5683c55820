//! The query of a request (WHATWG URL, section 5.1). Pure.

/// The parameters of a query, decoded, as they stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(pub Vec<(String, String)>);

impl Query {
    /// Reads it.
    ///
    /// # Errors
    ///
    /// What is wrong with it.
    pub fn parse(text: &str) -> Result<Query, String> {
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decoded(name)?, decoded(value)?))
        });
        Ok(Query(pairs.collect::<Result<_, String>>()?))
    }

    /// The value of the first parameter of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

fn decoded(text: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap_or(0), rest.next().unwrap_or(0)];
                let hex = std::str::from_utf8(&digits).ok().filter(|hex| !hex.starts_with('+'));
                hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())
                    .ok_or_else(|| "'%' without two hexadecimal digits".to_owned())?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| "a parameter is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_what_is_broken_is_refused() {
        let query = Query::parse("host=core-%2A&service=Link+3%2f1&rule=&flag&host=b").unwrap();
        assert_eq!(query.get("host"), Some("core-*"));
        assert_eq!(query.get("service"), Some("Link 3/1"));
        assert_eq!((query.get("rule"), query.get("flag"), query.get("x")), (Some(""), Some(""), None));
        for wrong in ["host=%4", "host=%+1", "host=%zz", "host=%ff"] {
            assert!(Query::parse(wrong).is_err(), "{wrong}");
        }
    }
}
