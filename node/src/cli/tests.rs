use clap::CommandFactory;

use super::*;

fn parse(line: &str) -> Result<Cli, clap::Error> {
    Cli::try_parse_from(line.split_whitespace())
}

#[test]
fn the_grammar_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn every_verb_is_understood() {
    for line in [
        "skerry node --config a.toml --broker mqtt://b",
        "skerry run --name a -e A=b x y -z",
        "skerry apply -f a.yaml -f - --prune --dry-run",
        "skerry ps -a -q --format json",
        "skerry logs -f --tail 10 a",
        "skerry exec -u 0:0 -w / -e A=b -t -i a -- sh -c ls",
        "skerry exec -ti a sh -c ls",
        "skerry stop a b",
        "skerry start a",
        "skerry restart a",
        "skerry rm -f a b",
        "skerry inspect a b",
        "skerry stats --no-stream --format json a",
        "skerry image import - --name a",
        "skerry image ls",
        "skerry image inspect a b",
        "skerry image rm a",
        "skerry image tag a b:1",
        "skerry image prune",
        "skerry image pack dir --entrypoint /a --cmd [\"b\"] -e A=b -o out.tar --name a",
        "skerry status --format json --socket /s",
        "skerry --socket /s version",
        "skerry check --config a.toml --network -q --format json",
        "skerry check cgroup-memory clock",
        "skerry check --list",
    ] {
        assert!(parse(line).is_ok(), "{line}: {}", parse(line).unwrap_err());
    }
}

#[test]
fn wrong_usage_has_exit_code_2() {
    for line in ["skerry", "skerry nosuch", "skerry rm", "skerry apply", "skerry stop Not_A_Name"] {
        assert_eq!(parse(line).unwrap_err().exit_code(), 2, "{line}");
    }
}

#[test]
fn help_fits_a_terminal() {
    fn check(command: &mut clap::Command) {
        let help = command.render_help().to_string();
        let long: Vec<_> = help.lines().filter(|line| line.chars().count() > 100).collect();
        assert!(long.is_empty(), "{long:#?}");
        command.get_subcommands_mut().for_each(check);
    }
    let mut command = Cli::command();
    command.build();
    check(&mut command);
}

#[test]
fn the_command_of_exec_keeps_its_flags() {
    let Verb::Exec(args) = parse("skerry exec a -- ls -la --color").unwrap().verb else { panic!() };
    assert!(format!("{args:?}").contains(r#"command: ["ls", "-la", "--color"]"#), "{args:?}");
}
