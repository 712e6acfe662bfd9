//! The audit log in the log of a system: a real rsyslog, by UDP, TCP and a socket; a socket of the
//! test; and servers that are not there.

use std::os::unix::net::UnixDatagram;

use serde_json::Value;

use super::{project, query};
use crate::support::{Project, Server, prometheus, wait_until};

const FAILING: &str = "task \"a\" {\n  cmd = echo '[x] \"y\"' ; exit 3\n}\n";

/// A run that sends its lines there; it fails with its task.
fn send(project: &Project, address: &str) -> crate::support::Run {
    let address = format!("audit.syslog_address={address}");
    let set = ["--set", "audit.log_to_syslog=1", "--set", &address, "manifest.txt"];
    project.run(set)
}

fn received(server: &Server) -> Vec<Value> {
    let text = std::fs::read_to_string(server.data().join("lines")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn rsyslog_understands_every_line_by_udp_tcp_and_a_socket() {
    let server = Server::rsyslog();
    let (udp, tcp) =
        (format!("udp://127.0.0.1:{}", server.port), format!("tcp://127.0.0.1:{}", server.port));
    let socket = server.data().join("log");
    let mut before = 0;
    for (address, input) in
        [(udp.as_str(), "imudp"), (&tcp, "imtcp"), (socket.to_str().expect("a path"), "imuxsock")]
    {
        let project = project(&FAILING.replace('"', "").replace("y", "\"y\""));
        send(&project, address).code(6).stderr_lacks("syslog");
        let log = query(&project, &[]);
        wait_until("the last line", || received(&server).len() >= before + log.len());
        let all = received(&server);
        let new = &all[before..];
        before = all.len();
        assert_eq!(new.len(), log.len(), "{input}");
        for (got, line) in new.iter().zip(&log) {
            let text = |name: &str| got[name].as_str().expect("a text").to_owned();
            assert_eq!(
                (text("app"), text("version"), text("input")),
                ("reprovm".into(), "1".into(), input.into())
            );
            assert_eq!(
                (&got["msgid"], &got["procid"]),
                (&line["type"], &line["process"].to_string().into())
            );
            let data = text("data");
            for field in ["user", "resource", "action", "hash"] {
                let value = line[field].as_str().expect("a text");
                assert!(data.contains(&format!(" {field}=\"{value}\"")), "{data}");
            }
            assert!(data.contains(&format!(" seq=\"{}\"", line["seq"])), "{data}");
            assert_eq!(text("msg").trim_start(), line["details"], "{got}");
        }
        let priority = |kind: &str| {
            let one = new.iter().find(|got| got["msgid"] == kind).expect("a line of the type");
            one["pri"].as_str().expect("a number").to_owned()
        };
        assert_eq!((priority("TASK_START"), priority("TASK_FAIL")), ("110".into(), "107".into()));
    }
}

#[test]
fn a_socket_gets_a_message_for_each_line() {
    let project = project("task a {\n  cmd = true\n}\n");
    let path = project.outside().join("log");
    let socket = UnixDatagram::bind(&path).expect("a socket");
    socket.set_nonblocking(true).expect("a mode");
    send(&project, path.to_str().expect("a path")).success();
    let mut got = Vec::new();
    let mut buffer = [0; 65_536];
    while let Ok(count) = socket.recv(&mut buffer) {
        got.push(String::from_utf8(buffer[..count].to_vec()).expect("text"));
    }
    let lines = query(&project, &[]);
    assert_eq!(got.len(), lines.len());
    for (message, line) in got.iter().zip(&lines) {
        assert!(message.starts_with("<110>1 20") && !message.contains('\n'), "{message}");
        assert!(message.contains(line["hash"].as_str().expect("a hash")), "{message}");
    }
}

#[test]
fn a_server_that_is_not_there_is_named_once_and_the_run_goes_on() {
    let closed = prometheus::free_address();
    for address in [
        format!("tcp://{closed}"),
        format!("udp://{closed}"),
        "/nowhere/log".to_owned(),
        "udp://name.invalid:514".to_owned(),
    ] {
        let project = project("task a {\n  cmd = true\n}\n");
        let run = send(&project, &address);
        run.success().stderr_has("warning: audit log: cannot send the audit log to ");
        assert_eq!(run.err().matches("warning:").count(), 1, "{}", run.transcript());
        assert!(query(&project, &["--type", "TASK_COMPLETE"]).len() == 1);
    }
}

#[test]
fn a_server_that_reads_nothing_holds_nobody_up_for_long() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("tcp://{}", listener.local_addr().expect("an address"));
    let project = project(&super::many(5));
    send(&project, &address).success().within(std::time::Duration::from_secs(60));
}
