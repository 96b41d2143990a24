//! What to write instead of words that other tools use and Skerry has not.

/// The names of fields, and what follows "there is no field 'x'; ".
const HINTS: &[(&[&str], &str)] = &[
    (
        &["ports", "expose", "publish", "networks", "network_mode", "hostNetwork", "links", "dns"],
        "bridged networks and published ports do not exist yet: an agent has no network but its own \
         loopback, or the host's with network: { mode: host }",
    ),
    (
        &["extra_hosts", "hostAliases"],
        "names of hosts cannot be set yet; mount a file over /etc/hosts",
    ),
    (&["environment"], "variables are written as env: { NAME: value }"),
    (
        &["environment_file", "env_file", "envFrom"],
        "use envFile: [{ from: config, name: …, key: … }]",
    ),
    (&["valueFrom"], "write { from: config, name: …, key: … }, or from: secret"),
    (&["entrypoint"], "it is called command here, and what Compose calls command is args"),
    (&["working_dir", "workingDir", "cwd"], "it is called workdir"),
    (
        &["deploy"],
        "limits are in resources: { limits: { memory: 64Mi, cpu: 500m } }, copies in replicas",
    ),
    (
        &[
            "mem_limit",
            "memory",
            "mem_reservation",
            "memswap_limit",
            "cpus",
            "cpu",
            "cpu_quota",
            "cpuset",
            "pids_limit",
            "limits",
            "requests",
            "blkio_config",
            "io",
        ],
        "it belongs into resources: { requests: …, limits: { memory: 64Mi, cpu: 500m, pids: 64 } }",
    ),
    (
        &["cpu_shares", "oom_score_adj", "nice", "priorityClassName"],
        "use priority: low, normal, high or critical",
    ),
    (&["scale"], "it is called replicas"),
    (
        &["restart_policy", "restartPolicy"],
        "use restart: always, on-failure, on-failure:5 or never",
    ),
    (&["livenessProbe", "healthcheck", "liveness"], "it is called healthCheck"),
    (&["readinessProbe"], "it is called readiness"),
    (&["startupProbe"], "it is called startup"),
    (&["httpGet"], "it is called http: { port: 8080, path: /, status: 200-399 }"),
    (&["tcpSocket"], "it is called tcp: { port: 8080 }"),
    (&["exec", "test"], "use command: [\"/bin/check\"]"),
    (&["grpc"], "probes are http, tcp, command or file"),
    (&["periodSeconds"], "it is called interval, and takes a unit: 10s"),
    (&["timeoutSeconds"], "it is called timeout, and takes a unit: 5s"),
    (&["failureThreshold"], "it is called retries"),
    (&["initialDelaySeconds", "start_period"], "it is called startPeriod, and takes a unit: 5s"),
    (&["securityContext"], "it is called security"),
    (
        &["cap_add", "cap_drop", "capabilities"],
        "use security: { capabilities: { add: [NET_RAW] } }; none are given by default",
    ),
    (
        &[
            "privileged",
            "devices",
            "sysctls",
            "seccomp",
            "noNewPrivileges",
            "readOnlyRootFilesystem",
            "runAsUser",
            "runAsGroup",
            "userNamespace",
        ],
        "it belongs into security",
    ),
    (&["read_only"], "use security: { readOnlyRootFilesystem: true }, which is the default"),
    (&["security_opt"], "use security: { seccomp: …, noNewPrivileges: … }"),
    (&["ulimits"], "use security: { rlimits: { nofile: { soft: 1024, hard: 4096 } } }"),
    (&["group_add"], "use security: { supplementalGroups: [20] }"),
    (&["runAsNonRoot", "fsGroup"], "use security: { runAsUser: 1000, runAsGroup: 1000 }"),
    (&["seccompProfile"], "it is called seccomp: default, unconfined, or a profile written out"),
    (&["containers", "services"], "each container is an agent of its own, in a list below agents:"),
    (
        &["initContainers"],
        "make it an agent with a job, and name it in dependsOn: { NAME: completed }",
    ),
    (
        &["volumeMounts", "tmpfs", "secrets", "mounts"],
        "use volumes: [{ type: bind, volume, tmpfs, config or secret, source: …, target: /data }]",
    ),
    (&["mountPath", "destination"], "it is called target"),
    (
        &["hostPath", "configMap", "secretName", "emptyDir", "persistentVolumeClaim"],
        "write { type: bind, source: /host/path, target: /path }; types are bind, volume, tmpfs, config and secret",
    ),
    (
        &["imagePullPolicy", "pull_policy", "imagePullSecrets"],
        "an image is imported first (skerry image import), and never pulled by itself",
    ),
    (&["build"], "build the image elsewhere, and import it: skerry image import FILE"),
    (
        &[
            "cron",
            "schedule",
            "deadline",
            "backoffLimit",
            "concurrency",
            "concurrencyPolicy",
            "retries",
        ],
        "use job: { schedule: \"*/15 * * * *\", retries: 2, deadline: 1h, concurrency: forbid }",
    ),
    (&["timezone", "tz"], "it is called timeZone"),
    (&["activeDeadlineSeconds"], "it is called deadline, and takes a unit: 1h"),
    (
        &[
            "stop_signal",
            "stopSignal",
            "stop_grace_period",
            "terminationGracePeriodSeconds",
            "lifecycle",
            "preStop",
            "grace",
            "signal",
        ],
        "use stop: { signal: TERM, grace: 10s, preStop: { command: […] } }",
    ),
    (&["container_name", "id"], "it is called name"),
    (&["domainname"], "use security: { sysctls: { kernel.domainname: … } }"),
    (
        &["ipc", "pid", "shareProcessNamespace"],
        "agents of one pod share network, IPC and host name: pod: NAME",
    ),
    (
        &["kind", "metadata", "spec"],
        "this is not Kubernetes: write agents: [{ name: …, image: … }]",
    ),
    (&["ro", "rw", "readonly"], "use readOnly: true"),
    (&["nodeSelector", "affinity", "tolerations"], "a document is signed for one node or group"),
];

/// What to write instead of a field, where it is not one of the `known` in other letters.
pub(super) fn find(field: &str, known: &[&str]) -> Option<&'static str> {
    let plain = |text: &str| text.replace(['_', '-'], "").to_ascii_lowercase();
    if known.iter().any(|name| plain(name) == plain(field)) {
        return None;
    }
    HINTS.iter().find(|(names, _)| names.contains(&field)).map(|(_, hint)| *hint)
}
