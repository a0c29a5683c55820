//! What of a message differs from one message of its kind to the next.

/// How many bytes of a message are looked at.
pub const MOST: usize = 400;

/// A piece of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'m> {
    /// What stays: words without a digit, and what is between words.
    Fixed(&'m str),
    /// A word with a digit: a number, an address, a path, a name. A `.`, `:` or `-` behind it is a piece of its own, as a
    /// sentence may end there.
    Word(&'m str),
    /// What is in quotes, without them.
    Quoted(&'m str),
}

/// The pieces of a message, in their order, up to [`MOST`] bytes of it. Addresses, paths, names with a domain and numbers
/// with a unit are one word each.
pub fn pieces(message: &str) -> Vec<Piece<'_>> {
    let mut rest = &message[..message.floor_char_boundary(MOST)];
    let mut pieces = Vec::new();
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '"' => rest[1..].find('"').map_or(1, |end| end + 2),
            c if is_part_of_word(c) => rest.find(|c| !is_part_of_word(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (part, after) = rest.split_at(length);
        if first == '"' && length > 1 {
            pieces.push(Piece::Quoted(&part[1..length - 1]));
        } else if is_part_of_word(first) && part.bytes().any(|b| b.is_ascii_digit()) {
            let word = part.trim_end_matches(['.', ':', '-']);
            pieces.push(Piece::Word(word));
            if word.len() < part.len() {
                pieces.push(Piece::Fixed(&part[word.len()..]));
            }
        } else {
            pieces.push(Piece::Fixed(part));
        }
        rest = after;
    }
    pieces
}

fn is_part_of_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '.' | ':' | '-' | '_' | '/' | '@' | '%' | '+')
}
