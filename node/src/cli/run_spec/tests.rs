use clap::{CommandFactory, Parser};

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(flatten)]
    run: RunArgs,
}

fn digest() -> Digest {
    Digest::of(b"image")
}

fn args(words: &[&str]) -> Result<RunArgs, clap::Error> {
    Line::try_parse_from(["run"].iter().chain(words)).map(|line| line.run)
}

fn spec(words: &[&str]) -> Result<AgentSpec, Usage> {
    let args = args(words).unwrap();
    let name = args.name(0x1a2b).unwrap();
    args.spec(name, digest())
}

#[test]
fn the_grammar_is_sound() {
    Line::command().debug_assert();
}

#[test]
fn an_image_alone_is_an_agent_with_defaults() {
    let spec = spec(&["registry.example:5000/fleet/Sensor_x:1.0"]).unwrap();
    assert_eq!(spec, AgentSpec::new("sensor-x-1a2b".parse().unwrap(), digest()));
}

#[test]
fn all_flags_reach_the_spec() {
    let line = "--name cam -e A=1 -e B=x=y -m 64Mi --cpus 0.5 --pids-limit 32 --restart on-failure:3 \
                -w /data --entrypoint /bin/cam --health-tcp 80 --health-interval 2s \
                --health-retries 5 cam:1 --verbose -- -x";
    let words: Vec<_> = line.split_whitespace().collect();
    let spec = spec(&words).unwrap();
    let expected = r#"{"name":"cam","command":["/bin/cam"],"args":["--verbose","--","-x"],
        "workdir":"/data","env":{"A":"1","B":"x=y"},
        "resources":{"limits":{"memory":"64Mi","cpu":"500m","pids":32}},"restart":"on-failure:3",
        "healthCheck":{"tcp":{"port":80},"interval":"2s","timeout":"5s","retries":5,
        "startPeriod":"0s"}}"#;
    let mut expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    expected["image"] = digest().to_string().into();
    assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
}

#[test]
fn commands_are_words_lists_or_shell_lines() {
    let spec = spec(&["--entrypoint", r#"["/bin/a","-b"]"#, "--health-cmd", "test -e /ok", "x"]);
    let spec = spec.unwrap();
    assert_eq!(spec.command.unwrap(), ["/bin/a", "-b"]);
    let health = spec.health_check.unwrap().command.unwrap();
    assert_eq!(health, ["/bin/sh", "-c", "test -e /ok"]);
    assert_eq!(shell_words(r#"["/probe"]"#).unwrap(), ["/probe"]);
    assert!(words("[1]").unwrap_err().contains("JSON list of words"));
}

#[test]
fn names_are_made_of_any_image() {
    for (image, name) in [
        ("sensor", "sensor-00ff"),
        ("a/b/c@sha256:00", "c-00ff"),
        ("sha256:0123", "agent-00ff"),
        ("___", "agent-00ff"),
        ("", "agent-00ff"),
        ("Ünlaut.x", "nlaut-x-00ff"),
    ] {
        assert_eq!(generated(image, 0xff).unwrap().as_str(), name, "{image}");
    }
    assert_eq!(generated(&"x".repeat(200), 1).unwrap().as_str().len(), NAME_MAX);
    assert_eq!(
        generated(&format!("{}-y", "x".repeat(57)), 1).unwrap().as_str().len(),
        NAME_MAX - 1
    );
}

#[test]
fn what_cannot_be_is_told_with_what_can() {
    for (words, told) in [
        (&["-m", "64q", "x"][..], "such as 64Mi"),
        (&["--memory-swap", "64Mi", "x"], "--memory"),
        (&["--network", "bridge", "x"], "does not exist yet"),
        (&["--cpus", "half", "x"], "such as 0.5 or 500m"),
        (&["-e", "NAME", "x"], "NAME=VALUE is expected"),
        (&["--restart", "maybe", "x"], "unless-stopped"),
        (&["--name", "Not_A_Name", "x"], "may hold only"),
        (&["--pids-limit", "0", "x"], "1.."),
        (&["--health-cmd", "a", "--health-tcp", "1", "x"], "cannot be used with"),
        (&[], "IMAGE"),
    ] {
        let error = args(words).unwrap_err().to_string();
        assert!(error.contains(told), "{words:?}: {error}");
    }
    let told = spec(&["-m", "1Ki", "x"]).unwrap_err().to_string();
    assert!(told.contains("resources.limits.memory"), "{told}");
    let told = spec(&["--health-retries", "2", "x"]).unwrap_err().to_string();
    assert!(told.contains("--health-cmd, -tcp, -http and -file"), "{told}");
}

#[test]
fn flags_of_docker_reach_the_spec() {
    let line = "--name cam -m 64m --memory-swap 96Mi --cpuset-cpus 0-1 --priority high \
                --log-opt max-size=1m --log-opt max-file=2 -l role=eye -v data:/data:ro \
                --tmpfs /scratch:size=1m --read-only=false -u app:video --cap-add NET_RAW \
                --cap-drop ALL --security-opt no-new-privileges:false --device /dev/video0 \
                --ulimit nofile=64:128 --sysctl net.ipv4.ip_forward=1 --network none --pod eyes \
                --restart no --init --stop-signal INT --stop-timeout 30 --pre-stop /bin/flush \
                --health-http 8080/ready x";
    let words: Vec<_> = line.split_whitespace().collect();
    let spec = spec(&words).unwrap();
    let expected = r#"{"name":"cam","user":"app:video","labels":{"role":"eye"},
        "volumes":[{"type":"volume","source":"data","target":"/data","readOnly":true},
            {"type":"tmpfs","target":"/scratch","size":"1Mi"}],
        "resources":{"limits":{"memory":"64Mi","swap":"32Mi","cpuset":"0-1"}},"priority":"high",
        "restart":"never","healthCheck":{"http":{"port":8080,"path":"/ready","scheme":"http",
            "status":"200-399"},"interval":"30s","timeout":"5s","retries":3,"startPeriod":"0s"},
        "stop":{"grace":"30s","signal":"SIGINT","preStop":{"command":["/bin/sh","-c","/bin/flush"]}},
        "init":true,"pod":"eyes","security":{"readOnlyRootFilesystem":false,
            "capabilities":{"add":["NET_RAW"],"drop":["ALL"]},"noNewPrivileges":false,
            "devices":[{"path":"/dev/video0","permissions":"rw"}],
            "sysctls":{"net.ipv4.ip_forward":"1"},"rlimits":{"nofile":{"soft":64,"hard":128}}},
        "logging":{"maxSize":"1Mi","maxFiles":2}}"#;
    let mut expected: serde_json::Value = serde_json::from_str(expected).unwrap();
    expected["image"] = digest().to_string().into();
    assert_eq!(serde_json::to_value(&spec).unwrap(), expected);
}

#[test]
fn a_variable_may_be_a_secret_s() {
    let spec = spec(&["--env-secret", "PASSWORD=db:root.pw", "--env-secret", "TOKEN=up", "cam"]);
    let env = serde_json::to_string(&spec.unwrap().env).unwrap();
    assert_eq!(
        env,
        r#"{"PASSWORD":{"from":"secret","name":"db","key":"root.pw"},"TOKEN":{"from":"secret","name":"up","key":"TOKEN"}}"#
    );
    for bad in ["PASSWORD", "=db:k", "PASSWORD=Db:k", "PASSWORD=db:", "PASSWORD=db:a/b"] {
        let said = args(&["--env-secret", bad, "cam"]).unwrap_err().to_string();
        assert!(said.contains("--env-secret"), "{bad}: {said}");
    }
    let twice = super::tests::spec(&["-e", "A=1", "--env-secret", "A=db:k", "cam"]).unwrap_err();
    assert!(twice.to_string().contains("set twice"), "{twice}");
}
