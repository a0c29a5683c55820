//! What a full-text search means. Pure.
//!
//! Words are separated by spaces. A row has a word if the word stands in one of its texts, in any case, at the beginning of a
//! word there: `gi0` finds `Gi0/3` and not `bigi0`. Signs within a word count: `Gi0/3` does not find `Gi0-3`.
//!
//! The index knows tokens only: runs of letters and digits. It narrows the search; [`Words::match_texts`] decides.

/// The longest token that the index keeps, in bytes.
const LONGEST: usize = 64;
/// The most words of a search.
pub const MOST: usize = 16;

/// A text without differences of case, character by character.
pub fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    text.chars().flat_map(char::to_lowercase).collect()
}

/// The tokens of a folded text.
pub fn tokens(folded: &str) -> impl Iterator<Item = &str> {
    folded.split(|c: char| !c.is_alphanumeric()).filter(|token| !token.is_empty()).map(cut)
}

fn cut(token: &str) -> &str {
    &token[..token.floor_char_boundary(LONGEST)]
}

/// The words that somebody looks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words(Vec<String>);

impl Words {
    /// The words of a text; those beyond [`MOST`] are an error.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn new(text: &str) -> Result<Self, String> {
        let words: Vec<String> = text.split_whitespace().map(folded).collect();
        if words.len() > MOST {
            return Err(format!("a search has at most {MOST} words"));
        }
        Ok(Words(words))
    }

    /// Whether nothing is looked for.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether each word stands in one of these texts.
    pub fn match_texts<'t>(&self, texts: impl Iterator<Item = &'t str>) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let texts: Vec<String> = texts.filter(|text| !text.is_empty()).map(folded).collect();
        self.0.iter().all(|word| texts.iter().any(|text| stands_in(word, text)))
    }

    /// What the index is asked for; none if no word has a letter or digit.
    pub(super) fn expression(&self) -> Option<String> {
        let mut all: Vec<String> = Vec::new();
        for word in &self.0 {
            let tokens: Vec<&str> = tokens(word).collect();
            let Some((last, whole)) = tokens.split_last() else { continue };
            all.extend(whole.iter().map(|token| format!("\"{token}\"")));
            all.push(format!("\"{last}\"*"));
        }
        (!all.is_empty()).then(|| all.join(" AND "))
    }
}

/// Whether a word stands in a text at the beginning of a word. Both are folded.
fn stands_in(word: &str, text: &str) -> bool {
    let within = word.chars().next().is_some_and(char::is_alphanumeric);
    let mut from = 0;
    while let Some(at) = text[from..].find(word) {
        let at = from + at;
        if !within || !text[..at].chars().next_back().is_some_and(char::is_alphanumeric) {
            return true;
        }
        from = at + text[at..].chars().next().map_or(1, char::len_utf8);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_stand_at_the_beginning_of_words() {
        let has = |search: &str, text: &str| Words::new(search).unwrap().match_texts([text].into_iter());
        for (search, text) in [
            ("gi0", "Interface Gi0/3 down"),
            ("Gi0/3 DOWN", "Interface Gi0/3 down"),
            ("Gi0/", "Gi0/3"),
            ("/3", "Gi0/3"),
            ("größe", "GRÖSSE und Größe"),
            ("aa/b", "aaa/b aa/b"),
            ("", "anything"),
        ] {
            assert!(has(search, text), "{search} in {text}");
        }
        for (search, text) in [("0/3", "Gi0/3"), ("gi0/3", "Gi0-3"), ("down up", "down"), ("x", "")] {
            assert!(!has(search, text), "{search} in {text}");
        }
        assert!(Words::new(&"a ".repeat(17)).is_err());
    }

    #[test]
    fn the_index_is_asked_for_tokens() {
        let asked = |search: &str| Words::new(search).unwrap().expression();
        assert_eq!(asked("Gi0/3 down"), Some("\"gi0\" AND \"3\"* AND \"down\"*".to_owned()));
        assert_eq!((asked("-- //"), asked("")), (None, None));
        let long = "x".repeat(100);
        assert_eq!(asked(&long), Some(format!("\"{}\"*", "x".repeat(64))));
    }
}
