//! The dashboard for Grafana: its expressions give figures in a real Prometheus, and its form is
//! the one that Grafana's own package declares.

use std::process::Command;

use serde_json::Value;

use super::{exporter, project};
use crate::support::prometheus::{Prometheus, Samples};
use crate::support::{source_root, wait_until};

fn text() -> String {
    let file = source_root().join("examples/grafana/reprovm.json");
    std::fs::read_to_string(file).expect("a dashboard")
}

fn board() -> Value {
    serde_json::from_str(&text()).expect("JSON")
}

fn list(value: &Value) -> &[Value] {
    value.as_array().expect("a list")
}

/// What each panel asks for.
fn expressions(board: &Value) -> Vec<String> {
    let panels = list(&board["panels"]).iter().filter(|panel| panel["type"] != "row");
    let mut all = Vec::new();
    for panel in panels {
        let targets = list(&panel["targets"]);
        assert!(!targets.is_empty(), "{panel}");
        let expression = |target: &Value| target["expr"].as_str().expect("a text").to_owned();
        all.extend(targets.iter().map(expression));
    }
    all
}

#[test]
fn every_expression_gives_figures_in_a_prometheus_server() {
    let project = project();
    let (_exporter, address) = exporter(&project);
    let server = Prometheus::start(&[&address]);
    let tasks = |count| {
        wait_until("the run in Prometheus", || {
            server.value("sum(reprovm_tasks_executed_total)") == Some(count)
        });
    };
    // What grows is seen by two looks.
    tasks(0.0);
    project.run(["-q", "manifest.txt"]).success();
    tasks(3.0);
    let names = Samples::at(&address);
    let expressions = expressions(&board());
    assert!(expressions.len() >= 20, "only {}", expressions.len());
    for expression in expressions {
        let words = expression.split(|c: char| !c.is_alphanumeric() && c != '_');
        for name in words.filter(|word| word.starts_with("reprovm_")) {
            assert!(names.names().contains(&name), "{name} of {expression}");
        }
        // As Grafana fills them in.
        let asked = expression
            .replace("$__rate_interval", "5m")
            .replace("$__range", "6h")
            .replace("$instance", ".*");
        assert!(!asked.contains('$'), "{asked}");
        let found = server.ask(&asked);
        assert!(!list(&found).is_empty(), "nothing for {expression}");
    }
    let asked = list(&board()["templating"]["list"])[1]["query"].clone();
    assert_eq!(asked, "label_values(reprovm_build_info, instance)");
    assert_eq!(server.ask("reprovm_build_info")[0]["metric"]["instance"], address);
}

#[test]
fn the_form_is_the_one_that_grafana_declares() {
    let schema = source_root().join("target/servers/grafana/node_modules/@grafana/schema");
    let raw = schema.join("dist/types/raw");
    let folder = tempfile::tempdir().expect("a folder");
    let board = board();
    let mut module =
        format!("import type {{ Dashboard }} from '{0}/dashboard/x/types.gen';\n", raw.display());
    for (at, panel) in list(&board["panels"]).iter().enumerate() {
        let kind = panel["type"].as_str().expect("a kind");
        module += &format!(
            "import type {{ Options as Options{at} }} from '{}/composable/{kind}/panelcfg/x/types.gen';\n\
             export const options{at}: Partial<Options{at}> = {};\n",
            raw.display(),
            panel.get("options").unwrap_or(&Value::Object(Default::default())),
        );
    }
    module += &format!("export const board: Dashboard = {};\n", text());
    let check = |name: &str, module: &str| {
        std::fs::write(folder.path().join(name), module).expect("a file");
        let output = Command::new("node")
            .arg(schema.join("../../typescript/bin/tsc"))
            .args(["--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"])
            .args(["--module", "esnext", "--moduleResolution", "bundler", name])
            .current_dir(folder.path())
            .output()
            .expect("node; `sh tests/servers.sh` installs it");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(check("board.ts", &module), "");
    let wrong = module.replace("\"gridPos\"", "\"place\"");
    assert!(check("wrong.ts", &wrong).contains("'\"place\"' does not exist in type 'Panel'"));
}
