//! Each rule of the checks, with the path and the words in which it refuses.

use super::{agent, read};

/// What is written, and how the refusal begins.
type Rule = (&'static str, &'static str);

const PROGRAM: &[Rule] = &[
    ("command: []", "command: names no program; leave it out"),
    ("command: ['', x]", "command: names no program; leave it out"),
    ("command: [\"a\\0\"]", "command: has a word with a NUL"),
    ("args: [\"a\\0\"]", "args: has a word with a NUL"),
    ("workdir: data", "workdir: must be an absolute path"),
    ("workdir: /a/../b", "workdir: must be an absolute path"),
    ("user: 'a b'", "user: must be UID, UID:GID, or names"),
    ("user: '1:2:3'", "user: must be UID"),
    ("user: 'a:'", "user: must be UID"),
    ("user: '-1'", "user: must be UID"),
    ("user: '4294967295'", "user: must be UID"),
    ("hostname: a_b", "hostname: must be 1 to 64 letters"),
    ("hostname: ''", "hostname: must be 1 to 64 letters"),
    ("labels: {'a b': c}", "labels.a b: keys are 1 to 128"),
    ("annotations: {'': c}", "annotations.: keys are 1 to 128"),
    ("env: {A=B: c}", "env.A=B: is not the name of a variable"),
    ("env: {A: \"\\0\"}", "env.A: has a NUL"),
    ("env: {A: {from: config}}", "env.A: needs either value, or from with name and key"),
    ("env: {A: {value: a, name: b}}", "env.A: needs either value, or from"),
    ("env: {A: {value: a, optional: true}}", "env.A: needs either value, or from"),
    ("env: {A: {from: vault, name: b, key: c}}", "env.A.from: 'vault' is none of config, secret"),
    ("env: {A: {from: config, name: b, key: ..}}", "env.A.key: key '..' may hold only"),
    ("envFile: [{from: config, name: b}]", "envFile[0]: the field 'key' is missing"),
    ("restart: sometimes", "restart: 'sometimes' is not a restart policy"),
    ("restart: on-failure:x", "restart: 'on-failure:x' is not a restart policy"),
    ("restart: on-failure:0", "restart: 'on-failure:0' is not a restart policy"),
    (
        "restart: never\nrestartBackoff: {initial: 1s}",
        "restartBackoff: has no meaning with restart: never",
    ),
    ("restartBackoff: {initial: 1ms}", "restartBackoff.initial: is below 10ms"),
    ("restartBackoff: {max: 100ms}", "restartBackoff.max: must be at least initial"),
    ("restartBackoff: {max: 25h}", "restartBackoff.max: must be at least initial, and at most 24h"),
    ("restartBackoff: {resetAfter: 25h}", "restartBackoff.resetAfter: is over 24h"),
    ("stop: {grace: 25h}", "stop.grace: is over 24h"),
    ("stop: {signal: FOO}", "stop.signal: 'FOO' is not a signal"),
    ("stop: {signal: 0}", "stop.signal: '0' is not a signal"),
    ("stop: {signal: 65}", "stop.signal: '65' is not a signal"),
    ("stop: {preStop: {command: []}}", "stop.preStop.command: is empty"),
    ("stop: {preStop: {command: [\"\\0\"]}}", "stop.preStop.command: has a word"),
    ("stop: {grace: 0s, preStop: {command: [x]}}", "stop.preStop: has no time to run"),
    ("replicas: 257", "replicas: is over 256"),
    ("pod: A_b", "pod: pod name 'A_b' may hold only"),
    ("priority: urgent", "priority: 'urgent' is none of low, normal, high, critical"),
];

const VOLUMES: &[Rule] = &[
    (
        "volumes: [{type: bind, source: /a, target: b}]",
        "volumes[0].target: must be an absolute path",
    ),
    (
        "volumes: [{type: bind, source: /a, target: /b/../c}]",
        "volumes[0].target: must not hold '..'",
    ),
    ("volumes: [{type: bind, source: /a, target: /b//c}]", "volumes[0].target: must not hold"),
    (
        "volumes: [{type: bind, source: /a, target: \"/b\\0\"}]",
        "volumes[0].target: is over 4096 bytes, or",
    ),
    ("volumes: [{type: bind, source: /a, target: /}]", "volumes[0].target: is the agent's root"),
    ("volumes: [{type: bind, source: /a, target: /.}]", "volumes[0].target: must not hold"),
    ("volumes: [{type: bind, source: /a, target: //}]", "volumes[0].target: must not hold"),
    (
        "volumes: [{type: tmpfs, target: /proc/}]",
        "volumes[0].target: is the agent's root, /dev, or in /proc",
    ),
    (
        "volumes: [{type: tmpfs, target: /proc/x}]",
        "volumes[0].target: is the agent's root, /dev, or in",
    ),
    ("volumes: [{type: tmpfs, target: /sys/fs/x}]", "volumes[0].target: is the agent's root"),
    ("volumes: [{type: bind, target: /b}]", "volumes[0].source: is missing"),
    (
        "volumes: [{type: bind, source: a, target: /b}]",
        "volumes[0].source: must be an absolute path",
    ),
    ("volumes: [{type: volume, source: A_b, target: /b}]", "volumes[0].source: volume name 'A_b'"),
    ("volumes: [{type: config, source: A_b, target: /b}]", "volumes[0].source: name of a config"),
    ("volumes: [{type: secret, source: A_b, target: /b}]", "volumes[0].source: name of a config"),
    (
        "volumes: [{type: tmpfs, source: /a, target: /b}]",
        "volumes[0].source: does not go with tmpfs",
    ),
    ("volumes: [{type: nfs, target: /b}]", "volumes[0].type: 'nfs' is none of bind, volume, tmpfs"),
    (
        "volumes: [{type: tmpfs, target: /b, propagation: rslave}]",
        "volumes[0].propagation: has no meaning for type tmpfs",
    ),
    ("volumes: [{type: tmpfs, target: /b, create: true}]", "volumes[0].create: has no meaning"),
    (
        "volumes: [{type: bind, source: /a, target: /b, size: 1Mi}]",
        "volumes[0].size: has no meaning for type bind",
    ),
    (
        "volumes: [{type: config, source: a, target: /b, size: 1Mi}]",
        "volumes[0].size: has no meaning",
    ),
    ("volumes: [{type: bind, source: /a, target: /b, uid: 1}]", "volumes[0].uid: has no meaning"),
    ("volumes: [{type: bind, source: /a, target: /b, gid: 1}]", "volumes[0].gid: has no meaning"),
    (
        "volumes: [{type: bind, source: /a, target: /b, mode: '0600'}]",
        "volumes[0].mode: has no meaning",
    ),
    ("volumes: [{type: tmpfs, target: /b, readOnly: true}]", "volumes[0].readOnly: has no meaning"),
    (
        "volumes: [{type: secret, source: a, target: /b, readOnly: true}]",
        "volumes[0].readOnly: has no meaning",
    ),
    ("volumes: [{type: tmpfs, target: /b, size: 1Ki}]", "volumes[0].size: is below 64Ki"),
    ("volumes: [{type: tmpfs, target: /b, mode: '9'}]", "volumes[0].mode: '9' is not a mode"),
    ("volumes: [{type: tmpfs, target: /b, mode: 'rw'}]", "volumes[0].mode: 'rw' is not a mode"),
    (
        "volumes: [{type: tmpfs, target: /b}, {type: tmpfs, target: /b/}]",
        "volumes[1].target: is taken by another volume",
    ),
];

const RESOURCES: &[Rule] = &[
    ("resources: {limits: {memory: 1k}}", "resources.limits.memory: is below 1Mi"),
    (
        "resources: {limits: {memory: 64MB}}",
        "resources.limits.memory: '64MB' is not an amount of memory",
    ),
    ("resources: {limits: {cpu: 9m}}", "resources.limits.cpu: is below 10m"),
    ("resources: {limits: {cpu: 1.5m}}", "resources.limits.cpu: '1.5m' is not an amount of CPU"),
    ("resources: {limits: {pids: 0}}", "resources.limits.pids: must be 1 to 4194304"),
    ("resources: {limits: {pids: 4194305}}", "resources.limits.pids: must be 1 to 4194304"),
    ("resources: {limits: {pids: -1}}", "resources.limits.pids: must be u32, not integer `-1`"),
    ("resources: {limits: {swap: 1Mi}}", "resources.limits.swap: needs limits.memory"),
    (
        "resources: {limits: {cpuset: 3-1}}",
        "resources.limits.cpuset: '3-1' is not a set of processors",
    ),
    ("resources: {limits: {cpuset: ''}}", "resources.limits.cpuset: '' is not a set"),
    ("resources: {limits: {cpuset: 9999}}", "resources.limits.cpuset: '9999' is not a set"),
    (
        "resources: {requests: {memory: 9Mi}, limits: {memory: 8Mi}}",
        "resources.requests.memory: is over limits.memory",
    ),
    (
        "resources: {requests: {cpu: 900m}, limits: {cpu: 800m}}",
        "resources.requests.cpu: is over limits.cpu",
    ),
    ("resources: {limits: {io: {weight: 0}}}", "resources.limits.io.weight: must be 1 to 10000"),
    (
        "resources: {limits: {io: {weight: 10001}}}",
        "resources.limits.io.weight: must be 1 to 10000",
    ),
    (
        "resources: {limits: {io: {devices: [{path: /sda, readBps: 1Mi}]}}}",
        "resources.limits.io.devices[0].path: must be the path of a block device",
    ),
    (
        "resources: {limits: {io: {devices: [{path: /dev/a, readBps: 1Mi}, {path: /dev/a, readIops: 1}]}}}",
        "resources.limits.io.devices[1].path: is named twice",
    ),
    (
        "resources: {limits: {io: {devices: [{path: /dev/a}]}}}",
        "resources.limits.io.devices[0]: limits nothing",
    ),
    (
        "resources: {limits: {io: {devices: [{path: /dev/a, writeIops: 0}]}}}",
        "resources.limits.io.devices[0]: has a limit of 0",
    ),
    ("resources: {tier: Small}", "resources.tier: tier name 'Small'"),
];

const PROBES: &[Rule] = &[
    ("healthCheck: {}", "healthCheck: needs one of http, tcp, command and file"),
    ("readiness: {tcp: {port: 1}, command: [x]}", "readiness: has several of http, tcp"),
    ("startup: {command: []}", "startup.command: is empty"),
    ("startup: {command: [\"\\0\"]}", "startup.command: has a word with a NUL"),
    ("healthCheck: {tcp: {port: 0}}", "healthCheck.tcp.port: is 0"),
    ("healthCheck: {tcp: {port: 70000}}", "healthCheck.tcp.port: must be u16"),
    ("healthCheck: {http: {port: 0}}", "healthCheck.http.port: is 0"),
    ("healthCheck: {http: {port: 1, path: x}}", "healthCheck.http.path: must begin with /"),
    ("healthCheck: {http: {port: 1, path: '/a b'}}", "healthCheck.http.path: must begin with /"),
    ("healthCheck: {http: {port: 1, status: 99}}", "healthCheck.http.status: '99' is not a range"),
    (
        "healthCheck: {http: {port: 1, status: 300-200}}",
        "healthCheck.http.status: '300-200' is not a range",
    ),
    (
        "healthCheck: {http: {port: 1, scheme: ftp}}",
        "healthCheck.http.scheme: 'ftp' is none of http, https",
    ),
    (
        "healthCheck: {http: {port: 1, headers: {'A B': c}}}",
        "healthCheck.http.headers.A B: is not a header",
    ),
    (
        "healthCheck: {http: {port: 1, headers: {A: \"b\\r\\nc\"}}}",
        "healthCheck.http.headers.A: is not a header",
    ),
    ("healthCheck: {file: {path: x}}", "healthCheck.file.path: must be an absolute path"),
    ("healthCheck: {file: {path: /x, maxAge: 0s}}", "healthCheck.file.maxAge: is 0s"),
    (
        "healthCheck: {tcp: {port: 1}, interval: 99ms}",
        "healthCheck.interval: must be at least 100ms",
    ),
    (
        "healthCheck: {tcp: {port: 1}, interval: 25h}",
        "healthCheck.interval: must be at least 100ms and at most 24h",
    ),
    ("healthCheck: {tcp: {port: 1}, interval: 30}", "healthCheck.interval: '30' is not a duration"),
    ("healthCheck: {tcp: {port: 1}, timeout: 0s}", "healthCheck.timeout: must be above 0s"),
    (
        "healthCheck: {tcp: {port: 1}, timeout: 2h}",
        "healthCheck.timeout: must be above 0s and at most 1h",
    ),
    ("healthCheck: {tcp: {port: 1}, retries: 0}", "healthCheck.retries: is 0"),
    ("healthCheck: {tcp: {port: 1}, startPeriod: 25h}", "healthCheck.startPeriod: is over 24h"),
    (
        "readiness: {tcp: {port: 1}, onUnhealthy: report}",
        "readiness.onUnhealthy: belongs into healthCheck only",
    ),
    (
        "startup: {tcp: {port: 1}, onUnhealthy: restart}",
        "startup.onUnhealthy: belongs into healthCheck only",
    ),
];

const JOBS: &[Rule] = &[
    ("job: {schedule: sometimes}", "job.schedule: 'sometimes' is not a schedule"),
    ("job: {schedule: '0 0 31 2 *'}", "job.schedule: '0 0 31 2 *' is a day that never comes"),
    ("job: {schedule: '* * * * * *'}", "job.schedule: '* * * * * *' is not a schedule"),
    ("job: {schedule: '@every 1ms'}", "job.schedule: @every: must be at least 1s"),
    (
        "job: {schedule: '@every 9999h'}",
        "job.schedule: @every: must be at least 1s and at most 8784h",
    ),
    ("job: {schedule: '@every'}", "job.schedule: @every: '' is not a duration"),
    ("job: {schedule: '@every 1h', timeZone: UTC}", "job.timeZone: has no meaning for @every"),
    ("job: {timeZone: UTC}", "job.timeZone: has no meaning without schedule"),
    ("job: {schedule: '@daily', timeZone: ../etc}", "job.timeZone: is not the name of a time zone"),
    ("job: {concurrency: allow}", "job.concurrency: has no meaning without schedule"),
    (
        "job: {schedule: '@daily', concurrency: maybe}",
        "job.concurrency: 'maybe' is none of forbid, replace, allow",
    ),
    ("job: {retries: 101}", "job.retries: is over 100"),
    ("job: {deadline: 1ms}", "job.deadline: must be at least 1s"),
    ("job: {deadline: 9999h}", "job.deadline: must be at least 1s and at most 8784h"),
    ("job: {history: 0}", "job.history: must be 1 to 100"),
    ("job: {history: 101}", "job.history: must be 1 to 100"),
    ("job: {}\nrestart: never", "restart: does not go with job; use job.retries"),
    ("job: {}\nreplicas: 2", "replicas: does not go with job"),
];

const SECURITY: &[Rule] = &[
    ("security: {runAsGroup: 1}", "security.runAsGroup: needs runAsUser"),
    ("security: {runAsUser: app}", "security.runAsUser: must be u32, not string \"app\""),
    ("user: '1'\nsecurity: {runAsUser: 1}", "user: is said twice"),
    ("security: {runAsUser: 4294967295}", "security.runAsUser: is 4294967295"),
    (
        "security: {userNamespace: true, supplementalGroups: [1, 65536]}",
        "security.supplementalGroups: is over 65535",
    ),
    ("user: '0:65536'\nsecurity: {userNamespace: true}", "user: is over 65535"),
    (
        "security: {capabilities: {drop: [NET_RAW]}}",
        "security.capabilities.drop: names NET_RAW, which add does not",
    ),
    (
        "security: {seccomp: {defaultAction: SCMP_ACT_ALLOW, defaultErrnoRet: 1}}",
        "security.seccomp.defaultErrnoRet: has no meaning",
    ),
    (
        "security: {seccomp: {defaultAction: SCMP_ACT_ERRNO, syscalls: [{names: [a], action: SCMP_ACT_ALLOW, errnoRet: 1}]}}",
        "security.seccomp.syscalls[0].errnoRet: has no meaning",
    ),
    (
        "security: {capabilities: {add: [NET_RAWW]}}",
        "security.capabilities.add: 'NET_RAWW' is not a capability",
    ),
    (
        "security: {capabilities: {drop: [x]}}",
        "security.capabilities.drop: 'x' is not a capability",
    ),
    ("security: {maskedPaths: [x]}", "security.maskedPaths: must be at most 256 absolute paths"),
    (
        "security: {readonlyPaths: [/a/../b]}",
        "security.readonlyPaths: must be at most 256 absolute paths",
    ),
    (
        "security: {devices: [{path: /etc/passwd}]}",
        "security.devices[0].path: must be a path below /dev",
    ),
    ("security: {devices: [{path: /dev/}]}", "security.devices[0].path: must be a path below /dev"),
    (
        "security: {devices: [{path: /dev/a, target: /b}]}",
        "security.devices[0].target: must be a path below /dev",
    ),
    (
        "security: {devices: [{path: /dev/a, permissions: x}]}",
        "security.devices[0].permissions: 'x' is not a choice",
    ),
    (
        "security: {devices: [{path: /dev/a}, {path: /dev/b, target: /dev/a}]}",
        "security.devices[1]: stands where another device does",
    ),
    (
        "security: {sysctls: {vm.swappiness: 1}}",
        "security.sysctls.vm.swappiness: is a setting of the whole machine",
    ),
    (
        "security: {sysctls: {net..x: 1}}",
        "security.sysctls.net..x: is a setting of the whole machine, or unknown",
    ),
    ("security: {sysctls: {net.x/../y: 1}}", "security.sysctls.net.x/../y: is a setting"),
    ("security: {sysctls: {net.x: ''}}", "security.sysctls.net.x: must be 1 to 256 characters"),
    (
        "security: {sysctls: {net.x: \"a\\nb\"}}",
        "security.sysctls.net.x: must be 1 to 256 characters",
    ),
    (
        "security: {sysctls: {net.x: 1}}\nnetwork: {mode: host}",
        "security.sysctls.net.x: would change the host's own network",
    ),
    (
        "security: {rlimits: {files: {soft: 1, hard: 1}}}",
        "security.rlimits.files: is unknown; known are as, core",
    ),
    (
        "security: {rlimits: {nofile: {soft: 2, hard: 1}}}",
        "security.rlimits.nofile: has a soft limit over its hard one",
    ),
    (
        "security: {privileged: true, capabilities: {add: [ALL]}}",
        "security.capabilities: has no meaning beside privileged",
    ),
    (
        "security: {privileged: true, devices: [{path: /dev/a}]}",
        "security.devices: has no meaning beside privileged",
    ),
    (
        "security: {privileged: true, seccomp: unconfined}",
        "security.seccomp: has no meaning beside privileged",
    ),
    (
        "security: {privileged: true, maskedPaths: []}",
        "security.maskedPaths: has no meaning beside privileged",
    ),
    (
        "security: {privileged: true, readonlyPaths: []}",
        "security.readonlyPaths: has no meaning beside privileged",
    ),
    (
        "security: {privileged: true, userNamespace: true}",
        "security.userNamespace: does not go with privileged",
    ),
    (
        "security: {userNamespace: true}\nnetwork: {mode: host}",
        "security.userNamespace: does not go with network.mode host",
    ),
    ("security: {seccomp: strict}", "security.seccomp: 'strict' is neither default nor unconfined"),
    (
        "security: {seccomp: {defaultAction: SCMP_ACT_NOTIFY}}",
        "security.seccomp.defaultAction: 'SCMP_ACT_NOTIFY' cannot be enforced",
    ),
    (
        "security: {seccomp: {defaultAction: SCMP_ACT_ALLOW, syscalls: [{names: [], action: SCMP_ACT_ALLOW}]}}",
        "security.seccomp.syscalls[0].names: must be 1 to 1024",
    ),
    (
        "security: {seccomp: {defaultAction: SCMP_ACT_ALLOW, syscalls: [{names: [a], action: DENY}]}}",
        "security.seccomp.syscalls[0].action: 'DENY' cannot",
    ),
    (
        "security: {seccomp: {defaultAction: SCMP_ACT_ALLOW, syscalls: [{names: [a], action: SCMP_ACT_LOG, args: [{index: 6, value: 1, op: SCMP_CMP_EQ}]}]}}",
        "security.seccomp.syscalls[0].args[0].index: must be 0 to 5",
    ),
    (
        "security: {seccomp: {defaultAction: SCMP_ACT_ALLOW, syscalls: [{names: [a], action: SCMP_ACT_LOG, args: [{index: 0, value: 1, op: EQ}]}]}}",
        "security.seccomp.syscalls[0].args[0].op: is none of SCMP_CMP_EQ",
    ),
];

const SURROUNDINGS: &[Rule] = &[
    ("logging: {maxSize: 1Ki}", "logging.maxSize: is below 64Ki"),
    ("logging: {maxFiles: 0}", "logging.maxFiles: must be 1 to 1000"),
    ("logging: {maxFiles: 1001}", "logging.maxFiles: must be 1 to 1000"),
    ("logging: {rateLimit: 1}", "logging.rateLimit: is below 1Ki a second"),
    ("network: {mode: bridge}", "network.mode: bridge does not exist yet; use none or host"),
    ("network: {mode: wifi}", "network.mode: 'wifi' is none of none, host, bridge"),
    ("network: {ports: [80]}", "network.ports: there is no field 'ports'; bridged networks"),
    ("pod: p\nhostname: h", "hostname: is the pod's; leave it out"),
    ("pod: p\nnetwork: {mode: host}", "network.mode: host does not go with pod"),
    ("pod: p\nsecurity: {userNamespace: true}", "security.userNamespace: does not go with pod"),
];

#[test]
fn each_rule_refuses_with_its_path_and_says_why() {
    let all = [PROGRAM, VOLUMES, RESOURCES, PROBES, JOBS, SECURITY, SURROUNDINGS];
    let mut wrong = Vec::new();
    for (yaml, expected) in all.into_iter().flatten() {
        match agent(yaml) {
            Ok(_) => wrong.push(format!("{yaml}: is taken, though {expected}")),
            Err(told) if told.starts_with(expected) => {}
            Err(told) => wrong.push(format!("{yaml}\n  expected: {expected}\n  told:     {told}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_holds_between_agents_is_checked() {
    for (agents, expected) in [
        (
            "- {name: a, image: x}\n- {name: a, image: y}",
            "agents[1].name: two agents have the name 'a'",
        ),
        (
            "- {name: a, image: x, dependsOn: {b: started}}",
            "agents[0].dependsOn.b: no agent has this name",
        ),
        (
            "- {name: a, image: x, dependsOn: {b: healthy}}\n- {name: b, image: x}",
            "agents[0].dependsOn.b: is to be healthy, but 'b' has neither healthCheck nor readiness",
        ),
        (
            "- {name: a, image: x, dependsOn: {b: completed}}\n- {name: b, image: x}",
            "agents[0].dependsOn.b: is to be completed, but 'b' runs for ever",
        ),
        (
            "- {name: a, image: x, replicas: 2}\n- {name: a-1, image: x}",
            "agents[0].name: agent 'a': its replicas take the name 'a-1'",
        ),
        (
            "- {name: a, image: x, job: {schedule: '@daily', concurrency: allow}}\n- {name: a-15, image: x}",
            "agents[0].name: agent 'a': its runs take the name 'a-15'",
        ),
        (
            "- {name: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, image: x, replicas: 2}",
            "agents[0].name: is too long to be numbered",
        ),
    ] {
        let told = read(&format!("agents:\n{agents}\n")).unwrap_err();
        assert!(told.len() == 1 && told[0].starts_with(expected), "{told:?}");
    }
    for fine in ["job: {}", "restart: never", "restart: on-failure"] {
        let text = format!(
            "agents:\n- {{name: a, image: x, dependsOn: {{b: completed}}}}\n- {{name: b, image: x, {fine}}}\n"
        );
        assert!(read(&text).is_ok(), "{fine}");
    }
    let many: String = (0..1025).map(|n| format!("- {{name: a{n}, image: x}}\n")).collect();
    assert!(read(&format!("agents:\n{many}")).unwrap_err()[0].contains("1025 agents are too many"));
    let many: String =
        (0..5).map(|n| format!("- {{name: a{n}, image: x, replicas: 256}}\n")).collect();
    assert!(read(&format!("agents:\n{many}")).unwrap_err()[0].contains("1280 agents are too many"));
}
