# What the checks of the examples share: results, programs that run in the background, an emulator,
# gateways. It relies on $binary, $video, $work of check.sh, and never ends a process of others.
# shellcheck shell=bash
ok() { echo "ok    $*"; }
fail() { echo "FAIL  $*"; failed=1; }
# same NAME GIVEN WANTED
same() { if [ "$2" = "$3" ]; then ok "$1"; else fail "$1: '$2' in place of '$3'"; fi; }
# wait_for FILE PATTERN: waits for a line that matches, and prints the first one.
wait_for() {
    local _ line
    for _ in $(seq 200); do
        if line=$(grep -m 1 -E "$2" "$1" 2>/dev/null); then echo "$line"; return; fi
        sleep 0.1
    done
    { echo "nothing in $1 fits $2:"; cat "$1"; } >&2
    return 1
}

# emulator NAME OUTCOME: starts an emulator and sets $qiniu to its URL.
emulator() {
    "$binary" emulator --listen 127.0.0.1:0 --outcome "$2" >"$work/$1.out" 2>&1 &
    running+=($!)
    qiniu=$(wait_for "$work/$1.out" '^http://')
}
# gateway NAME ALGORITHM QINIU EVIDENCE-PORT: starts a gateway that signs by this algorithm and
# publishes keys of both kinds, and sets $gateway to its URL.
gateway() {
    cat >"$work/$1.toml" <<EOF
[server]
listen = "127.0.0.1:0"
[admin]
listen = "127.0.0.1:0"
[qiniu]
endpoint = "$3"
access_key = { env = "QINIU_ACCESS_KEY" }
secret_key = { env = "QINIU_SECRET_KEY" }
[[identity]]
issuer = "https://login.example.com/"
audience = "liveness"
secret = { env = "LOGIN_SECRET" }
[verdict]
signing_key = { file = "$2.pem" }
previous_keys = ["EdDSA.pub", "ES256.pub"]
issuer = "https://gateway.example.com"
audience = "backend"
[evidence]
url = "http://127.0.0.1:$4/liveness"
secret = { env = "EVIDENCE_SECRET" }
required = true
EOF
    serve "$1"
}
# serve NAME: starts the gateway of $work/NAME.toml, and sets $gateway to its URL.
serve() {
    "$binary" serve --config "$work/$1.toml" >"$work/$1.log" 2>&1 &
    running+=($!)
    gateway=http://$(wait_for "$work/$1.log" '"listening"' | sed -E 's/.*"address":"([^"]*)".*/\1/')
}
# token USER: prints a token of the issuer that shares a secret.
token() {
    "$binary" token --secret-env LOGIN_SECRET --issuer https://login.example.com/ --audience liveness --subject "$1"
}
# verdict TOKEN NONCE: prints the verdict of $gateway on the video, in a new session.
verdict() {
    local session
    local headers=(-H "Authorization: Bearer $1" -H 'Content-Type: application/json')
    session=$(curl -fsS "${headers[@]}" -d '{}' "$gateway/v2/actionliveness/sessioncode" | sed -E 's/.*"session_id":"([^"]*)".*/\1/')
    { printf '{"session_id":"%s","video_base64":"' "$session"; base64 -w0 "$video"; printf '","nonce":"%s"}' "$2"; } >"$work/body"
    curl -fsS "${headers[@]}" --data-binary "@$work/body" "$gateway/v2/actionliveness/verify" >"$work/answer"
    sed -E 's/.*"verdict":"([^"]*)".*/\1/' "$work/answer"
}
# member NAME FILE: prints a member of a JSON document, a text.
member() { sed -nE "s/.*\"$1\": ?\"([^\"]*)\".*/\1/p" "$2"; }
# has COMMAND: whether the command is installed; prints a line if it is not.
has() {
    if command -v "$1" >/dev/null; then return; fi
    if [ "${CI:-}" = true ]; then fail "$1 is needed here and is missing"; else echo "skip  no $1"; fi
    return 1
}
# installs COMMAND…: whether this command installs packages; prints a line if it does not.
installs() {
    if "$@"; then return; fi
    if [ "${CI:-}" = true ]; then fail "$* is needed here and fails"; else echo "skip  $1 installs no packages"; fi
    return 1
}
