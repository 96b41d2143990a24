//! The files in `docs/schema` are what the types say, and take what the reader takes.

use std::path::{Path, PathBuf};

use super::*;
use crate::manifest::{self, Against, Purpose};

/// The command that rewrites the files, told when they are behind.
const REWRITE: &str = "SKERRY_WRITE_SCHEMA=1 cargo test -p skerry-core schema";

fn docs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

#[expect(clippy::disallowed_methods, reason = "writes the files for a person who asked for it")]
fn hold(file: &str, schema: &Value) {
    let path = docs().join("schema").join(file);
    let text = serde_json::to_string_pretty(schema).unwrap() + "\n";
    if std::env::var_os("SKERRY_WRITE_SCHEMA").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == text, "docs/schema/{file} is behind the code; rewrite it: {REWRITE}");
}

#[test]
fn the_files_say_what_the_types_say() {
    hold("agents.schema.json", &agents());
    hold("document.schema.json", &document());
}

/// Every property says what it is: editors show it.
#[test]
fn nothing_is_without_a_description() {
    fn look(value: &Value, path: &str, missing: &mut Vec<String>) {
        if let Value::Object(properties) = &value["properties"] {
            for (name, property) in properties {
                if property["description"].as_str().is_none_or(str::is_empty) {
                    missing.push(format!("{path}.{name}"));
                }
            }
        }
        match value {
            Value::Object(map) => {
                map.iter().for_each(|(key, below)| look(below, &format!("{path}.{key}"), missing));
            }
            Value::Array(items) => items.iter().for_each(|item| look(item, path, missing)),
            _ => {}
        }
    }
    let mut missing = Vec::new();
    look(&agents(), "agents", &mut missing);
    look(&document(), "document", &mut missing);
    missing.retain(|path| !path.ends_with(".value") && !path.contains("Address"));
    assert!(missing.is_empty(), "{missing:?}");
}

/// A validator that shares nothing with this crate.
struct Judge(boon::Schemas, boon::SchemaIndex);

impl Judge {
    fn new(schema: Value) -> Self {
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.set_default_draft(boon::Draft::V2020_12);
        compiler.add_resource("schema.json", schema).unwrap();
        let index = compiler.compile("schema.json", &mut schemas).unwrap();
        Self(schemas, index)
    }

    fn judge(&self, json: &Value) -> Result<(), String> {
        self.0.validate(json, self.1).map_err(|error| format!("{error:#}"))
    }

    fn is_valid(&self, json: &Value) -> bool {
        self.judge(json).is_ok()
    }
}

fn as_json(yaml: &str) -> Vec<Value> {
    manifest::as_json(yaml).iter().map(|json| serde_json::from_slice(json).unwrap()).collect()
}

/// Texts of YAML that the reader refuses for their form, and what the schema must refuse with it.
const REFUSED: &[&str] = &[
    "{}",
    "name: a",
    "agents: {}",
    "agents: []\nagnets: []",
    "name: a\nimage: x\nimag: y",
    "name: A\nimage: x",
    "name: a\nimage: x\nenv: {A: 1.5}",
    "name: a\nimage: x\nenv: {A: {from: config}}",
    "name: a\nimage: x\nenv: {A: {from: vault, name: a, key: b}}",
    "name: a\nimage: x\nrestart: sometimes",
    "name: a\nimage: x\nvolumes: [{type: tmpfs}]",
    "name: a\nimage: x\nvolumes: [{type: tmpfs, target: /t, mode: 640}]",
    "name: a\nimage: x\nvolumes: [{type: tmpfs, target: /t, mode: '9'}]",
    "name: a\nimage: x\nresources: {limits: {memory: 64MB}}",
    "name: a\nimage: x\nresources: {limits: {cpu: 1.5m}}",
    "name: a\nimage: x\nresources: {limts: {}}",
    "name: a\nimage: x\nhealthCheck: {tcp: {port: x}}",
    "name: a\nimage: x\nhealthCheck: {tcp: {port: 1}, interval: 30}",
    "name: a\nimage: x\nhealthCheck: {http: {port: 1, status: 99}}",
    "name: a\nimage: x\nstop: {signal: 0}",
    "name: a\nimage: x\ninit: 1",
    "name: a\nimage: x\nsecurity: {seccomp: strict}",
    "name: a\nimage: x\ndependsOn: {b: soon}",
    "configs: {A: {k: v}}",
    "configs: {a: {..: v}}",
    "apiVersion: v2\nagents: []",
];

#[test]
fn the_schema_refuses_what_the_reader_refuses() {
    let schema = Judge::new(agents());
    for yaml in REFUSED {
        let files = [("a".to_owned(), (*yaml).to_owned())];
        assert!(
            !manifest::validate(Purpose::Wishes, &files, Against::Nothing).valid,
            "reader: {yaml}"
        );
        assert!(as_json(yaml).iter().all(|json| !schema.is_valid(json)), "schema: {yaml}");
    }
}

#[test]
fn the_examples_are_taken_by_reader_and_schema() {
    let schema = Judge::new(agents());
    let mut seen = 0;
    for entry in std::fs::read_dir(docs().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let files = [(path.display().to_string(), text.clone())];
        let report = manifest::validate(Purpose::Wishes, &files, Against::Nothing);
        assert!(report.valid, "{report}");
        assert!(report.notes.is_empty(), "{report}");
        for json in as_json(&text) {
            assert_eq!(schema.judge(&json), Ok(()), "{}", path.display());
        }
        seen += 1;
    }
    assert!(seen > 0);
}

#[test]
fn a_document_is_taken_by_its_schema() {
    let digest = crate::ids::Digest::of(b"x");
    let document = serde_json::json!({
        "apiVersion": "skerry/v1", "version": 1, "audience": {"node": "box-1"},
        "configs": {"c": {"k": "v"}}, "agents": [{"name": "a", "image": digest}],
    });
    let schema = Judge::new(super::document());
    let take = |document: &Value| {
        let read = Document::parse(document.to_string().as_bytes()).is_ok();
        assert_eq!(read, schema.is_valid(document), "{document}");
        read
    };
    assert!(take(&document));
    for (pointer, wrong) in [
        ("/apiVersion", "skerry/v2"),
        ("/audience", "box-1"),
        ("/version", "1"),
        ("/configs/c", "v"),
        ("/agents/0/image", "x"),
        ("/agents/0/name", "A"),
    ] {
        let mut document = document.clone();
        *document.pointer_mut(pointer).unwrap() = wrong.into();
        assert!(!take(&document));
    }
}

#[test]
fn the_reference_names_every_field() {
    let page = std::fs::read_to_string(docs().join("reference/agent.md")).unwrap();
    let words: std::collections::BTreeSet<&str> =
        page.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let mut known = std::collections::BTreeSet::new();
    properties(&agents(), &mut known);
    let missing: Vec<_> = known.iter().filter(|name| !words.contains(name.as_str())).collect();
    assert!(missing.is_empty(), "docs/reference/agent.md does not name {missing:?}");
}
