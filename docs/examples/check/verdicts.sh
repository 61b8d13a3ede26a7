# Verdicts of every kind, and deliveries that a backend must accept or reject, for one language.
# It relies on check/common.sh, and on the gateways' keys in $work.
# shellcheck shell=bash
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

# base64url: encodes standard input without padding.
base64url() { base64 -w0 | tr '+/' '-_' | tr -d =; }
# part VERDICT NUMBER: prints a decoded part of a verdict.
part() {
    local part
    part=$(echo "$1" | cut -d. -f"$2" | tr -- '-_' '+/')
    while [ $((${#part} % 4)) -ne 0 ]; do part="$part="; done
    echo "$part" | base64 -d
}
# signed ALGORITHM HEADER CLAIMS: prints a JWS that the gateway's key signs.
signed() {
    local input number hex=
    input=$(printf %s "$2" | base64url).$(printf %s "$3" | base64url)
    printf %s "$input" >"$work/input"
    case $1 in
        EdDSA) openssl pkeyutl -sign -inkey "$work/$1.pem" -rawin -in "$work/input" >"$work/signature" ;;
        ES256) # Two numbers of 32 bytes, in place of the ASN.1 that OpenSSL writes.
            for number in $(openssl dgst -sha256 -sign "$work/$1.pem" "$work/input" | openssl asn1parse -inform DER | sed -n 's/.*INTEGER *://p'); do
                hex=$hex$(printf %64s "$number" | tr ' ' 0)
            done
            printf %b "$(echo "$hex" | sed 's/../\\x&/g')" >"$work/signature" ;;
    esac
    echo "$input.$(base64url <"$work/signature")"
}
# offer NAME EXPECTED VERDICT: appends to what an example reads.
offer() {
    what+=("$1")
    expected+=("$2")
    verdicts+=("$3")
}
# altered_verdicts GOOD: offers verdicts that were altered. The library rejects them, with messages
# of its own.
altered_verdicts() {
    local signature=${1##*.} header=${1%%.*}
    offer "a verdict with another header" "refused: " "$(altered "$1" 10)"
    offer "one with other claims" "refused: " "$(altered "$1" $((${#header} + 41)))"
    offer "one with another signature" "refused: " "$(altered "$1" $((${#1} - ${#signature} / 2)))"
    offer "one with no signature" "refused: " "${1%.*}."
}
# forged_verdicts ALGORITHM GOOD: offers what no gateway signs, with valid signatures.
made_here=made-here-by-hand
forged_verdicts() {
    local header claims input now unknown
    header=$(part "$2" 1)
    claims=$(part "$2" 2 | sed "s/\"jti\":\"/&$made_here/")
    now=$(date +%s)
    offer "one that was signed here" "accepted $made_here" "$(signed "$1" "$header" "$claims")"
    offer "one of another type" "refused: " "$(signed "$1" "${header/liveness-verdict+jwt/JWT}" "$claims")"
    offer "one of another gateway" "refused: " "$(signed "$1" "$header" "${claims/gateway.example/other.example}")"
    offer "one for another backend" "refused: " "$(signed "$1" "$header" "${claims/\"backend\"/\"frontend\"}")"
    offer "one that has expired" "refused: " "$(signed "$1" "$header" "$(echo "$claims" | sed -E "s/\"exp\":[0-9]+/\"exp\":$((now - 60))/; s/\"iat\":[0-9]+/\"iat\":$((now - 360))/")")"
    offer "one without an expiry" "refused: " "$(signed "$1" "$header" "$(echo "$claims" | sed -E 's/"exp":[0-9]+,//')")"
    offer "one without a nonce" "refused: for another transaction" "$(signed "$1" "$header" "$(echo "$claims" | sed -E 's/,"nonce":"[^"]*"//')")"
    for unknown in x y z; do
        offer "one of an unknown key" "refused: " "$(signed "$1" "$(echo "$header" | sed -E "s/\"kid\":\"/&$unknown/")" "$claims")"
    done
    offer "one that needs no signature" "refused: " "$(printf %s "${header/\"$1\"/\"none\"}" | base64url).$(printf %s "$claims" | base64url)."
    # The public key as a shared secret.
    input=$(printf %s "${header/\"$1\"/\"HS256\"}" | base64url).$(printf %s "$claims" | base64url)
    offer "one of an HMAC with the public key" "refused: " \
        "$input.$(printf %s "$input" | openssl dgst -sha256 -mac HMAC -macopt "key:$(sed -n '/BEGIN/,$p' "$work/$1.pub")" -binary | base64url)"
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
    low=$(verdict "$(token user-1)" "$nonce")
    gateway "$language" "$2" "$good_qiniu" "$port"
    good=$(verdict "$(token user-1)" "$nonce")
    other=$(verdict "$(token user-2)" "$nonce")
    another=$(verdict "$(token user-1)" "$nonce-2")
    local what=() expected=() verdicts=() number=0 line
    altered_verdicts "$good"
    forged_verdicts "$2" "$good"
    offer "another user's" "refused: about another user" "$other"
    offer "one for another transaction" "refused: for another transaction" "$another"
    offer "one that did not pass" "refused: not passed" "$low"
    offer "the good one" "accepted " "$good"
    offer "the good one again" "refused: used before" "$good"
    printf '%s\n' "${verdicts[@]}" | JWKS_URL=$gateway/.well-known/jwks.json ISSUER=https://gateway.example.com AUDIENCE=backend \
        USER_ISSUER=https://login.example.com/ USER_ID=user-1 NONCE=$nonce $3 >"$work/$language.verdicts" 2>&1 || true
    while read -r line && [ $number -lt ${#expected[@]} ]; do
        case $line in
            "${expected[$number]}"*) ok "$language: ${what[$number]}" ;;
            *) fail "$language: ${what[$number]}: $line" ;;
        esac
        number=$((number + 1))
    done <"$work/$language.verdicts"
    if [ $number -ne ${#expected[@]} ]; then fail "$language: said too little"; cat "$work/$language.verdicts"; fi
    local id fetches
    # A later record is there, so all earlier ones are.
    curl -sS -o /dev/null "$gateway/end"
    wait_for "$work/$language.log" unknown_route >/dev/null
    fetches=$(grep -c '/.well-known/jwks.json' "$work/$language.log" || true)
    if [ "$fetches" -ge 1 ] && [ "$fetches" -le 2 ]; then ok "$language: fetches of keys: $fetches"; else fail "$language: fetches of keys: $fetches"; fi
    id=$(sed -n 's/^accepted //p' "$work/$language.verdicts" | grep -v "^$made_here")
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
