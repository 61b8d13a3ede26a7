# Gateways in trouble, for .ci/observability, which sources this file: what makes more alerts fire.
# Relies on its functions (serve, wait_for, ask, token) and on $work, $binary, $here and $running. The
# alerts stand in live.py. Only alerts without a delay, or with one of a minute, fire here.
# shellcheck shell=bash

# serve_troubled: before the first scrape, so that counters are seen at 0. The first gateway has fails
# only, no store, an audit log that nobody reads, and room for one body; the second a slow Qiniu, to
# which it has one connection; the third an expired certificate.
serve_troubled() {
    "$binary" emulator --listen 127.0.0.1:0 --outcome action-fail >"$work/fails" 2>&1 &
    running+=($!)
    "$binary" emulator --listen 127.0.0.1:0 --latency 2s >"$work/slowly" 2>&1 &
    running+=($!)
    mkdir "$work/failing" "$work/slow" "$work/expired"
    mkfifo "$work/failing/audit.jsonl"
    REDIS_URL=unix://$work/none \
        LIVENESS_GATEWAY__QINIU__ENDPOINT=$(wait_for "$work/fails" '^http://') \
        LIVENESS_GATEWAY__SERVER__BODY_MEMORY=1MiB \
        LIVENESS_GATEWAY__ROUTES__1__MAX_BODY=1MiB \
        LIVENESS_GATEWAY__ROUTES__1__QUOTA='' \
        serve failing 90
    failing_url=$url failing_admin=$admin
    LIVENESS_GATEWAY__QINIU__ENDPOINT=$(wait_for "$work/slowly" '^http://') \
        LIVENESS_GATEWAY__QINIU__MAX_CONNECTIONS=1 \
        LIVENESS_GATEWAY__QINIU__CONNECT_TIMEOUT=300ms \
        LIVENESS_GATEWAY__ROUTES__1__TIMEOUT=1s \
        LIVENESS_GATEWAY__ROUTES__1__QUOTA='' \
        serve slow 90
    slow_url=$url slow_admin=$admin
    serve expired -1
    expired_admin=$admin expired=${running[-1]}
}

# session_of URL TOKEN: prints the id of a new session.
session_of() {
    ask "$2" "$1/sessioncode" | sed 's/.*"session_id":"\([^"]*\)".*/\1/'
}

# verify_at URL TOKEN SESSION FILE CURL-OPTION…: prints the answer.
verify_at() {
    ask "$2" "$1/verify" -H "Liveness-Session: $3" -H 'Content-Type: video/mp4' \
        --data-binary "@$4" "${@:5}"
}

# trouble VIDEO: what goes wrong.
trouble() {
    local _ good other
    good=$(token login liveness) other=$(token login liveness another)
    # Two calls at a time, and one connection; then a call that takes longer than the route allows.
    (
        ask "$good" "$slow_url/sessioncode" >"$work/one" &
        ask "$good" "$slow_url/sessioncode" >"$work/two"
        wait
        cat "$work/one" "$work/two" | grep -q upstream_busy
        verify_at "$slow_url" "$good" "$(session_of "$slow_url" "$good")" "$1" \
            | grep -q upstream_timeout
    ) &
    local slow=$!
    # Checks that fail, most of them.
    for _ in $(seq 25); do
        verify_at "$failing_url" "$good" "$(session_of "$failing_url" "$good")" "$1" \
            | grep -q '"action_verify":"fail"'
    done
    # One upload at its own pace takes the memory, and another user finds none.
    head -c 450000 /dev/zero >"$work/large"
    verify_at "$failing_url" "$good" "$(session_of "$failing_url" "$good")" "$work/large" \
        --limit-rate 150k >/dev/null &
    local upload=$!
    for _ in $(seq 50); do
        curl -sS "http://$failing_admin/metrics" >"$work/held"
        grep -q '^liveness_gateway_body_memory_bytes [1-9]' "$work/held" && break
        sleep 0.05
    done
    verify_at "$failing_url" "$other" "$(session_of "$failing_url" "$other")" "$work/large" \
        | grep -q overloaded
    # A process that starts again and again, each time long enough for a scrape.
    for _ in 1 2 3; do
        sleep 1.5
        kill "$expired" && wait "$expired" || true
        LIVENESS_GATEWAY__ADMIN__LISTEN=$expired_admin serve expired -1
        expired=${running[-1]}
    done
    wait "$slow"
    wait "$upload"
}
