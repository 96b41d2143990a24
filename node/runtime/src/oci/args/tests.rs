//! How command lines are read.
#![allow(clippy::unwrap_used)]
use super::*;

fn call(line: &str) -> Result<Call> {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    parse(&words)
}

#[test]
fn options_are_read_as_go_reads_them() {
    let call = call("--root=/r --debug kill -a web KILL").unwrap();
    assert_eq!(call.root, PathBuf::from("/r"));
    assert!(call.has_global("debug") && call.has("all"));
    assert_eq!(call.words, ["web", "KILL"]);
    let call = self::call("create web -b /bundle -pid-file=/p").unwrap();
    assert_eq!(call.value("bundle"), Some("/bundle"));
    assert_eq!(call.value("pid-file"), Some("/p"));
    assert_eq!(call.id().unwrap(), "web");
}

#[test]
fn what_follows_the_name_belongs_to_the_program() {
    let call = call("exec -e A=1 --env B=2 web ls -l --root x").unwrap();
    assert_eq!(call.values("env").collect::<Vec<_>>(), ["A=1", "B=2"]);
    assert_eq!(call.words, ["web", "ls", "-l", "--root", "x"]);
}

#[test]
fn negative_numbers_are_values_and_words() {
    let call = call("update --memory-swap -1 web").unwrap();
    assert_eq!(call.value("memory-swap"), Some("-1"));
}

#[test]
fn unknown_options_and_verbs_are_refused() {
    assert!(call("kill --nonsense web").is_err());
    assert!(call("nonsense").is_err());
    assert!(call("create --bundle").is_err());
}
