//! Any bytes are safe to read as a record, and an outcome that can be read is written the same.

use trapline::journal::segment;
use trapline::outcome::codec;

/// One input.
pub fn run(bytes: &[u8]) {
    let _ = segment::record(bytes);
    let _ = segment::Header::decode(bytes);
    if let Some(outcome) = codec::decode(bytes) {
        let mut again = Vec::new();
        codec::encode(&outcome, &mut again);
        assert_eq!(codec::decode(&again), Some(outcome));
    }
}
