use hyper::StatusCode;

use super::*;

fn answer(status: u16, retry_after: Option<u64>) -> Answer {
    let retry_after = retry_after.map(Duration::from_secs);
    Answer { status: StatusCode::from_u16(status).unwrap(), retry_after, body: "why\n not".into() }
}

#[test]
fn what_a_status_means() {
    let verdict = |status, after| by_status(&answer(status, after), &[StatusCode::BAD_REQUEST]);
    let what = |status: &str| format!("it answered {status}: why not");
    assert_eq!(verdict(204, None), Verdict::Taken);
    assert_eq!(verdict(400, None), Verdict::Apart(what("400 Bad Request")));
    assert_eq!(verdict(401, None), Verdict::Stranger(what("401 Unauthorized")));
    let pause = |status: &str, seconds| Verdict::Pause(what(status), Duration::from_secs(seconds));
    assert_eq!(verdict(429, Some(7)), pause("429 Too Many Requests", 7));
    assert_eq!(verdict(503, None), pause("503 Service Unavailable", 5));
    assert_eq!(verdict(500, Some(9)), pause("500 Internal Server Error", 9));
    assert_eq!(verdict(500, None), Verdict::Retry(what("500 Internal Server Error")));
    assert_eq!(verdict(404, None), Verdict::Wrong(what("404 Not Found")));
    assert_eq!(verdict(302, None), Verdict::Wrong(what("302 Found")));
}

#[test]
fn passwords_do_not_show() {
    let value = basic("trapline", "secret");
    assert_eq!(value.to_str().unwrap(), "Basic dHJhcGxpbmU6c2VjcmV0");
    assert_eq!(format!("{value:?}"), "Sensitive");
}
