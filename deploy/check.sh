#!/usr/bin/env bash
# Checks deploy/systemd and deploy/Dockerfile, without a network or a container daemon.
#   deploy/check.sh [PATH-TO-liveness-gateway]
# A check is skipped if its tool is missing. .ci/deploy, .ci/image and .ci/deb check the rest.
set -euo pipefail
cd "$(dirname "$0")"

binary=${1:-}
[ -z "$binary" ] || binary=$(cd "$OLDPWD" && realpath "$binary")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0
ok() { echo "ok    $*"; }
skip() { echo "skip  $*"; }
fail() { echo "FAIL  $*"; failed=1; }
# expect NAME FILE PATTERN: a line of the file matches.
expect() { if grep -Eq -- "$3" "$2"; then ok "$1"; else fail "$1: no line of $2 matches $3"; fi; }
# forbid NAME FILE PATTERN: no line of the file matches.
forbid() { if grep -Eq -- "$3" "$2"; then fail "$1: $2 has $3"; else ok "$1"; fi; }
# longer NAME SECONDS TOML: the time to stop, in seconds, is longer than a stop lasts.
longer() {
    local lame_duck drain
    lame_duck=$(sed -n 's/^lame_duck = "\([0-9]*\)s".*/\1/p' "$3")
    drain=$(sed -n 's/^drain_timeout = "\([0-9]*\)s".*/\1/p' "$3")
    # The default is the longest route timeout and 5 s.
    if [ -n "$2" ] && [ "$2" -gt $((${lame_duck:-0} + ${drain:-65} + 5)) ]; then
        ok "$1"
    else
        fail "$1: '$2' s to stop, '$lame_duck' s of lame duck, '$drain' s to drain"
    fi
}

# Throw-away keys.
mkdir "$work/keys"
printf 'access' > "$work/keys/access_key"
printf 'secret' > "$work/keys/secret_key"
head -c 32 /dev/zero | base64 > "$work/keys/seal_key"
if command -v openssl > /dev/null; then
    x=$(openssl genpkey -algorithm ed25519 | openssl pkey -pubout -outform DER | tail -c 32 \
        | base64 | tr '+/' '-_' | tr -d '=\n')
    printf '{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"check","x":"%s"}]}' "$x" \
        > "$work/keys/jwks.json"
fi

# check_toml NAME FILE: `liveness-gateway check --strict` accepts it, with the throw-away keys.
check_toml() {
    if [ -z "$binary" ] || [ ! -e "$work/keys/jwks.json" ]; then
        skip "$1: no binary given, or no openssl"
        return
    fi
    local places='run/secrets/liveness-gateway|run/credentials/liveness-gateway.service'
    sed -E "s#\"/($places|etc/liveness-gateway)/#\"$work/keys/#" "$2" > "$work/keys/gateway.toml"
    if "$binary" check --strict --config "$work/keys/gateway.toml" > "$work/out" 2>&1; then
        ok "$1"
    else
        fail "$1:"
        cat "$work/out"
    fi
}

unit=systemd/liveness-gateway.service
stop=$(sed -n 's/^TimeoutStopSec=\([0-9]*\)s$/\1/p' $unit)
longer "systemd: time to drain" "$stop" systemd/gateway.toml
check_toml "systemd: gateway.toml" systemd/gateway.toml
# The socket is one that the configuration names, or the gateway does not start.
listen=$(awk '/^\[/ { inside = ($0 == "[server]") }
    inside && /^listen = / { split($0, part, "\""); print part[2] }' systemd/gateway.toml)
if [ "$(sed -n 's/^ListenStream=//p' systemd/liveness-gateway.socket)" = "$listen" ]; then
    ok "systemd: the socket of server.listen, and no other"
else
    fail "systemd: the sockets are not '$listen' of server.listen"
fi
expect "systemd: checks before it starts" $unit '^ExecStartPre=.* check --config '
expect "systemd: tells when it is ready" $unit '^Type=notify$'
expect "systemd: nobody else speaks for it" $unit '^NotifyAccess=main$'
expect "systemd: a process that hangs is replaced" $unit '^WatchdogSec=[0-9]+s$'
expect "systemd: reloads" $unit '^ExecReload=/bin/kill -HUP \$MAINPID$'
# systemd hides the credentials from an ExecReload, but not from one in the service's own mounts.
for file in $unit $unit.d/notify-reload.conf; do
    expect "systemd: the check of a reload sees the keys" $file \
        '^ExecReload=\+/usr/bin/nsenter --target \$MAINPID --mount [^ ]+ check --config '
done
if command -v systemd-analyze > /dev/null; then
    # The binary is not installed on this machine.
    mkdir "$work/unit"
    for file in systemd/*.service systemd/*.socket; do
        sed 's#/usr/local/bin/liveness-gateway#/bin/true#' "$file" > "$work/unit/$(basename "$file")"
    done
    copy=$work/unit/liveness-gateway.service
    if systemd-analyze --man=no verify "$copy" "${copy%.service}.socket" > "$work/out" 2>&1 \
        && [ ! -s "$work/out" ]; then
        ok "systemd: verify"
    else
        fail "systemd: verify"; cat "$work/out"
    fi
    # The score is from 0 (closed) to 10 (open); the threshold is in tenths.
    if systemd-analyze security --offline=true --threshold=20 "$copy" > "$work/out" 2>&1; then
        ok "systemd: security, $(tail -n 1 "$work/out" | tr -cd '[:print:]')"
    else
        fail "systemd: security"; cat "$work/out"
    fi
    version=$(systemd-analyze --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    mkdir "$copy.d"
    for file in "$unit".d/*.conf; do
        name=$(basename "$file")
        # For a newer systemd than some machines have.
        if [ "$name" = notify-reload.conf ] && [ "$version" -lt 253 ]; then
            skip "systemd: $name needs systemd 253, this is $version"
            continue
        fi
        sed 's#/usr/local/bin/liveness-gateway#/bin/true#' "$file" > "$copy.d/$name"
        if systemd-analyze --man=no verify "$copy" > "$work/out" 2>&1 && [ ! -s "$work/out" ]; then
            ok "systemd: verify with $name"
        else
            fail "systemd: verify with $name"; cat "$work/out"
        fi
    done
else
    skip "systemd: no systemd-analyze"
fi

expect "docker: a numeric user that is not root" Dockerfile '^USER [1-9][0-9]*:[1-9][0-9]*$'
expect "docker: health check by the binary" Dockerfile '"healthcheck"\]'
# The image is built without benches/ and tests/, where cargo looks for a target without a path.
if awk '/^\[\[(bench|test|example)\]\]/ { if (open) bad = 1; open = 1 }
        /^path = / { open = 0 }
        /^\[[a-z]/ { if (open) bad = 1; open = 0 }
        END { exit bad || open }' ../Cargo.toml; then
    ok "docker: every target has a path"
else
    fail "docker: a bench, test or example in Cargo.toml has no path"
fi
expect "docker: builds what is locked, with its dependencies' names" Dockerfile \
    'cargo auditable build .*--locked'
expect "docker: tools that are locked" Dockerfile 'cargo install --locked( [a-z-]+@[0-9.]+)+$'
expect "docker: dependencies in a layer of their own" Dockerfile '^COPY Cargo.toml Cargo.lock'
expect "docker: the source is newer than the empty program" Dockerfile 'touch src/main.rs src/lib.rs'
expect "docker: a list of the dependencies" Dockerfile 'install .*sbom.cdx.json /image/'
expect "docker: the files that CI runs the program in" Dockerfile 'deploy/image-root .* /image'
for label in title description licenses version revision; do
    expect "docker: label $label" Dockerfile "org.opencontainers.image.$label="
done
# Every base has a tag, and a place for its digest; every other stage is one of this file.
if sed -n 's/^FROM //p' Dockerfile | grep -Evq \
    '^(scratch|tools|dependencies|[a-z]+:[a-z0-9.-]+\$\{[A-Z]+_DIGEST\})( |$)'; then
    fail "docker: a base image without a tag, or without a place for its digest"
else
    ok "docker: base images by tag and digest"
fi
forbid "docker: no floating base" Dockerfile '^FROM [^ ]*:latest'
forbid "docker: nothing fetched by ADD" Dockerfile '^ADD '
if [ "$(grep -v '^#' ../.dockerignore | head -n 1)" = '*' ]; then
    ok "docker: .dockerignore is an allow-list"
else
    fail "docker: .dockerignore must start with *"
fi

exit $failed
