# The small backend in front of its gateway: tokens that it mints, transactions from /start to
# /finish, and the streaming example. The gateway's configuration is that of docs/backend.md.
# It relies on check/common.sh.
# shellcheck shell=bash

# documented NAME QINIU PORT: starts the gateway of docs/backend.md, beside a backend on this port.
documented() {
    {
        printf '[server]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n'
        printf '[qiniu]\nendpoint = "%s"\n' "$2"
        printf 'access_key = { env = "QINIU_ACCESS_KEY" }\nsecret_key = { env = "QINIU_SECRET_KEY" }\n'
        awk '/^```toml$/ { inside = 1; next } /^```$/ { inside = 0 } inside' "$here/../backend.md"
    } >"$work/$1.toml"
    LIVENESS_GATEWAY__IDENTITY__0__JWKS_URL=http://127.0.0.1:$3/jwks.json \
        LIVENESS_GATEWAY__VERDICT__SIGNING_KEY__FILE=$work/ES256.pem \
        LIVENESS_GATEWAY__EVIDENCE__URL=http://127.0.0.1:$3/liveness \
        LIVENESS_GATEWAY__EVIDENCE__SECRET__FILE=$work/evidence.secret serve "$1"
}
# mints LANGUAGE COMMAND ALGORITHM…: checks that the gateway accepts the tokens of each algorithm,
# by a key set in a file or by a shared secret, and no altered ones.
mints() {
    local language=$1 command=$2 algorithm
    shift 2
    printf '[server]\nlisten = "127.0.0.1:0"\n[admin]\nlisten = "127.0.0.1:0"\n[qiniu]\nendpoint = "%s"\n' "$good_qiniu" >"$work/$language-mint.toml"
    printf 'access_key = { env = "QINIU_ACCESS_KEY" }\nsecret_key = { env = "QINIU_SECRET_KEY" }\n' >>"$work/$language-mint.toml"
    for algorithm in "$@"; do
        printf '[[identity]]\nissuer = "https://%s.example.com"\naudience = "liveness"\nalgorithms = "%s"\nmax_lifetime = "10min"\n' \
            "$algorithm" "$algorithm" >>"$work/$language-mint.toml"
        if [ "$algorithm" = HS256 ]; then
            printf 'secret = { env = "LOGIN_SECRET" }\n' >>"$work/$language-mint.toml"
        else
            TOKEN_KEY_FILE=$work/token-$algorithm.pem ${command/ mint/ keys} >"$work/$language-$algorithm.jwks"
            if grep -q '"d"' "$work/$language-$algorithm.jwks"; then fail "$language: publishes a private key"; fi
            printf 'jwks_file = "%s-%s.jwks"\n' "$language" "$algorithm" >>"$work/$language-mint.toml"
        fi
    done
    serve "$language-mint"
    for algorithm in "$@"; do
        local key=(TOKEN_KEY_FILE="$work/token-$algorithm.pem") token
        if [ "$algorithm" = HS256 ]; then key=(TOKEN_SECRET="$LOGIN_SECRET"); fi
        # shellcheck disable=SC2086
        token=$(env TOKEN_ISSUER="https://$algorithm.example.com" TOKEN_AUDIENCE=liveness "${key[@]}" $command "user-$algorithm" transaction-1)
        same "$language: a token by $algorithm" "$(session_status "$token")" 200
        same "$language: an altered one" "$(session_status "$(altered "$token" $((${#token} - 20)))")" 401
    done
}
# session_status TOKEN: prints the status of a request for a session.
session_status() {
    curl -sS -o /dev/null -w '%{http_code}' -X POST -H "Authorization: Bearer $1" "$gateway/v2/actionliveness/sessioncode"
}
# ask COOKIE PATH BODY: prints a backend's status; $work/reply has the body.
ask() {
    curl -sS -o "$work/reply" -w '%{http_code}' -H "Cookie: other=1; login=$1" -H 'Content-Type: application/json' -d "$3" "$backend$2"
}
# begin COOKIE: begins a transaction, and sets $transaction, $its_nonce and $its_token.
begin() {
    same "$language: $1 begins a transaction" "$(ask "$1" /start '{}')" 200
    transaction=$(member transaction "$work/reply")
    its_nonce=$(member nonce "$work/reply")
    its_token=$(member token "$work/reply")
}
# ends NAME COOKIE TRANSACTION VERDICT STATUS REPLY: brings a verdict.
ends() {
    local status
    status=$(ask "$2" /finish "{\"transaction\":\"$3\",\"verdict\":\"$4\"}")
    same "$language: $1" "$status $(tr -d ' \n' <"$work/reply")" "$5 $6"
}
# start_backend NAME ALGORITHM COMMAND JWKS_URL: starts a backend, and sets $backend to its URL.
start_backend() {
    LOGINS='{"a-cookie":"user-1","b-cookie":"user-2"}' TOKEN_ISSUER=https://app.example.com TOKEN_AUDIENCE=liveness \
        TOKEN_KEY_FILE=$work/token-$2.pem JWKS_URL=$4 ISSUER=https://gateway.example.com AUDIENCE=app-backend PORT=0 \
        $3 backend >"$work/$1.backend" 2>&1 &
    running+=($!)
    backend=http://127.0.0.1:$(wait_for "$work/$1.backend" '^listening on ' | tr -dc 0-9)
}
# backend LANGUAGE ALGORITHM COMMAND: a backend whose tokens are signed by this algorithm.
backend() {
    local language=$1 port number good other
    start_backend "$language" "$2" "$3" "$keys_url"
    port=${backend##*:}
    documented "$language-documented" "$good_qiniu" "$port"
    same "$language: nobody who is not logged in" "$(ask none /start '{}')" 401

    begin a-cookie
    local first=$transaction first_nonce=$its_nonce first_token=$its_token
    ready "$first_token"
    good=$(verdict "$first_token" "$first_nonce")
    ends "another user's transaction" b-cookie "$first" "$good" 404 '{"error":"unknown_transaction"}'
    ends "an altered verdict" a-cookie "$first" "$(altered "$good" $((${#good} - 20)))" 400 '{"error":"refused"}'
    ends "a verdict with another header" a-cookie "$first" "$(altered "$good" 30)" 400 '{"error":"refused"}'
    ends "a verdict without its nonce" a-cookie "$first" "$(verdict "$first_token" "another-nonce-of-32-characters-1")" 400 '{"error":"refused"}'
    begin a-cookie
    ends "the first verdict for the second transaction" a-cookie "$transaction" "$good" 400 '{"error":"refused"}'
    other=$(verdict "$first_token" "$its_nonce")
    ends "a verdict by the token of the first transaction" a-cookie "$transaction" "$other" 400 '{"error":"refused"}'
    # Eight at once: the effect happens once, and each gets the same answer.
    local tries=()
    for number in $(seq 8); do
        curl -sS -H 'Cookie: login=a-cookie' -d "{\"transaction\":\"$first\",\"verdict\":\"$good\"}" "$backend/finish" >"$work/try-$number" &
        tries+=($!)
    done
    wait "${tries[@]}"
    same "$language: the right one, eight times at once" "$(cat "$work"/try-* | tr -d ' \n' | grep -o '{"passed":true}' | wc -l)" 8
    ends "the right one once more" a-cookie "$first" "$good" 200 '{"passed":true}'
    same "$language: it is carried out once, with its picture" "$(grep -c "^carried out $first picture=true" "$work/$language.backend")" 1
    local id
    id=$(part "$good" 2 | sed -E 's/.*"jti":"([^"]*)".*/\1/')
    same "$language: the evidence came before" "$(grep -c "^took $id passed=true picture=true" "$work/$language.backend")" 1
    good=$(verdict "$its_token" "$its_nonce")
    ends "the second transaction" a-cookie "$transaction" "$good" 200 '{"passed":true}'

    documented "$language-failing" "$low_qiniu" "$port"
    begin b-cookie
    ready "$its_token"
    good=$(verdict "$its_token" "$its_nonce")
    ends "a check that failed" b-cookie "$transaction" "$good" 200 '{"passed":false}'
    same "$language: no picture of it is kept" "$(grep -c '^took .* passed=false picture=true' "$work/$language.backend")" 0
    # The user hides these verdicts. The gateway's evidence tells of them.
    for number in 2 3 4 5; do verdict "$its_token" "$its_nonce" >/dev/null; done
    same "$language: after five fails, a person" "$(ask b-cookie /start '{}') $(tr -d ' \n' <"$work/reply")" '429 {"next":"human"}'
    same "$language: another user goes on" "$(ask a-cookie /start '{}')" 200
    if grep -qF -e "${good##*.}" -e "${its_token##*.}" -e "$its_nonce" "$work/$language.backend"; then
        fail "$language: the log shows a verdict, a token or a nonce"
    fi
    start_backend "$language-alone" "$2" "$3" "http://127.0.0.1:9/jwks.json"
    begin a-cookie
    ends "keys that can't be fetched, so that the app tries again" a-cookie "$transaction" "$good" 503 '{"error":"unavailable"}'
    stream "$@"
}
# ready TOKEN: waits until the gateway has fetched the keys of this token.
ready() {
    local _
    for _ in $(seq 100); do
        # An answer that costs no session: a path is judged behind the token, a media type too.
        if [ "$(curl -sS -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $1" -H 'Content-Type: text/plain' -d x \
            "$gateway/v2/actionliveness/verify")" != 503 ]; then return; fi
        sleep 0.1
    done
    echo "the gateway has no keys" >&2
    return 1
}
# stream LANGUAGE ALGORITHM COMMAND: the streaming example, with a gateway that is played, and then
# with the last real one, whose keys are known.
stream() {
    local language=$1 port session
    export TOKEN_ISSUER=https://app.example.com TOKEN_AUDIENCE=liveness TOKEN_KEY_FILE=$work/token-$2.pem
    export LOGINS='{"a-cookie":"user-1"}'
    if has python3; then
        # shellcheck disable=SC2086
        LANGUAGE=$language python3 "$here/check/stream.py" a-cookie $3 stream || failed=1
    fi
    GATEWAY_URL=$gateway PORT=0 $3 stream >"$work/$language.stream" 2>&1 &
    running+=($!)
    port=$(wait_for "$work/$language.stream" '^listening on ' | tr -dc 0-9)
    local app=(-sS -H 'Cookie: login=a-cookie' -X POST "http://127.0.0.1:$port/v2/actionliveness")
    curl "${app[@]}/sessioncode" >"$work/reply"
    session=$(member session_id "$work/reply")
    curl "${app[@]}/verify" -H "Liveness-Session: $session" -H 'Content-Type: video/mp4' --data-binary "@$video" >"$work/reply"
    same "$language: a verdict through the stream" "$(part "$(member verdict "$work/reply")" 2 | grep -o '"sub":"[^"]*"')" '"sub":"user-1"'
    unset TOKEN_ISSUER TOKEN_AUDIENCE TOKEN_KEY_FILE LOGINS
}
