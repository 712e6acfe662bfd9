//! Servers that tests talk to: nginx, s3rver, aiosmtpd, rsyslog and ChromeDriver, started on a free
//! port and killed at the end; and certificates for them.
//! `tests/servers.sh` installs them.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::{source_root, wait_until};

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Server {
    child: Child,
    pub(crate) port: u16,
    folder: TempDir,
}

impl Server {
    /// nginx with this `server` block, whose `listen` and `root` are made ours.
    pub(crate) fn nginx(block: &str) -> Self {
        Self::start(&|folder, port| {
            let block = block
                .replace("listen 8080;", &format!("listen 127.0.0.1:{port};"))
                .replace("listen 8443 ssl;", &format!("listen 127.0.0.1:{port} ssl;"))
                .replace("/srv/reprovm", &folder.join("data").to_string_lossy());
            assert!(block.contains(&port.to_string()), "no `listen` in\n{block}");
            let user = if nix::unistd::geteuid().is_root() { "user root;\n" } else { "" };
            let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
                .iter()
                .map(|what| format!("{what}_temp_path tmp;\n"))
                .collect();
            let conf = format!(
                "daemon off;\nworker_processes 1;\n{user}pid nginx.pid;\nerror_log error.log;\n\
                 events {{}}\nhttp {{\naccess_log access.log;\n{temporary}{block}\n}}\n"
            );
            fs::create_dir_all(folder.join("data")).expect("a folder");
            fs::write(folder.join("nginx.conf"), conf).expect("a configuration");
            let mut command = Command::new("nginx");
            command.arg("-p").arg(folder).args(["-c", "nginx.conf", "-e", "error.log"]);
            command
        })
    }

    /// s3rver with this bucket. It knows the key `S3RVER` with the secret `S3RVER`.
    pub(crate) fn s3(bucket: &str) -> Self {
        Self::start(&|folder, port| {
            let program = source_root().join("target/servers/node_modules/.bin/s3rver");
            let mut command = Command::new(program);
            command.arg("-d").arg(folder.join("data"));
            command.args(["-a", "127.0.0.1", "-p", &port.to_string(), "-s"]);
            command.args(["--configure-bucket", bucket]);
            command
        })
    }

    /// aiosmtpd as `tests/smtp.py` sets it up: what it takes lies below `data`.
    pub(crate) fn mail(mode: &str, certificate: &Certificate) -> Self {
        Self::start(&|folder, port| {
            fs::create_dir_all(folder.join("data")).expect("a folder");
            let mut command = Command::new("python3");
            command.arg(source_root().join("tests/smtp.py")).arg(port.to_string());
            command.arg(folder.join("data")).arg(mode).arg(&certificate.cert).arg(&certificate.key);
            command.env("PYTHONPATH", source_root().join("target/servers/py"));
            command
        })
    }

    /// rsyslog, which takes lines by UDP and TCP at its port and at the socket `data/log`, and
    /// writes what it understood of each to `data/lines`, as JSON.
    pub(crate) fn rsyslog() -> Self {
        Self::start(&|folder, port| {
            let data = folder.join("data");
            fs::create_dir_all(&data).expect("a folder");
            let (at, data) = (format!("address=\"127.0.0.1\" port=\"{port}\""), data.display());
            let fields = [
                ("msgid", "msgid"),
                ("pri", "pri"),
                ("app", "app-name"),
                ("procid", "procid"),
                ("version", "protocol-version"),
                ("data", "structured-data"),
                ("msg", "msg"),
                ("input", "inputname"),
            ];
            let fields: String = fields
                .iter()
                .map(|(name, of)| {
                    format!("property(outname=\"{name}\" name=\"{of}\" format=\"jsonf\")\n")
                })
                .collect();
            let conf = format!(
                "module(load=\"imudp\")\nmodule(load=\"imtcp\")\n\
                 module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
                 input(type=\"imuxsock\" Socket=\"{data}/log\" UseSpecialParser=\"off\")\n\
                 input(type=\"imudp\" {at})\ninput(type=\"imtcp\" {at})\n\
                 template(name=\"json\" type=\"list\" option.jsonf=\"on\") {{\n{fields}}}\n\
                 action(type=\"omfile\" file=\"{data}/lines\" template=\"json\")\n"
            );
            fs::write(folder.join("rsyslog.conf"), conf).expect("a configuration");
            let mut command = Command::new("rsyslogd");
            command.args(["-n", "-f"]).arg(folder.join("rsyslog.conf"));
            command.arg("-i").arg(folder.join("pid"));
            command
        })
    }

    /// ChromeDriver, which starts a browser for each who asks. What that writes goes to its folder.
    pub(super) fn chromedriver() -> Self {
        Self::start(&|folder, port| {
            let mut command = Command::new("chromedriver");
            command.arg(format!("--port={port}")).env("TMPDIR", folder).env("HOME", folder);
            command
        })
    }

    fn start(command: &dyn Fn(&Path, u16) -> Command) -> Self {
        // Between the choice of a port and its use another test may take it.
        for _ in 0..5 {
            let folder = tempfile::tempdir().expect("a temporary folder");
            let free = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
            let port = free.expect("a free port").port();
            let mut command = command(folder.path(), port);
            command.current_dir(folder.path()).process_group(0);
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            let child = command.spawn().unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `sh tests/servers.sh` installs the servers")
            });
            let mut server = Self { child, port, folder };
            let mut over = false;
            wait_until("the server", || {
                over = server.child.try_wait().expect("a child of ours").is_some();
                over || TcpStream::connect(("127.0.0.1", port)).is_ok()
            });
            if !over {
                return server;
            }
        }
        panic!("the server does not start");
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Where the server keeps what it is given.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }
}

/// A certificate for `localhost` and 127.0.0.1 that nobody has signed but itself.
#[derive(Debug)]
pub(crate) struct Certificate {
    _folder: TempDir,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (cert, key) = (folder.path().join("cert.pem"), folder.path().join("key.pem"));
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-nodes", "-days", "2", "-subj", "/CN=localhost"])
            .args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"])
            .args(["-addext", "basicConstraints=critical,CA:FALSE"])
            .arg("-keyout")
            .arg(&key)
            .arg("-out")
            .arg(&cert)
            .output()
            .expect("openssl; `sh tests/servers.sh` installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        Self { _folder: folder, cert, key }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It is our child and not waited for: the id is still its own.
        let pid = i32::try_from(self.child.id()).expect("a process id fits");
        let _ = killpg(Pid::from_raw(pid), Signal::SIGKILL);
        let _ = self.child.wait();
    }
}
