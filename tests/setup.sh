# shellcheck shell=bash
# Sourced by tests/run, tests/demo and .ci/run: finds the toolchain, installs what is missing, and
# says so. Decides nothing about what is built or tested. Read tests/run next.

# Prints one step of the set-up, so that a slow one is not taken for a hang.
say() { printf '==> %s\n' "$*" >&2; }

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# Containers, cgroups and mounts need root; a test that can't have it would prove nothing.
need_root() {
    [ "$(id -u)" -eq 0 ] && return
    die "$1 starts containers and sets cgroup limits, which needs root.
  cause: you are $(id -un) (uid $(id -u))
  next:  sudo $1"
}

# sudo drops the PATH and HOME under which rustup installed cargo: find the caller's again, and give
# the caller back what root writes there.
find_cargo() {
    if ! command -v cargo >/dev/null 2>&1; then
        local home="$HOME"
        [ -z "${SUDO_USER:-}" ] || home="$(getent passwd "$SUDO_USER" | cut -d: -f6)"
        [ -x "$home/.cargo/bin/cargo" ] || die "no cargo found.
  cause: neither PATH nor $home/.cargo/bin has it
  next:  install Rust with rustup (or put cargo on PATH: sudo env PATH=\"\$PATH\" …)"
        export CARGO_HOME="${CARGO_HOME:-$home/.cargo}" RUSTUP_HOME="${RUSTUP_HOME:-$home/.rustup}"
        PATH="$CARGO_HOME/bin:$PATH"
    fi
    # What this run installs must be found by it as well: cargo-nextest here, mosquitto in sbin.
    PATH="$PATH:${CARGO_HOME:-$HOME/.cargo}/bin:/usr/sbin:/sbin"
    export PATH
    [ -z "${SUDO_USER:-}" ] || trap give_back EXIT
}

give_back() {
    local place
    for place in "$ROOT/target" "${CARGO_HOME:-}"; do
        if [ -d "$place" ]; then
            find "$place" -user root -exec chown -h "$SUDO_UID:$SUDO_GID" {} + || true
        fi
    done
}

# need_packages COMMAND-OR-FILE=PACKAGE…: installs the Debian packages whose command or file is missing.
need_packages() {
    local pair probe missing=()
    for pair in "$@"; do
        probe="${pair%%=*}"
        case "$probe" in
        /*) compgen -G "$probe" >/dev/null || missing+=("${pair#*=}") ;;
        *) command -v "$probe" >/dev/null 2>&1 || missing+=("${pair#*=}") ;;
        esac
    done
    [ "${#missing[@]}" -gt 0 ] || return 0
    command -v apt-get >/dev/null 2>&1 || die "missing: ${missing[*]}
  cause: this machine has no apt-get to install them with
  next:  install them, then run this again"
    say "installing Debian packages: ${missing[*]}"
    # A first try with the lists as they are; many machines have never fetched them, or long ago.
    apt_install "${missing[@]}" >/dev/null 2>&1 || {
        apt-get update -qq
        apt_install "${missing[@]}"
    }
}

# Daemons that a package would start (mosquitto on port 1883) stay down: tests start their own.
apt_install() {
    local policy=/usr/sbin/policy-rc.d ours=no status=0
    if [ ! -e "$policy" ]; then
        ours=yes
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
    fi
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@" || status=$?
    [ "$ours" = no ] || rm -f "$policy"
    return "$status"
}

# need_tool COMMAND CRATE [CARGO-INSTALL-OPTION…]: builds a cargo tool from crates.io when missing.
# Built without optimisation: it runs for seconds here, and optimising it takes minutes.
need_tool() {
    local tool="$1" crate="$2"
    shift 2
    ! command -v "$tool" >/dev/null 2>&1 || return 0
    say "installing $crate from crates.io (a few minutes, once)"
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_DEBUG=0 \
        CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 RUSTFLAGS="" \
        cargo install "$crate" --locked --quiet "$@"
}

# What a C linker and a static program need.
need_linker() {
    need_packages gcc=gcc '/usr/lib/*/libc.a=libc6-dev'
}
