#!/bin/sh
# Installs the Skerry node from the archive beside this file, or takes it away again. Needs no network.
#
#   install.sh                      the archive for this machine beside install.sh
#   install.sh FILE.tar.gz          this one; FILE.tar.gz.sig must lie beside it
#   install.sh --uninstall          removes the node and stops its agents; state and settings stay
#   install.sh --uninstall --purge  and deletes state and settings, the node's key among them
#
#   --key KEY         the public key to trust, or a file with it; otherwise the one put in here by the release
#   --prefix DIR      where it goes; /usr/local by default
#   --no-start        neither enables nor starts the node
#   --downgrade       allows an older version than the one installed
#
# Nothing is unpacked before the signature was found good. An update replaces the program at once and
# restarts the node; agents run on. If the new node does not start, the old one is put back.
# Settings in /etc/skerry are never overwritten.
set -eu

PUBLIC_KEY=""
CONFIG=/etc/skerry
STATE=/var/lib/skerry
RUN=/run/skerry

say() { printf '%s\n' "$*"; }
die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}
usage() {
    sed -n '2,/^set /s/^# \{0,1\}//p' "$0" | sed '$d' >&2
    exit 2
}

# --- what machine this is

# Which archives run here, the best first.
suitable() {
    machine="$(uname -m)"
    case "$machine" in
    x86_64) echo amd64 ;;
    # Most 64-bit ARM processors run 32-bit programs too; `skerry version` proves it later.
    aarch64) echo "arm64 armhf" ;;
    armv7* | armv8l) echo armhf ;;
    riscv64) echo riscv64 ;;
    *) die "no Skerry for this machine.
  cause: its processor calls itself '$machine'; there are x86_64, aarch64, armv7 and riscv64" ;;
    esac
}

init_system() {
    if [ -d /run/systemd/system ]; then
        echo systemd
    elif [ -x /sbin/openrc-run ]; then
        echo openrc
    else
        echo none
    fi
}

# --- the signature

# Keys and signatures are base64 of: Ed, 8 bytes by which keys are told apart, the 32 or 64 bytes.
decode() { openssl base64 -d -A 2>/dev/null; }

read_key() {
    [ -n "$PUBLIC_KEY" ] || die "no key to check the signature with.
  cause: this install.sh does not come from a release
  next:  install.sh --key KEY FILE, with the public key from whoever made the archive"
    [ ! -f "$PUBLIC_KEY" ] || PUBLIC_KEY="$(grep -v '^untrusted comment:' "$PUBLIC_KEY" | head -n 1)"
    case "$PUBLIC_KEY" in
    RW*) [ "${#PUBLIC_KEY}" -eq 56 ] || die "the public key '$PUBLIC_KEY' is not complete." ;;
    *) die "'$PUBLIC_KEY' is no public key; it begins with RW and has 56 characters." ;;
    esac
}

# Checks with whatever this machine has. All three check the same bytes with the same key.
verify() {
    file="$1" signature="$1.sig"
    [ -r "$file" ] || die "there is no $file, or it cannot be read."
    [ -r "$signature" ] || die "$file is not signed.
  cause: there is no $signature
  next:  copy it beside the archive"
    read_key
    # What is checked is what is unpacked, even if the stick changes its mind.
    cp "$file" "$WORK/archive"
    if openssl pkeyutl -help 2>&1 | grep -q -e -rawin; then
        verify_by_openssl
    elif command -v minisign >/dev/null 2>&1; then
        minisign -Vqm "$WORK/archive" -x "$signature" -P "$PUBLIC_KEY" >/dev/null 2>&1 || bad_signature
    elif command -v signify-openbsd >/dev/null 2>&1; then
        verify_by_signify signify-openbsd
    elif command -v signify >/dev/null 2>&1; then
        verify_by_signify signify
    else
        die "nothing here can check an ed25519 signature.
  cause: there is neither openssl 3 nor minisign nor signify
  next:  install one of them (openssl, minisign, signify-openbsd); nothing was installed"
    fi
}

verify_by_openssl() {
    sed -n 2p "$signature" | decode >"$WORK/signature.all"
    printf %s "$PUBLIC_KEY" | decode >"$WORK/key.all"
    [ "$(wc -c <"$WORK/signature.all")" -eq 74 ] || die "$signature is no signature, or not complete."
    head -c 10 "$WORK/signature.all" >"$WORK/signed-by"
    head -c 10 "$WORK/key.all" >"$WORK/trusted"
    cmp -s "$WORK/signed-by" "$WORK/trusted" || die "$file was signed with another key.
  cause: it is not from whom this install.sh trusts
  next:  get archive and install.sh from the same release, or name its key with --key"
    tail -c 64 "$WORK/signature.all" >"$WORK/signature"
    # An ed25519 public key in DER: a fixed head, and the 32 bytes.
    { printf '\060\052\060\005\006\003\053\145\160\003\041\000' && tail -c 32 "$WORK/key.all"; } >"$WORK/key.der"
    openssl pkeyutl -verify -rawin -pubin -keyform DER -inkey "$WORK/key.der" -sigfile "$WORK/signature" -in "$WORK/archive" \
        >/dev/null 2>&1 || bad_signature
}

verify_by_signify() {
    printf 'untrusted comment: key\n%s\n' "$PUBLIC_KEY" >"$WORK/key.pub"
    "$1" -V -q -p "$WORK/key.pub" -x "$signature" -m "$WORK/archive" >/dev/null 2>&1 || bad_signature
}

# The size beside the signature is only a hint for people; a file of the right size may be bad as well.
bad_signature() {
    has="$(wc -c <"$file" | tr -d ' ')"
    signed="$(sed -n 's/^trusted comment:.* size:\([0-9]*\).*/\1/p' "$signature")"
    if [ -n "$signed" ] && [ "$has" -lt "$signed" ]; then
        die "$file is cut short: it has $has of $signed bytes. Nothing was unpacked.
  next:  copy it again"
    fi
    die "the signature of $file does not match. Nothing was unpacked.
  cause: the file or its signature was changed or damaged
  next:  get both again from the release"
}

# --- installing

# The archive for this machine beside this file; the highest version.
find_archive() {
    here="$(dirname "$0")"
    for arch in $(suitable); do
        found="$(find "$here" -maxdepth 1 -name "skerry_*_$arch.tar.gz" | sort -V | tail -n 1)"
        [ -z "$found" ] || { echo "$found" && return; }
    done
    die "no archive for this machine beside $0.
  cause: it runs $(uname -m) and wants skerry_VERSION_$(suitable | cut -d ' ' -f 1).tar.gz"
}

check_arch() {
    case " $(suitable) " in
    *" $1 "*) ;;
    *) die "$2 is for $1, and this machine is $(uname -m).
  next:  take skerry_VERSION_$(suitable | cut -d ' ' -f 1).tar.gz" ;;
    esac
}

refuse_packaged() {
    if { command -v dpkg >/dev/null 2>&1 && dpkg -S /usr/bin/skerry; } >/dev/null 2>&1 ||
        { command -v rpm >/dev/null 2>&1 && rpm -qf /usr/bin/skerry; } >/dev/null 2>&1 ||
        { command -v apk >/dev/null 2>&1 && apk info -e skerry; } >/dev/null 2>&1; then
        die "Skerry is installed here as a package.
  next:  update it with the package manager, or remove the package first (its state stays)"
    fi
}

# put MODE FROM TO: whole or not at all, whatever happens meanwhile.
put() {
    mkdir -p "$(dirname "$3")"
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    mv -f "$3.new" "$3"
}

# A unit or script that names the folders it was put into.
put_placed() {
    sed "s|/usr/bin/skerry|$PREFIX/bin/skerry|g; s|/usr/lib/skerry|$PREFIX/lib/skerry|g" "$2" >"$WORK/placed"
    put "$1" "$WORK/placed" "$3"
}

put_service() {
    case "$(init_system)" in
    systemd)
        for unit in skerry.service skerry-agents.service skerry.slice; do
            put_placed 644 "$1/$unit" "/etc/systemd/system/$unit"
        done
        systemctl daemon-reload
        ;;
    openrc)
        put_placed 755 "$1/skerry.initd" /etc/init.d/skerry
        [ -e /etc/conf.d/skerry ] || put 644 "$1/skerry.confd" /etc/conf.d/skerry
        ;;
    esac
}

put_documents() {
    for page in "$1"/man/*.gz; do
        section="${page%.gz}" && section="${section##*.}"
        put 644 "$page" "$PREFIX/share/man/man$section/${page##*/}"
    done
    put 644 "$1/completions/skerry.bash" "$PREFIX/share/bash-completion/completions/skerry"
    put 644 "$1/completions/skerry.fish" "$PREFIX/share/fish/vendor_completions.d/skerry.fish"
    put 644 "$1/completions/_skerry" "$PREFIX/share/zsh/site-functions/_skerry"
    put 644 "$1/LICENSE" "$PREFIX/share/doc/skerry/LICENSE"
    # What is new in the settings can be looked up here.
    put 644 "$1/skerry.toml" "$PREFIX/share/doc/skerry/skerry.toml"
}

# Restarts the node if it runs, starts it if not; fails when it does not come up.
start_node() {
    case "$(init_system)" in
    systemd) systemctl --quiet enable skerry.service && systemctl restart skerry.service ;;
    openrc)
        rc-update --quiet add skerry default
        if rc-service --quiet skerry status >/dev/null 2>&1; then rc-service skerry restart; else rc-service skerry start; fi
        wait_for_node
        ;;
    none) return 0 ;;
    esac
}

wait_for_node() {
    tries=30
    until "$PREFIX/bin/skerry" status >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || return 1
        sleep 1
    done
}

older() { [ "$1" != "$2" ] && [ "$(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; }

install_node() {
    refuse_packaged
    archive="${ARCHIVE:-$(find_archive)}"
    name="${archive##*/}" && name="${name%.tar.gz}"
    check_arch "${name##*_}" "$archive"
    verify "$archive"

    mkdir -p "$PREFIX/bin" "$PREFIX/lib/skerry"
    tar -xzf "$WORK/archive" -C "$WORK"
    # What is inside counts, not what the file is called.
    inside="$(cd "$WORK" && echo skerry_*_*)"
    check_arch "${inside##*_}" "what is in $archive"
    new="$WORK/$inside"
    version="$("$new/skerry" version 2>/dev/null | sed -n 's/^skerry \([^ ]*\).*/\1/p')" || true
    [ -n "$version" ] || die "the program in $archive does not run on this machine.
  cause: '$new/skerry version' failed; on 64-bit ARM take arm64, on 32-bit ARM at least ARMv7"
    was=""
    [ ! -x "$PREFIX/bin/skerry" ] || was="$("$PREFIX/bin/skerry" version 2>/dev/null | sed -n 's/^skerry \([^ ]*\).*/\1/p')" || true
    if [ -n "$was" ] && older "$version" "$was" && [ "$DOWNGRADE" = no ]; then
        die "$version is older than $was, which is installed.
  next:  install.sh --downgrade, if you mean it"
    fi

    mkdir -p "$CONFIG/conf.d"
    [ -e "$CONFIG/skerry.toml" ] || put 644 "$new/skerry.toml" "$CONFIG/skerry.toml"
    put 755 "$new/stop-agents" "$PREFIX/lib/skerry/stop-agents"
    put_service "$new"
    put_documents "$new"
    [ -z "$was" ] || put 755 "$PREFIX/bin/skerry" "$PREFIX/lib/skerry/skerry.old"
    put 755 "$new/skerry" "$PREFIX/bin/skerry"
    sync
    if [ "$START" = no ]; then
        say "skerry $version is installed; it was not started"
    elif start_node; then
        say "skerry $version is installed${was:+ (was $was)}"
        [ "$(init_system)" != none ] || say "  neither systemd nor OpenRC was found; start it with: $PREFIX/bin/skerry node"
    else
        put_back
    fi
}

put_back() {
    if [ -z "$was" ]; then
        die "skerry $version is installed, but the node does not start.
  next:  see why: journalctl -u skerry (or: $PREFIX/bin/skerry node)"
    fi
    put 755 "$PREFIX/lib/skerry/skerry.old" "$PREFIX/bin/skerry"
    start_node || true
    die "the node of skerry $version did not start; $was was put back.
  next:  see why: journalctl -u skerry"
}

# --- removing

uninstall() {
    refuse_packaged
    [ -e "$PREFIX/bin/skerry" ] || say "no $PREFIX/bin/skerry; removing what else is left"
    case "$(init_system)" in
    systemd)
        systemctl --quiet disable --now skerry.service 2>/dev/null || true
        systemctl --quiet stop skerry-agents.service 2>/dev/null || true
        ;;
    openrc)
        rc-service skerry stop 2>/dev/null || true
        rc-update --quiet del skerry 2>/dev/null || true
        ;;
    esac
    [ ! -x "$PREFIX/lib/skerry/stop-agents" ] || "$PREFIX/lib/skerry/stop-agents" || true
    rm -f /etc/systemd/system/skerry.service /etc/systemd/system/skerry-agents.service /etc/systemd/system/skerry.slice
    rm -f /etc/init.d/skerry "$PREFIX/bin/skerry"
    rm -rf "$PREFIX/lib/skerry" "$PREFIX/share/doc/skerry"
    rm -f "$PREFIX"/share/man/man1/skerry.1.gz "$PREFIX"/share/man/man5/skerry.toml.5.gz
    find "$PREFIX/share/man/man1" -name 'skerry-*.1.gz' ! -name 'skerry-fleet*' -exec rm -f {} + 2>/dev/null || true
    rm -f "$PREFIX/share/bash-completion/completions/skerry" "$PREFIX/share/fish/vendor_completions.d/skerry.fish" \
        "$PREFIX/share/zsh/site-functions/_skerry"
    [ "$(init_system)" != systemd ] || systemctl daemon-reload
    if [ "$PURGE" = yes ]; then
        rm -rf "$STATE" "$CONFIG" "$RUN" /etc/conf.d/skerry
        say "skerry is removed, with its state and settings"
    else
        say "skerry is removed; state is in $STATE, settings are in $CONFIG"
    fi
}

main() {
    ACTION=install PREFIX=/usr/local START=yes DOWNGRADE=no PURGE=no ARCHIVE=""
    while [ $# -gt 0 ]; do
        case "$1" in
        --key) PUBLIC_KEY="${2:?--key takes a key}" && shift ;;
        --prefix) PREFIX="${2:?--prefix takes a folder}" && shift ;;
        --no-start) START=no ;;
        --downgrade) DOWNGRADE=yes ;;
        --uninstall) ACTION=uninstall ;;
        --purge) PURGE=yes ;;
        -*) usage ;;
        *) ARCHIVE="$1" ;;
        esac
        shift
    done
    [ "$(id -u)" -eq 0 ] || die "installing needs root.
  next:  sudo $0"
    umask 022
    # Beside the program, so that what is moved into place is on the same file system.
    mkdir -p "$PREFIX"
    WORK="$(mktemp -d "$PREFIX/.skerry-install.XXXXXX")"
    trap 'rm -rf "$WORK"' EXIT
    trap 'exit 1' INT TERM HUP
    if [ "$ACTION" = install ]; then install_node; else uninstall; fi
}

main "$@"
