//! Whatever is written by others is bounded: lists, texts, and what stands in them.

use super::agent;

#[test]
fn lists_are_bounded() {
    let list = |one: &str, count: usize| {
        (0..count).map(|n| one.replace('N', &n.to_string())).collect::<Vec<_>>().join(", ")
    };
    let profile = |rules: String| {
        format!("security: {{seccomp: {{defaultAction: SCMP_ACT_ALLOW, syscalls: [{rules}]}}}}")
    };
    let rule = "{names: [a], action: SCMP_ACT_LOG}";
    let condition = list("{index: 0, value: 1, op: SCMP_CMP_EQ}", 7);
    for (yaml, expected) in [
        (format!("command: [{}]", list("a", 257)), "command: has more than 256 words"),
        (
            format!("args: [{}]", "x".repeat(32 * 1024 + 1)),
            "args: has a word with a NUL or more than",
        ),
        (format!("hostname: {}", "x".repeat(65)), "hostname: must be"),
        (format!("labels: {{{}}}", list("kN: v", 65)), "labels: has more than 64 entries"),
        (format!("labels: {{k: {}}}", "x".repeat(257)), "labels.k: is over 256 bytes"),
        (
            format!("annotations: {{k: {}}}", "x".repeat(16 * 1024 + 1)),
            "annotations.k: is over 16384",
        ),
        (format!("env: {{{}}}", list("kN: v", 257)), "env: has more than 256 variables"),
        (
            format!("env: {{A: {}}}", "x".repeat(32 * 1024 + 1)),
            "env.A: has a NUL or more than 32 KiB",
        ),
        (
            format!("envFile: [{}]", list("{from: secret, name: a, key: k}", 17)),
            "envFile: names more than 16 files",
        ),
        (
            format!("volumes: [{}]", list("{type: tmpfs, target: /N}", 65)),
            "volumes: has more than 64",
        ),
        (
            format!("volumes: [{{type: tmpfs, target: /{}}}]", "x".repeat(4096)),
            "volumes[0].target: is over 4096",
        ),
        (
            format!(
                "resources: {{limits: {{io: {{devices: [{}]}}}}}}",
                list("{path: /dev/N, readIops: 1}", 17)
            ),
            "resources.limits.io.devices: has more than 16",
        ),
        (
            format!("resources: {{limits: {{cpuset: '{}'}}}}", list("1", 257).replace(' ', "")),
            "resources.limits.cpuset: has more than 256 ranges",
        ),
        (
            format!("healthCheck: {{http: {{port: 1, headers: {{{}}}}}}}", list("hN: v", 33)),
            "healthCheck.http.headers: has more than 32",
        ),
        (format!("dependsOn: {{{}}}", list("aN: started", 257)), "dependsOn: names more than 256"),
        (
            format!("security: {{supplementalGroups: [{}]}}", list("N", 65)),
            "security.supplementalGroups: has",
        ),
        (
            format!("security: {{devices: [{}]}}", list("{path: /dev/N}", 65)),
            "security.devices: has more than 64",
        ),
        (
            format!("security: {{sysctls: {{{}}}}}", list("net.N: v", 65)),
            "security.sysctls: has more than 64",
        ),
        (
            format!("security: {{maskedPaths: [{}]}}", list("/N", 257)),
            "security.maskedPaths: must be at most",
        ),
        (profile(list(rule, 1025)), "security.seccomp.syscalls: has more than 1024 rules"),
        (
            profile(format!("{{names: [{}], action: SCMP_ACT_LOG}}", list("a", 1025))),
            "security.seccomp.syscalls[0].names: must be 1 to 1024",
        ),
        (
            profile(format!("{{names: [a], action: SCMP_ACT_LOG, args: [{condition}]}}")),
            "security.seccomp.syscalls[0].args: has more than 6 conditions",
        ),
        (format!("job: {{schedule: '{}'}}", "*".repeat(257)), "job.schedule: is over 256 bytes"),
    ] {
        let told = agent(&yaml).unwrap_err();
        assert!(told.starts_with(expected), "{expected}: {told}");
    }
}
