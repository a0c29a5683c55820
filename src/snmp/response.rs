//! The Response-PDU that acknowledges an inform (RFC 3416, section 4.2.7).

use crate::snmp::ber::{self, push_integer, push_tlv, tag};

/// error-status tooBig (RFC 3416, section 3).
const TOO_BIG: i128 = 1;
/// The values of error-status (RFC 3416, section 3), from 0 on.
const STATUS: [&str; 19] = [
    "noError",
    "tooBig",
    "noSuchName",
    "badValue",
    "readOnly",
    "genErr",
    "noAccess",
    "wrongType",
    "wrongLength",
    "wrongEncoding",
    "wrongValue",
    "noCreation",
    "inconsistentValue",
    "resourceUnavailable",
    "commitFailed",
    "undoFailed",
    "authorizationError",
    "notWritable",
    "inconsistentName",
];

/// What a Response says of the inform that it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Response {
    /// request-id, which is the inform's.
    pub request_id: i64,
    /// error-status: 0 where the inform was taken.
    pub status: i64,
}

impl Response {
    /// Reads the content of a Response-PDU.
    pub(crate) fn read(pdu: &[u8]) -> Option<Self> {
        let (rest, request_id) = ber::integer(pdu).ok()?;
        let (_, status) = ber::integer(rest).ok()?;
        Some(Response { request_id, status })
    }

    /// Reads a v2c message, which may have been encoded in another way than this program does.
    pub fn of_v2c(message: &[u8]) -> Option<Self> {
        let (_, content) = ber::expect(tag::SEQUENCE)(message).ok()?;
        let (rest, version) = ber::integer(content).ok()?;
        let (rest, _community) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (_, pdu) = ber::tlv(rest).ok()?;
        if version != 1 || pdu.tag != tag::RESPONSE {
            return None;
        }
        Self::read(pdu.content)
    }

    /// The name of the error; none if the inform was taken.
    pub fn error(&self) -> Option<&'static str> {
        match usize::try_from(self.status) {
            Ok(0) => None,
            Ok(status) => Some(STATUS.get(status).copied().unwrap_or("an unknown error-status")),
            Err(_) => Some("an unknown error-status"),
        }
    }
}

/// The Response message to an inform, of at most `most` octets: with the request-id and the varbinds of the inform, or tooBig with
/// an empty list where they do not fit. `pdu` is the content of the inform's PDU, `message` puts a message around the content
/// of the Response-PDU. None if the inform has no request-id or no Response fits.
pub(crate) fn to_inform(
    pdu: &[u8],
    most: usize,
    message: impl Fn(&[u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let (request_id, list) = parts(pdu)?;
    let fits = |content: Vec<u8>| message(&content).filter(|octets| octets.len() <= most);
    // What is too long without its envelope needs no cryptography to find out.
    let whole = (list.len() <= most).then(|| content(request_id, 0, list));
    whole.and_then(fits).or_else(|| fits(content(request_id, TOO_BIG, &[])))
}

/// request-id as content octets, and the content of the varbind list; the list is empty where the inform has none.
fn parts(pdu: &[u8]) -> Option<(&[u8], &[u8])> {
    let (rest, request_id) = ber::expect(tag::INTEGER)(pdu).ok()?;
    let (rest, _error_status) = ber::expect(tag::INTEGER)(rest).ok()?;
    let (rest, _error_index) = ber::expect(tag::INTEGER)(rest).ok()?;
    Some((request_id, ber::last_tlv(rest).map_or(&[][..], |(_, list)| list.content)))
}

/// The inform's error-status and error-index are not repeated.
fn content(request_id: &[u8], status: i128, list: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(list.len() + 24);
    push_tlv(&mut content, tag::INTEGER, request_id);
    push_integer(&mut content, tag::INTEGER, status);
    push_integer(&mut content, tag::INTEGER, 0);
    push_tlv(&mut content, tag::SEQUENCE, list);
    content
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn inform(request_id: i32, (status, index): (i32, i32), list: &[u8]) -> Vec<u8> {
        let mut pdu = Vec::new();
        for number in [request_id, status, index] {
            push_integer(&mut pdu, tag::INTEGER, number.into());
        }
        push_tlv(&mut pdu, tag::SEQUENCE, list);
        pdu
    }

    proptest! {
        #[test]
        fn any_error_fields_become_zero_and_too_much_becomes_too_big(
            request_id: i32,
            errors: (i32, i32),
            list in prop::collection::vec(any::<u8>(), 0..300),
            most in 0usize..400,
        ) {
            let response = to_inform(&inform(request_id, errors, &list), most, |pdu| Some(pdu.to_vec()));
            let whole = inform(request_id, (0, 0), &list);
            let too_big = inform(request_id, (1, 0), &[]);
            let expected = [whole, too_big].into_iter().find(|content| content.len() <= most);
            prop_assert_eq!(response, expected);
        }
    }

    /// A v2c Response with this status, its lengths in so many octets.
    fn v2c(status: u8, long: usize) -> Vec<u8> {
        let around = |tag: u8, content: &[u8]| {
            let mut element = vec![tag];
            if long > 0 {
                element.push(0x80 | long as u8);
                element.resize(1 + long, 0);
            }
            element.push(content.len() as u8);
            [&element[..], content].concat()
        };
        let pdu = [&[2, 1, 7, 2, 1, status, 2, 1, 0][..], &around(0x30, &[])].concat();
        let content = [&[2, 1, 1][..], &around(4, b"public"), &around(0xa2, &pdu)].concat();
        around(0x30, &content)
    }

    #[test]
    fn responses_of_any_encoding_are_read() {
        for long in 0..4 {
            let mut response = v2c(0, long);
            let taken = Some(Response { request_id: 7, status: 0 });
            assert_eq!(Response::of_v2c(&response), taken, "{response:02x?}");
            response.extend(b"more behind it");
            assert_eq!(Response::of_v2c(&response), taken);
        }
        let error = |status| Response::of_v2c(&v2c(status, 0)).unwrap().error();
        assert_eq!((error(0), error(1), error(16)), (None, Some("tooBig"), Some("authorizationError")));
        assert_eq!(
            (error(19), error(0xff)),
            (Some("an unknown error-status"), Some("an unknown error-status"))
        );
        let mut inform = v2c(0, 0);
        inform[13] = tag::INFORM;
        assert_eq!(Response::of_v2c(&inform), None);
    }

    #[test]
    fn an_inform_without_a_list_gets_an_empty_one() {
        let cut = inform(7, (0, 0), &[]);
        let cut = &cut[..cut.len() - 2];
        assert_eq!(to_inform(cut, 100, |pdu| Some(pdu.to_vec())), Some(inform(7, (0, 0), &[])));
        assert_eq!(to_inform(&[2, 1], 100, |pdu| Some(pdu.to_vec())), None);
    }
}
