use super::*;
use crate::agent::check_dependencies;
use crate::ids::Digest;

fn marks(marks: &[(&str, &str)]) -> BTreeMap<String, String> {
    marks.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn agent(name: &str, selector: &[(&str, &str)]) -> AgentSpec {
    let spec = AgentSpec::new(name.parse().unwrap(), Digest::of(b"image"));
    AgentSpec { node_selector: marks(selector), ..spec }
}

#[test]
fn an_agent_is_for_nodes_that_have_all_its_labels() {
    let node = marks(&[("site", "north"), ("board", "rpi4")]);
    assert!(agent("a", &[]).is_for(&node));
    assert!(agent("a", &[("site", "north")]).is_for(&node));
    assert!(agent("a", &[("site", "north"), ("board", "rpi4")]).is_for(&node));
    for other in [("site", "south"), ("camera", ""), ("board", "")] {
        assert!(!agent("a", &[("site", "north"), other]).is_for(&node));
    }
    assert!(!agent("a", &[("site", "north")]).is_for(&NodeLabels::new()));
}

#[test]
fn who_depends_on_another_runs_where_that_one_does() {
    let mut one = agent("one", &[("site", "north"), ("board", "rpi4")]);
    one.depends_on.insert("two".parse().unwrap(), crate::agent::Condition::Started);
    assert_eq!(check_dependencies(&[one.clone(), agent("two", &[])]), Ok(()));
    assert_eq!(check_dependencies(&[one.clone(), agent("two", &[("site", "north")])]), Ok(()));
    let error = check_dependencies(&[one, agent("two", &[("site", "south")])]).unwrap_err();
    let words = "agent 'one': dependsOn.two: is not on every node where 'one' is";
    assert!(error.to_string().starts_with(words), "{error}");
}

#[test]
fn labels_have_bounds_and_a_document_for_one_node_has_no_selectors() {
    assert_eq!(check_labels(&marks(&[("a/b", "c d")])), Ok(()));
    assert_eq!(check_labels(&marks(&[("a b", "c")])).unwrap_err().0, "labels.a b");
    assert!(check_labels(&marks(&[("a", &"x".repeat(257))])).is_err());
    let many: NodeLabels = (0..65).map(|i| (i.to_string(), String::new())).collect();
    assert!(check_labels(&many).is_err());
    let error = check_no_selectors(&[agent("a", &[]), agent("b", &[("x", "y")])]).unwrap_err();
    assert!(error.to_string().contains("agent 'b': nodeSelector"), "{error}");
}
