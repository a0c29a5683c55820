//! Writing lines into pipes.

/// What a pipe takes in one piece or not at all, in bytes (PIPE_BUF of Linux).
pub const PIECE: usize = 4096;

/// The longest start of some lines that ends one and that a pipe takes in one piece, so that no other writer's text comes
/// between. Of a line that is longer, its start.
pub fn piece(lines: &[u8]) -> &[u8] {
    let most = &lines[..lines.len().min(PIECE)];
    let end = most.iter().rposition(|byte| *byte == b'\n').map_or(most.len(), |at| at + 1);
    &most[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_end_with_lines_where_they_can() {
        let long = vec![b'x'; PIECE + 10];
        assert_eq!((piece(b""), piece(b"a"), piece(b"a\nb\nc")), (&b""[..], &b"a"[..], &b"a\nb\n"[..]));
        assert_eq!(piece(&long).len(), PIECE);
        let lines = [b"first\n", &long[..]].concat();
        assert_eq!(piece(&lines), b"first\n");
    }
}
