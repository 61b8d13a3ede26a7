#!/usr/bin/env bash
# Runs every example in this folder against a real gateway, with verdicts of each kind of key that
# its library checks, and deliveries, that a backend must accept and others that it must reject.
#   docs/examples/check.sh [PATH-TO-liveness-gateway]
# Examples whose language (node, python3, go) is missing are skipped; with CI=true that fails.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
binary=$(realpath "${1:-$here/../../target/release/liveness-gateway}")
video=$(realpath "$here/../../tests/data/h264-moov-first.mp4")
work=$(mktemp -d)
failed=0
running=()
stop() {
    for process in "${running[@]}"; do kill "$process" 2>/dev/null || true; done
    rm -rf "$work"
}
trap stop EXIT
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

# Keys for this run only.
export QINIU_ACCESS_KEY=examples QINIU_SECRET_KEY=examples
TOKEN_SECRET=$(openssl rand -base64 32)
EVIDENCE_SECRET=whsec_$(openssl rand -base64 32)
export TOKEN_SECRET EVIDENCE_SECRET
for algorithm in EdDSA ES256; do
    "$binary" keygen verdict --algorithm $algorithm >"$work/$algorithm.pem" 2>"$work/$algorithm.pub"
done
nonce=0f7a.the~nonce_of-this-transaction
hexkey=$(echo "${EVIDENCE_SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')

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
secret = { env = "TOKEN_SECRET" }
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
    "$binary" serve --config "$work/$1.toml" >"$work/$1.log" 2>&1 &
    running+=($!)
    gateway=http://$(wait_for "$work/$1.log" '"listening"' | sed -E 's/.*"address":"([^"]*)".*/\1/')
}
# verdict USER NONCE: prints the verdict of $gateway on the video, in a new session.
verdict() {
    local token session
    token=$("$binary" token --secret-env TOKEN_SECRET --issuer https://login.example.com/ --audience liveness --subject "$1")
    local headers=(-H "Authorization: Bearer $token" -H 'Content-Type: application/json')
    session=$(curl -fsS "${headers[@]}" -d '{}' "$gateway/v2/actionliveness/sessioncode" | sed -E 's/.*"session_id":"([^"]*)".*/\1/')
    { printf '{"session_id":"%s","video_base64":"' "$session"; base64 -w0 "$video"; printf '","nonce":"%s"}' "$2"; } >"$work/body"
    curl -fsS "${headers[@]}" --data-binary "@$work/body" "$gateway/v2/actionliveness/verify" >"$work/answer"
    sed -E 's/.*"verdict":"([^"]*)".*/\1/' "$work/answer"
}
# altered TEXT POSITION: prints the text with another letter at this position.
altered() {
    local letter=A
    if [ "${1:$2:1}" = A ]; then letter=B; fi
    echo "${1:0:$2}$letter${1:$(($2 + 1))}"
}
# deliver PORT ID TIME SIGNED-BODY SENT-BODY: prints a receiver's status for a delivery made here.
deliver() {
    local signature
    signature=$(printf '%s.%s.%s' "$2" "$3" "$4" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$hexkey" -binary | base64)
    curl -sS -o /dev/null -w '%{http_code}' -H 'Content-Type: application/json' -H "webhook-id: $2" -H "webhook-timestamp: $3" \
        -H "webhook-signature: v1,$signature" --data-binary "$5" "http://127.0.0.1:$1/liveness"
}

# example LIBRARY ALGORITHM VERDICT-COMMAND EVIDENCE-COMMAND: checks both programs, the first one
# with verdicts that are signed by this algorithm.
example() {
    local language="$1-$2" receiver port good other another low lines now body
    PORT=0 $4 >"$work/$language.evidence" 2>&1 &
    receiver=$!
    running+=("$receiver")
    port=$(wait_for "$work/$language.evidence" '^listening on ' | tr -dc 0-9)
    gateway "$language-low" "$2" "$low_qiniu" "$port"
    low=$(verdict user-1 "$nonce")
    gateway "$language" "$2" "$good_qiniu" "$port"
    good=$(verdict user-1 "$nonce")
    other=$(verdict user-2 "$nonce")
    another=$(verdict user-1 "$nonce-2")
    local signature=${good##*.} claims_at header=${good%%.*}
    claims_at=$((${#header} + 41))
    lines=$(
        altered "$good" 10
        altered "$good" $claims_at
        altered "$good" $((${#good} - ${#signature} / 2))
        echo "${good%.*}."
        echo "$other"
        echo "$another"
        echo "$low"
        echo "$good"
        echo "$good"
    )
    echo "$lines" | JWKS_URL=$gateway/.well-known/jwks.json ISSUER=https://gateway.example.com AUDIENCE=backend \
        USER_ISSUER=https://login.example.com/ USER_ID=user-1 NONCE=$nonce $3 >"$work/$language.verdicts" 2>&1 || true
    local number=0 line what=("a verdict with another header" "one with other claims" "one with another signature" "one with no signature"
        "another user's" "one for another transaction" "one that did not pass" "the good one" "the good one again")
    # The library rejects the first four, with messages of its own.
    local expected=("refused: " "refused: " "refused: " "refused: " "refused: about another user" "refused: for another transaction" "refused: not passed" "accepted " "refused: used before")
    while read -r line && [ $number -lt ${#expected[@]} ]; do
        case $line in
            "${expected[$number]}"*) ok "$language: ${what[$number]}" ;;
            *) fail "$language: ${what[$number]}: $line" ;;
        esac
        number=$((number + 1))
    done <"$work/$language.verdicts"
    if [ $number -ne ${#expected[@]} ]; then fail "$language: said too little"; cat "$work/$language.verdicts"; fi
    local id
    id=$(sed -n 's/^accepted //p' "$work/$language.verdicts")
    same "$language: the evidence of that verdict" "$(grep -F "took $id " "$work/$language.evidence")" "took $id passed=true picture=true"
    now=$(date +%s)
    body='{"id":"made-here","user":"u","issuer":"i","time":"","passed":true,"answer":{"result":null}}'
    same "$language: a delivery that is signed" "$(deliver "$port" made-here "$now" "$body" "$body")" 204
    same "$language: one that was altered" "$(deliver "$port" made-here "$now" "$body" "${body/true/false}")" 401
    same "$language: one of an hour ago" "$(deliver "$port" made-here $((now - 3600)) "$body" "$body")" 401
    same "$language: one with another id" "$(deliver "$port" made-there "$now" "$body" "$body")" 400
    same "$language: one with no signature" "$(curl -sS -o /dev/null -w '%{http_code}' --data-binary "$body" "http://127.0.0.1:$port/liveness")" 401
    kill "$receiver"
}
# has COMMAND: whether the command is installed; prints a line if it is not.
has() {
    if command -v "$1" >/dev/null; then return; fi
    if [ "${CI:-}" = true ]; then fail "$1 is needed here and is missing"; else echo "skip  no $1"; fi
    return 1
}

emulator good pass
good_qiniu=$qiniu
emulator low low-score
low_qiniu=$qiniu
if has node && has npm; then
    cp -r "$here/node" "$work/node"
    (cd "$work/node" && npm install --no-audit --no-fund --silent)
    evidence="node $work/node/evidence.mjs"
    example jose EdDSA "node $work/node/verdict.mjs" "$evidence"
    example jose ES256 "node $work/node/verdict.mjs" "$evidence"
    example jsonwebtoken ES256 "node $work/node/verdict-jsonwebtoken.mjs" "$evidence"
fi
if has python3; then
    python3 -m venv "$work/venv"
    python="$work/venv/bin/python"
    "$python" -m pip install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"
    evidence="$python $here/python/evidence.py"
    example pyjwt EdDSA "$python $here/python/verdict.py" "$evidence"
    example pyjwt ES256 "$python $here/python/verdict.py" "$evidence"
    example python-jose ES256 "$python $here/python/verdict_jose.py" "$evidence"
fi
if has go; then
    go build -o "$work/go-verdict" "$here/go/verdict/main.go"
    go build -o "$work/go-evidence" "$here/go/evidence/main.go"
    example go EdDSA "$work/go-verdict" "$work/go-evidence"
    example go ES256 "$work/go-verdict" "$work/go-evidence"
fi
exit $failed
