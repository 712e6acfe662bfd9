//! A page in a real browser: Chromium without a window, spoken to through ChromeDriver (WebDriver,
//! <https://www.w3.org/TR/webdriver2/>).

use serde_json::{Value, json};

use super::prometheus::ask_with;
use super::{PATIENCE, Server};

/// Without what would reach for other machines.
const ARGS: [&str; 9] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// One that is closed with this.
#[derive(Debug)]
pub(crate) struct Browser {
    driver: Server,
    session: String,
}

impl Browser {
    #[track_caller]
    pub(crate) fn start() -> Self {
        let driver = Server::chromedriver();
        let wanted = json!({ "alwaysMatch": {
            "goog:chromeOptions": { "args": ARGS },
            "timeouts": { "script": PATIENCE.as_millis() as u64 },
        } });
        let mut browser = Self { driver, session: String::new() };
        let made = browser.call("", &json!({ "capabilities": wanted }));
        let session = made["sessionId"].as_str().expect("a session");
        browser.session = format!("/{session}");
        browser
    }

    #[track_caller]
    pub(crate) fn open(&self, url: &str) {
        self.call("/url", &json!({ "url": url }));
    }

    /// What the body of an asynchronous function returns in the page.
    #[track_caller]
    pub(crate) fn run(&self, body: &str) -> Value {
        let script = format!(
            "const done = arguments[arguments.length - 1];
             (async () => {{ {body} }})().then(done, error => done({{ failed: String(error) }}))"
        );
        let value = self.call("/execute/async", &json!({ "script": script, "args": [] }));
        assert!(value["failed"].is_null(), "{}\n{body}", value["failed"]);
        value
    }

    #[track_caller]
    fn call(&self, what: &str, body: &Value) -> Value {
        let line = format!("POST /session{}{what}", self.session);
        let answer = ask_with(PATIENCE, &self.address(), &line, &body.to_string());
        let answer = answer.unwrap_or_else(|| panic!("no answer to {line} {body}"));
        assert_eq!(answer.code, 200, "{line} {body}\n{}", answer.body);
        let mut value: Value = serde_json::from_str(&answer.body).expect("JSON");
        value["value"].take()
    }

    fn address(&self) -> String {
        format!("127.0.0.1:{}", self.driver.port)
    }
}

impl Drop for Browser {
    /// The browser is no process of ours, and ends when its driver is told so.
    fn drop(&mut self) {
        let line = format!("DELETE /session{}", self.session);
        ask_with(PATIENCE, &self.address(), &line, "");
    }
}
