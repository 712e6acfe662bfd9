//! Callers that ask for something else, stop half-way, or send what nobody asked for: none of
//! them keeps others from the page.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use nix::sys::signal::Signal;

use super::exporter;
use crate::support::Project;
use crate::support::prometheus::{announced, ask, ask_within, send};
use crate::support::wait_until;

/// Whether there is an answer soon.
fn has_page(address: &str) -> bool {
    let answer = ask_within(Duration::from_secs(1), address, "GET", "/metrics");
    answer.is_some_and(|answer| answer.code == 200)
}

#[test]
fn only_the_page_is_there_and_it_can_only_be_read() {
    let project = Project::new();
    let args = ["--prometheus-exporter", "--port", "0", "--set", "metrics_path=/a/figures"];
    let mut exporter = project.spawn(args);
    let address = announced(&mut exporter);
    let got = ask(&address, "GET", "/a/figures?x=1").expect("an answer");
    assert!(got.code == 200 && got.body.contains("\nreprovm_build_info{version="), "{got:?}");
    let head = ask(&address, "HEAD", "/a/figures").expect("an answer");
    assert_eq!((head.code, head.body.as_str()), (200, ""));
    assert_eq!(head.headers["content-type"], got.headers["content-type"]);
    for path in ["/", "/metrics", "/a/figures/", "/a/figures/../figures", "*"] {
        let other = ask(&address, "GET", path).expect("an answer");
        assert!(other.code == 404 && other.body.contains("/a/figures"), "{path} {other:?}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"] {
        let refused = ask(&address, method, "/a/figures").expect("an answer");
        assert_eq!(refused.code, 405, "{method}");
        assert_eq!(refused.headers["allow"], "GET, HEAD", "{method}");
    }
}

#[test]
fn callers_that_stop_half_way_keep_nobody_from_the_page() {
    let project = Project::new();
    let (mut exporter, address) = exporter(&project);
    let start = "POST /metrics HTTP/1.1\r\nHost: x\r\n";
    // More than there are threads that answer, of each kind.
    let halves = [
        String::new(),
        "GET /metr".to_owned(),
        "GET /metrics HTTP/1.1\r\nHost:".to_owned(),
        format!("{start}Content-Length: 1000\r\n\r\nabc"),
        format!("{start}Content-Length: 100000\r\n\r\nabc"),
        format!("{start}Content-Length: 100000\r\nExpect: 100-continue\r\n\r\n"),
        format!("{start}Content-Length: 9999999999999999\r\n\r\nabc"),
        format!("{start}Content-Length: 18446744073709551615\r\n\r\nabc"),
        format!("{start}Transfer-Encoding: chunked\r\n\r\nffffff\r\nabc"),
        "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n".to_owned(),
    ];
    let mut open: Vec<TcpStream> = Vec::new();
    for half in &halves {
        open.extend((0..20).map(|_| send(&address, half).expect("it listens")));
        // One that came in the same moment may have to wait for the next, as a scrape does.
        wait_until(&format!("the page, after {half:?}"), || has_page(&address));
    }
    // A body that is refused is no reason not to answer.
    let mut whole = String::new();
    let body = "x".repeat(100_000);
    drop(open);
    let request = format!("{start}Connection: close\r\nContent-Length: 100000\r\n\r\n{body}");
    let mut stream = send(&address, &request).expect("it listens");
    stream.read_to_string(&mut whole).expect("an answer");
    assert!(whole.starts_with("HTTP/1.1 405 "), "{whole}");
    exporter.signal(Signal::SIGTERM);
    exporter.wait().code(143);
}

#[test]
fn a_listener_that_the_system_took_away_comes_back() {
    let project = Project::new();
    let script = "ulimit -n 40; exec \"$@\"";
    let mut exporter = project.by_shell(script, ["--prometheus-exporter", "--port", "0"]);
    let address = announced(&mut exporter);
    let mut open: Vec<TcpStream> = Vec::new();
    wait_until("the listener to go", || {
        let more = TcpStream::connect(&address);
        let gone = more.is_err();
        open.extend(more);
        gone
    });
    drop(open);
    wait_until("the page", || has_page(&address));
    assert!(!exporter.is_over());
}

// Only a debug build panics when it is told to.
#[cfg(debug_assertions)]
#[test]
fn a_page_that_cannot_be_made_is_an_answer_too() {
    let mut project = Project::new();
    project.env("REPROVM_DEBUG_PANIC", "scrape");
    let (mut exporter, address) = exporter(&project);
    for _ in 0..20 {
        assert_eq!(ask(&address, "GET", "/metrics").expect("an answer").code, 500);
    }
    exporter.signal(Signal::SIGTERM);
    // It went on, and says at the end what it owes.
    exporter.wait().code(99).stderr_has("reprovm crashed");
}
