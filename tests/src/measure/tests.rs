use super::*;

fn lengths(source: &str) -> Vec<(String, usize, usize)> {
    functions(source).into_iter().map(|f| (f.name, f.line, f.length)).collect()
}

#[test]
fn a_function_is_counted_from_its_fn_to_its_last_brace() {
    let source = "\nfn one() {}\n\npub fn three(x: [u8; 4]) -> u8 {\n    x[0]\n}\n";
    assert_eq!(lengths(source), [("one".into(), 2, 1), ("three".into(), 4, 3)]);
}

#[test]
fn declarations_and_function_pointers_are_no_functions() {
    let source = "trait T { fn declared(&self) -> u8; }\ntype F = fn (u8) -> u8;\n";
    assert_eq!(lengths(source), []);
}

#[test]
fn braces_in_text_and_comments_do_not_count() {
    let source = r##"
fn f<'a>(s: &'a str) -> char {
    // }
    let _ = "}\"}"; /* } /* } */ } */
    let _ = r#"}"}"#;
    let _ = ('}', '\'', b'}');
    '{'
}
fn after() {}
"##;
    assert_eq!(lengths(source), [("f".into(), 2, 7), ("after".into(), 9, 1)]);
}
