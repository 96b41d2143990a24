/* The program that every contestant starts in its container.
 *
 * Its first act is to read CLOCK_MONOTONIC; then it writes "probe <nanoseconds>" to standard
 * output. The instant travels in the message, so it does not matter how fast the message is
 * carried (a pipe, or a monitor's log file). It must never link a C library: a library's own
 * start-up would be counted as the container's.
 *
 *   probe once    report and leave
 *   probe wait    report and stay until SIGTERM (an agent with nothing to do)
 *   probe show    report, then print what the sandbox looks like from inside, and leave
 *   probe both    show, then wait
 *   probe flood N report, write N MiB in lines of 128 bytes as fast as they are taken, and leave
 *
 * Next: floor.c, which starts it with nothing but system calls.
 */
#include <asm/unistd.h>

typedef unsigned long word;

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\tmov %rsp, %rdi\n\tand $-16, %rsp\n\tcall begin\n");
static long call(long n, long a, long b, long c, long d) {
    long result;
    register long r10 __asm__("r10") = d;
    __asm__ volatile("syscall"
                     : "=a"(result)
                     : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10)
                     : "rcx", "r11", "memory");
    return result;
}
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x0, sp\n\tbl begin\n");
static long call(long n, long a, long b, long c, long d) {
    register long x8 __asm__("x8") = n;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3) : "memory");
    return x0;
}
#else
#error "probe.c: add this architecture's entry point and system call"
#endif

struct instant {
    long seconds;
    long nanoseconds;
};

static char buffer[65536];

static word length_of(const char *text) {
    word n = 0;
    while (text[n]) n++;
    return n;
}

static void put(const char *text, word length) {
    while (length > 0) {
        long written = call(__NR_write, 1, (long)text, (long)length, 0);
        if (written <= 0) return;
        text += written;
        length -= (word)written;
    }
}

static void put_file(const char *path) {
    long fd = call(__NR_openat, -100, (long)path, 0, 0);
    if (fd < 0) return;
    put("== ", 3);
    put(path, length_of(path));
    put("\n", 1);
    for (;;) {
        long count = call(__NR_read, fd, (long)buffer, sizeof buffer, 0);
        if (count <= 0) break;
        put(buffer, (word)count);
    }
    call(__NR_close, fd, 0, 0, 0);
}

static void put_link(const char *path) {
    long count = call(__NR_readlinkat, -100, (long)path, (long)buffer, sizeof buffer);
    if (count <= 0) return;
    put(buffer, (word)count);
    put("\n", 1);
}

static void report(const struct instant *now) {
    char line[40] = "probe ";
    char digits[24];
    word value = (word)now->seconds * 1000000000UL + (word)now->nanoseconds;
    int count = 0, at = 6;
    do {
        digits[count++] = (char)('0' + value % 10);
        value /= 10;
    } while (value);
    while (count > 0) line[at++] = digits[--count];
    line[at++] = '\n';
    put(line, (word)at);
}

static void show(void) {
    put("== namespaces\n", 14);
    put_link("/proc/self/ns/pid");
    put_link("/proc/self/ns/mnt");
    put_link("/proc/self/ns/uts");
    put_link("/proc/self/ns/ipc");
    put_link("/proc/self/ns/net");
    put_link("/proc/self/ns/cgroup");
    put_link("/proc/self/ns/user");
    put_file("/proc/self/mountinfo");
    put_file("/proc/self/status");
    put_file("/proc/self/cgroup");
    put_file("/proc/net/dev");
    put("== end\n", 7);
}

static void flood(const char *mebibytes) {
    word count = 0;
    while (*mebibytes >= '0' && *mebibytes <= '9') count = count * 10 + (word)(*mebibytes++ - '0');
    for (word at = 0; at < sizeof buffer; at++) buffer[at] = at % 128 == 127 ? '\n' : 'x';
    for (word part = 0; part < count * (1048576 / sizeof buffer); part++) put(buffer, sizeof buffer);
}

__attribute__((used)) void begin(long *stack) {
    struct instant now;
    call(__NR_clock_gettime, 1, (long)&now, 0, 0);
    /* Blocked before the report: whoever has read it may send SIGTERM at once. */
    word all = ~0UL, stop = (1UL << 14) | (1UL << 1);
    call(__NR_rt_sigprocmask, 0, (long)&all, 0, sizeof all);
    report(&now);
    char mode = stack[0] > 1 ? ((char **)(stack + 1))[1][0] : 'o';
    if (mode == 's' || mode == 'b') show();
    if (mode == 'f' && stack[0] > 2) flood(((char **)(stack + 1))[2]);
    if (mode == 'w' || mode == 'b') {
        while (call(__NR_rt_sigtimedwait, (long)&stop, 0, 0, sizeof stop) < 0) {
        }
    }
    call(__NR_exit_group, 0, 0, 0, 0);
    for (;;) {
    }
}
