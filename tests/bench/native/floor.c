/* The floor: a container made with nothing but the system calls it needs.
 *
 * Reads a plan that the harness derived from the same OCI bundle the other contestants get
 * (see src/bundle.rs), joins the cgroups, clones into the namespaces, mounts, pivots, drops
 * privileges and executes the program; waits for it and removes the cgroups. It must never do
 * work that a container does not need, nor leave out a step whose result can be seen from
 * inside (the harness compares the insides). No seccomp filter is installed.
 *
 *   floor PLAN PROGRAM [ARGUMENT]...
 *
 * A plan is a list of lines; the fields are separated by one space, the last takes the rest:
 *   cgroup1 DIR FILE | cgroup2 DIR make it and put the container into it; on v1 by writing 0 to
 *                                  FILE: `cgroup.procs` moves a process, and first waits for an
 *                                  RCU grace period (5 to 15 ms on a rested machine); `tasks` moves
 *                                  the one thread that writes, and waits for nothing (Linux 5.5)
 *   set FILE VALUE                 write a limit
 *   root DIR | overlay DIR OPTIONS the root file system: bound read-only, or an overlay on DIR
 *   mount TYPE SOURCE TARGET FLAGS DATA
 *   device PATH MAJOR MINOR | link TARGET PATH
 *   mask PATH | readonly PATH      after the pivot
 *   hostname NAME | nofile N | capabilities HEX
 *
 * Next: probe.c, which it usually starts.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sched.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MOST_LINES = 256, MOST_BYTES = 65536, MOST_CGROUPS = 16, LAST_CAPABILITY = 40 };

struct line {
    char *verb;
    char *rest;
};

static char text[MOST_BYTES];
static struct line lines[MOST_LINES];
static int line_count;
static int cgroup_fds[MOST_CGROUPS];
static int cgroup_count;
static int cgroup2_fd = -1;

static void fail(const char *operation, const char *object) {
    dprintf(2, "floor: %s %s: %s\n", operation, object, strerror(errno));
    _exit(125);
}

static char *field(char **rest) {
    char *start = *rest;
    if (!start) fail("read a field of", "the plan");
    char *space = strchr(start, ' ');
    if (space) *space = 0;
    *rest = space ? space + 1 : NULL;
    return start;
}

static void read_plan(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail("open", path);
    ssize_t size = read(fd, text, sizeof text - 1);
    if (size < 0) fail("read", path);
    close(fd);
    for (char *at = text; *at;) {
        char *end = strchrnul(at, '\n');
        char *next = *end ? end + 1 : end;
        *end = 0;
        if (*at) {
            if (line_count == MOST_LINES) fail("too many lines in", path);
            char *rest = at;
            lines[line_count].verb = field(&rest);
            lines[line_count++].rest = rest;
        }
        at = next;
    }
}

static int is(const struct line *line, const char *verb) { return strcmp(line->verb, verb) == 0; }

/* Before the clone: cgroups and their limits. */
static void prepare(void) {
    for (int i = 0; i < line_count; i++) {
        struct line *line = &lines[i];
        char *rest = line->rest;
        if (is(line, "cgroup1") || is(line, "cgroup2")) {
            char *path = field(&rest);
            if (mkdir(path, 0755) && errno != EEXIST) fail("mkdir", path);
            int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
            if (dir < 0) fail("open", path);
            if (is(line, "cgroup2")) {
                cgroup2_fd = dir;
                continue;
            }
            if (cgroup_count == MOST_CGROUPS) fail("too many cgroups at", path);
            int fd = openat(dir, rest, O_WRONLY | O_CLOEXEC);
            if (fd < 0) fail("open the joining file of", path);
            cgroup_fds[cgroup_count++] = fd;
            close(dir);
        } else if (is(line, "set")) {
            char *file = field(&rest);
            int fd = open(file, O_WRONLY | O_CLOEXEC);
            if (fd < 0) fail("open", file);
            if (write(fd, rest, strlen(rest)) < 0) fail("write", file);
            close(fd);
        }
    }
}

static void mount_one(char *rest) {
    char *type = field(&rest), *source = field(&rest), *target = field(&rest) + 1;
    unsigned long flags = strtoul(field(&rest), NULL, 16);
    if (mkdir(target, 0755) && errno != EEXIST && errno != EROFS) fail("mkdir", target);
    if (mount(source, target, type, flags, rest)) fail("mount", target);
}

static void make_device(char *rest) {
    char *path = field(&rest) + 1;
    unsigned major_number = (unsigned)atoi(field(&rest));
    if (mknod(path, S_IFCHR | 0666, makedev(major_number, (unsigned)atoi(rest)))) {
        fail("mknod", path);
    }
}

/* Inside the new mount namespace, with the new root as the working directory. */
static void furnish(void) {
    if (mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL)) fail("mount", "/");
    for (int i = 0; i < line_count; i++) {
        struct line *line = &lines[i];
        char *rest = line->rest;
        if (is(line, "root")) {
            if (mount(rest, rest, NULL, MS_BIND | MS_REC, NULL)) fail("bind", rest);
            if (chdir(rest)) fail("chdir", rest);
        } else if (is(line, "overlay")) {
            char *target = field(&rest);
            if (mount("overlay", target, "overlay", MS_RDONLY, rest)) fail("overlay", rest);
            if (chdir(target)) fail("chdir", target);
        } else if (is(line, "mount")) {
            mount_one(rest);
        } else if (is(line, "device")) {
            make_device(rest);
        } else if (is(line, "link")) {
            char *target = field(&rest);
            if (symlink(target, rest + 1)) fail("link", rest);
        }
    }
}

static void pivot(void) {
    if (syscall(SYS_pivot_root, ".", ".")) fail("pivot_root", ".");
    if (umount2(".", MNT_DETACH)) fail("umount", "the old root");
    if (chdir("/")) fail("chdir", "/");
    if (mount(NULL, "/", NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL)) fail("remount", "/");
}

static void mask(const char *path) {
    if (mount("/dev/null", path, NULL, MS_BIND, NULL) == 0) return;
    if (errno == ENOENT) return;
    if (errno != ENOTDIR) fail("mask", path);
    if (mount("tmpfs", path, "tmpfs", MS_RDONLY, NULL)) fail("mask", path);
}

static void make_readonly(const char *path) {
    unsigned long kept = MS_NOSUID | MS_NODEV | MS_NOEXEC;
    if (mount(path, path, NULL, MS_BIND | MS_REC, NULL)) {
        if (errno == ENOENT) return;
        fail("bind", path);
    }
    if (mount(NULL, path, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | kept, NULL)) {
        fail("remount", path);
    }
}

static void loopback_up(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request)) fail("bring up", "lo");
    close(fd);
}

static void drop_capabilities(uint64_t kept) {
    for (int number = 0; number <= LAST_CAPABILITY; number++) {
        if (kept >> number & 1) continue;
        if (prctl(PR_CAPBSET_DROP, number, 0, 0, 0)) fail("drop", "a capability");
    }
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2] = {
        {.effective = (uint32_t)kept, .permitted = (uint32_t)kept},
        {.effective = (uint32_t)(kept >> 32), .permitted = (uint32_t)(kept >> 32)},
    };
    if (syscall(SYS_capset, &header, data)) fail("set", "capabilities");
}

static void restrict_self(void) {
    for (int i = 0; i < line_count; i++) {
        struct line *line = &lines[i];
        if (is(line, "mask")) mask(line->rest);
        if (is(line, "readonly")) make_readonly(line->rest);
        if (is(line, "hostname") && sethostname(line->rest, strlen(line->rest))) {
            fail("set", "the host name");
        }
        if (is(line, "nofile")) {
            rlim_t most = strtoul(line->rest, NULL, 10);
            struct rlimit limit = {most, most};
            if (setrlimit(RLIMIT_NOFILE, &limit)) fail("set", "the limit of open files");
        }
    }
    loopback_up();
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) fail("set", "no_new_privs");
    for (int i = 0; i < line_count; i++) {
        if (is(&lines[i], "capabilities")) drop_capabilities(strtoull(lines[i].rest, NULL, 16));
    }
}

static void become_container(char **program) {
    static char *environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
    for (int i = 0; i < cgroup_count; i++) {
        if (write(cgroup_fds[i], "0", 1) != 1) fail("join", "a cgroup");
    }
    if (cgroup2_fd < 0 && unshare(CLONE_NEWCGROUP)) fail("unshare", "the cgroup namespace");
    setsid();
    umask(0);
    furnish();
    pivot();
    restrict_self();
    umask(022);
    syscall(SYS_close_range, 3U, ~0U, 0U);
    execve(program[0], program, environment);
    fail("execute", program[0]);
}

static void remove_cgroups(void) {
    for (int i = 0; i < line_count; i++) {
        struct line *line = &lines[i];
        if (!is(line, "cgroup1") && !is(line, "cgroup2")) continue;
        for (int tries = 0; rmdir(line->rest) && errno == EBUSY && tries < 1000; tries++) {
            usleep(1000);
        }
    }
}

int main(int count, char **arguments) {
    if (count < 3) {
        dprintf(2, "usage: floor PLAN PROGRAM [ARGUMENT]...\n");
        return 125;
    }
    read_plan(arguments[1]);
    prepare();
    struct clone_args clone = {
        .flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET,
        .exit_signal = SIGCHLD,
    };
    if (cgroup2_fd >= 0) {
        clone.flags |= CLONE_INTO_CGROUP | CLONE_NEWCGROUP;
        clone.cgroup = (uint64_t)cgroup2_fd;
    }
    pid_t pid = (pid_t)syscall(SYS_clone3, &clone, sizeof clone);
    if (pid < 0) fail("clone3", "into the namespaces");
    if (pid == 0) become_container(arguments + 2);
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) fail("wait for", "the container");
    }
    remove_cgroups();
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
