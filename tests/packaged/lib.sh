# shellcheck shell=sh
# Sourced by the scripts that run inside the tree or the machine under test: steps that are told, waits
# that end, and an agent to watch. Plain sh: nothing is there but what a device has. See tests/packages.

# shellcheck disable=SC2034 # for those who source this
IMAGE=/proof/beat.tar
STEPS=0

# ok TEXT COMMAND…: a step of the test; the first that fails ends it.
ok() {
    text="$1"
    shift
    STEPS=$((STEPS + 1))
    # Not in a subshell: a step may start something, or remember something.
    if "$@" >/tmp/step.log 2>&1; then
        echo "ok $STEPS - $text ($(cut -d . -f 1 /proc/uptime) s)"
    else
        echo "not ok $STEPS - $text"
        echo "  failed: $*"
        tail -n 30 /tmp/step.log | sed 's/^/  | /'
        told_more
        echo "PROOF FAILED"
        finish
    fi
}

# What else helps to understand a failure, and how a script ends: its own, if it says so.
told_more() { :; }
finish() { exit 1; }

not() { ! "$@"; }

# within SECONDS COMMAND…: waits until the command succeeds.
within() {
    left="$1"
    shift
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || { echo "not within the time: $*" && "$@"; return 1; }
        sleep 1
    done
}

equal() { [ "$1" = "$2" ] || { echo "'$1' is not '$2'" && return 1; }; }
differ() { [ "$1" != "$2" ] || { echo "both are '$1'" && return 1; }; }
alive() { [ -n "$1" ] && [ -d "/proc/$1" ] && ! grep -q '^State:.*zombie' "/proc/$1/status"; }
# It is only told that something was refused if it is told why.
refuses() {
    why="$1"
    shift
    if said="$("$@" 2>&1)"; then
        echo "was not refused: $*" && return 1
    fi
    case "$said" in *"$why"*) ;; *) echo "refused without '$why': $said" && return 1 ;; esac
}

# pid_of AGENT monitor|init: from the record of its run.
pid_of() { sed -n 's/.*"'"$2"'": *{[^}]*"pid": *\([0-9]*\).*/\1/p' "/run/skerry/agents/$1/state.json" 2>/dev/null; }
runs() { skerry ps 2>/dev/null | grep -q "^$1 .*running" && alive "$(pid_of "$1" init)"; }
# The same container, the same monitor, and both alive.
unharmed() { equal "$(pid_of beat init) $(pid_of beat monitor)" "$BEAT" && alive "$(pid_of beat init)" && alive "$(pid_of beat monitor)"; }
remember() { BEAT="$(pid_of beat init) $(pid_of beat monitor)"; }
answers() { skerry status >/dev/null; }
