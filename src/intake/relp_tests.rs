//! When messages over RELP are answered.

use super::*;

fn read_until(stream: &mut TcpStream, end: &str) -> String {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut buffer = [0; 4096];
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "the stream ends after {text:?}");
        text.push_str(std::str::from_utf8(&buffer[..count]).unwrap());
    }
    text
}

fn open(to: SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(to).unwrap();
    stream.write_all(b"1 open 15 commands=syslog\n").unwrap();
    read_until(&mut stream, "commands=syslog\n");
    stream
}

#[test]
fn what_the_journal_refuses_is_answered_when_it_has_it() {
    let bench = Bench::new();
    let serving = bench.serve(Protocol::Syslog, "relp://127.0.0.1:0", Limits::default());
    let mut stream = open(serving.address().unwrap());
    bench.refuse(true);
    stream.write_all(b"2 syslog 10 <13>t: one\n3 syslog 10 <13>t: two\n").unwrap();
    wait_until("the journal refuses", || bench.shared.refusing());
    stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    assert!(stream.read(&mut [0; 100]).is_err(), "there is no answer");
    bench.refuse(false);
    assert_eq!(read_until(&mut stream, "3 rsp 6 200 OK\n"), "2 rsp 6 200 OK\n3 rsp 6 200 OK\n");
    assert_eq!(bench.outputs(), ["one", "two"]);
    join(serving);
}

#[test]
fn what_cannot_be_synced_is_not_answered_and_the_session_ends() {
    let bench = Bench::new();
    let serving = bench.serve(Protocol::Syslog, "relp://127.0.0.1:0", Limits::default());
    let mut stream = open(serving.address().unwrap());
    bench.disk.set_faults(Faults { sync: true.into(), ..Faults::default() });
    stream.write_all(b"2 syslog 10 <13>t: one\n").unwrap();
    let (mut rest, timeout) = (Vec::new(), Some(PATIENCE));
    stream.set_read_timeout(timeout).unwrap();
    // An end or a reset, but no answer: the sender sends it again.
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(String::from_utf8(rest).unwrap(), "");
    bench.disk.set_faults(Faults::default());
    let mut again = open(serving.address().unwrap());
    again.write_all(b"2 syslog 10 <13>t: one\n").unwrap();
    assert_eq!(read_until(&mut again, "OK\n"), "2 rsp 6 200 OK\n");
    join(serving);
}
