use super::*;
use crate::ids::Digest;

fn json(agents: &str) -> String {
    format!(
        r#"{{"apiVersion":"skerry/v1","version":3,"audience":{{"node":"box-1"}},"agents":[{agents}]}}"#
    )
}

fn agent(name: &str) -> String {
    format!(r#"{{"name":"{name}","image":"{}"}}"#, Digest::of(b"x"))
}

#[test]
fn a_document_reads_and_writes_itself() {
    let document = Document::parse(json(&agent("a")).as_bytes()).unwrap();
    assert_eq!(document.version, 3);
    assert_eq!(document.audience.path(), "nodes/box-1/desired.json");
    assert_eq!(Document::parse(&document.to_bytes()).unwrap(), document);
}

#[test]
fn errors_name_the_place() {
    let broken = json(&format!("{},{}", agent("a"), r#"{"name":"b","image":7}"#));
    let error = Document::parse(broken.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("agents[1].image"), "{error}");
    let twice = json(&format!("{0},{0}", agent("a")));
    let error = Document::parse(twice.as_bytes()).unwrap_err().to_string();
    assert!(error.contains("two agents have the name 'a'"), "{error}");
    let trailing = json(&agent("a")) + "{}";
    assert!(Document::parse(trailing.as_bytes()).is_err());
}
