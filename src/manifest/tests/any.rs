//! Any text at all has an answer, in bounded time and memory.

use proptest::prelude::*;

use super::*;

#[test]
fn large_manifests_of_any_kind_end_in_an_answer() {
    let repeated = |part: &str, bytes: usize| part.repeat(bytes / part.len());
    let cases = [
        ("m", repeated("a=\n", 1 << 20)),
        ("m", repeated("task a{}\n", 1 << 20)),
        ("m", repeated("task a{\ncmd=```\n}\n", 1 << 20)),
        ("m", repeated("task a\n", 1 << 20)),
        ("m", repeated("let a={{b}}\n", 1 << 20)),
        ("m", format!("task a {{\ninputs = {}\n}}", repeated("*,", 2 << 20))),
        ("m", format!("task a {{\ninputs = {}\n}}", repeated("{", 1 << 20))),
        ("m", format!("task a {{\ninputs = {}\n}}", repeated("\"", 1 << 20))),
        ("m.toml", repeated("[", 1 << 20)),
        ("m.toml", repeated("[a]\n", 1 << 20)),
        ("m.toml", repeated("a=1\n", 200_000)),
        ("m.toml", format!("a = {}", repeated("[", 200_000))),
        ("m.toml", format!("a{}=1", repeated(".a", 200_000))),
    ];
    for (name, text) in cases {
        let all = parse(Path::new(name), text.as_bytes()).expect_err("nonsense");
        assert!(!all.is_empty() && all.len() <= 101);
    }
}

#[test]
fn growing_lets_end_at_a_limit() {
    let mut text = "let a0 = xxxxxxxxxx\n".to_owned();
    for n in 1..60 {
        writeln!(text, "let a{n} = {{{{a{m}}}}}{{{{a{m}}}}}", m = n - 1).expect("a string");
    }
    assert!(bad(&text).contains("this value is too long"));
}

fn words() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "task", "pool", "defaults", "let", "include", "a", "b", "{", "}", "{{a}}", "=", "cmd",
        "inputs", "outputs", "deps", "env", "depth", "```", "\n", "\n", "\n", " ", ",", "\"", "\\",
        "#", "*", "[", "]", "!", "..", "/", "é", "\u{0}", "\r\n", "'", ".", "1", "timeout",
    ]);
    prop::collection::vec(word, 0..60).prop_map(|words| words.concat())
}

fn never_panics(name: &str, bytes: &[u8]) {
    match parse(Path::new(name), bytes) {
        Ok(manifest) => {
            for task in &manifest.tasks {
                let place = manifest.place(task.span);
                assert!(place.line >= 1 && place.text.get(place.start..place.end).is_some());
            }
        }
        Err(all) => {
            assert!(!all.is_empty());
            for place in all.iter().filter_map(|mistake| mistake.place.as_ref()) {
                assert!(place.text.get(place.start..place.end).is_some());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        never_panics("m", &bytes);
        never_panics("m.toml", &bytes);
    }

    #[test]
    fn any_words_are_answered(text in words()) {
        never_panics("m", text.as_bytes());
        never_panics("m.toml", text.as_bytes());
    }

    #[test]
    fn any_edit_of_a_manifest_is_answered(
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0..20_usize, words()), 1..4),
    ) {
        for (name, text) in [("m", ALL_FIELDS), ("m.toml", ALL_FIELDS_TOML)] {
            let mut bytes = text.as_bytes().to_vec();
            for (at, length, words) in &edits {
                let at = at.index(bytes.len());
                let end = (at + length).min(bytes.len());
                bytes.splice(at..end, words.bytes());
            }
            never_panics(name, &bytes);
        }
    }

    #[test]
    fn quoted_names_come_back(name in "[^\u{0}/]{1,40}") {
        prop_assume!(!matches!(name.as_str(), "." | ".."));
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let manifest = good(&format!("task a {{\ninputs = first/x \"./{quoted}\", last/y\n}}"));
        let Input::Path(path) = &manifest.tasks[0].inputs[1].value else { panic!("a path") };
        prop_assert_eq!(path.as_bytes(), name.as_bytes());
    }
}
