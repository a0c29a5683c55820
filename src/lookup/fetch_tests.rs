use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::JoinHandle;

use super::*;
use crate::lookup::rows::tests::definition;
use crate::lookup::settings::Source;
use crate::net::Internet;

/// A server that gives these answers in turn, and the heads of the requests that it got.
fn server(answers: Vec<String>) -> (u16, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = move || {
        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            asked.push(String::from_utf8(head).unwrap());
            stream.write_all(answer.replace("PORT", &port.to_string()).as_bytes()).unwrap();
        }
        asked
    };
    (port, std::thread::spawn(serve))
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}")
}

/// What is fetched by these lines of a table from a server with these answers, and what it was asked.
fn fetched(lines: &str, answers: &[String]) -> (Result<Vec<Value>, String>, Vec<String>) {
    let (port, server) = server(answers.to_vec());
    let definition = definition(&lines.replace("PORT", &port.to_string()));
    let Source::Http(http) = &definition.source else { panic!("{lines}") };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let items = runtime.block_on(fetch(http, Arc::new(Internet), definition.max));
    (items.map_err(|error| error.to_string()), server.join().unwrap())
}

#[test]
fn pages_are_fetched_with_the_login_from_the_same_server_only() {
    let lines = "url = \"http://127.0.0.1:PORT/api/devices?limit=2\"\nitems = \"/results\"\nnext = \"/next\"\nkey = \"name\"\n\
                 token = \"s3cret\"\ntoken_as = \"Authorization: Token\"\nheaders = { X-Team = \"noc\" }";
    let page = |names: &str, next: &str| ok(&format!("{{\"results\": [{names}], \"next\": {next}}}"));
    let pages = [
        page(
            "{\"name\": \"a\"}, {\"name\": \"b\"}",
            "\"http://127.0.0.1:PORT/api/devices?limit=2&offset=2\"",
        ),
        page("{\"name\": \"c\"}", "\"?offset=4\""),
        page("{\"name\": \"d\"}", "\"/other?x=1\""),
        page("", "null"),
    ];
    let (items, asked) = fetched(lines, &pages);
    assert_eq!(items.unwrap().len(), 4);
    let firsts: Vec<&str> = asked.iter().map(|head| head.lines().next().unwrap()).collect();
    assert_eq!(
        firsts,
        [
            "GET /api/devices?limit=2 HTTP/1.1",
            "GET /api/devices?limit=2&offset=2 HTTP/1.1",
            "GET /api/devices?offset=4 HTTP/1.1",
            "GET /other?x=1 HTTP/1.1"
        ]
    );
    for head in &asked {
        let head = head.to_lowercase();
        assert!(
            head.contains("authorization: token s3cret\r\n") && head.contains("x-team: noc\r\n"),
            "{head}"
        );
    }
    for elsewhere in
        ["http://192.0.2.1:PORT/x", "https://127.0.0.1:PORT/x", "//192.0.2.1/x", "http://127.0.0.1:1/x"]
    {
        let (items, _) = fetched(lines, &[page("", &format!("\"{elsewhere}\""))]);
        assert!(items.unwrap_err().contains("only pages of the same server are fetched"), "{elsewhere}");
    }
}

#[test]
fn icinga_needs_its_address_only() {
    let lines = "icinga2 = \"http://127.0.0.1:PORT\"\nkey = \"name\"\nuser = \"u\"\npassword = \"p\"";
    let answer = ok(
        "{\"results\": [{\"name\": \"sw1\", \"type\": \"Host\", \"attrs\": {\"address\": \"192.0.2.1\", \"vars\": {\"os\": \"ios\"}}}]}",
    );
    let (items, asked) = fetched(lines, &[answer]);
    assert!(asked[0].starts_with("GET /v1/objects/hosts?attrs=address&attrs=address6&"), "{}", asked[0]);
    let definition = definition(&lines.replace("PORT", "1"));
    let table = crate::lookup::rows::of_items(&definition, "f", &items.unwrap()).0.unwrap();
    let row = table.find("sw1", &mut |_| true).unwrap();
    let value = |column: &str| table.cell(row, column).map(|cell| cell.text().into_owned());
    assert_eq!((value("address").as_deref(), value("vars.os").as_deref()), (Some("192.0.2.1"), Some("ios")));
}

#[test]
fn what_a_server_says_wrong_is_said() {
    let lines = "url = \"http://127.0.0.1:PORT/api\"\nitems = \"/results\"\nkey = \"name\"\nuser = \"u\"\npassword = \"p\"\nmax = 2";
    let many = ok("{\"results\": [{}, {}, {}]}");
    let refused = "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\nno such\n user".to_owned();
    for (answer, words) in [
        (refused, "answers 403 Forbidden: no such user"),
        (ok("<html>"), "does not answer in JSON"),
        (
            ok("{\"data\": [], \"count\": 0}"),
            "has no list in '/results'; set 'items' to a pointer; its members: data, count",
        ),
        (ok("{\"results\": {}}"), "has no list in '/results'"),
        (many, "has more than 2 items; raise 'max'"),
    ] {
        let (items, asked) = fetched(lines, &[answer]);
        let error = items.unwrap_err();
        assert!(error.contains(words), "{error}");
        assert!(asked[0].to_lowercase().contains("authorization: basic dtpw\r\n"), "{}", asked[0]);
    }
}
