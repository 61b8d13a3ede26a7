#!/usr/bin/env bash
# Runs every example in this folder against a real gateway: tokens by each kind of key, verdicts of
# each kind of key that a library checks, deliveries, a whole backend from /start to /finish, and a
# stream to a sidecar. What a backend must accept is accepted, and what it must reject is rejected.
#   docs/examples/check.sh [PATH-TO-liveness-gateway]
# Examples whose language (node, python3, go) is missing, or whose packages can't be installed, are
# skipped; with CI=true that fails.
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
for part in common verdicts backend; do
    # shellcheck source=/dev/null
    . "$here/check/$part.sh"
done

# Keys for this run only.
export QINIU_ACCESS_KEY=examples QINIU_SECRET_KEY=examples
LOGIN_SECRET=$(openssl rand -base64 32)
EVIDENCE_SECRET=whsec_$(openssl rand -base64 32)
export LOGIN_SECRET EVIDENCE_SECRET
echo "$EVIDENCE_SECRET" >"$work/evidence.secret"
for algorithm in EdDSA ES256; do
    "$binary" keygen verdict --algorithm $algorithm >"$work/$algorithm.pem" 2>"$work/$algorithm.pub"
done
openssl genpkey -algorithm ed25519 -out "$work/token-EdDSA.pem"
openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$work/token-ES256.pem"
openssl genpkey -quiet -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$work/token-RS256.pem"
nonce=0f7a.the~nonce_of-this-transaction
hexkey=$(echo "${EVIDENCE_SECRET#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')

emulator good pass
good_qiniu=$qiniu
emulator low low-score
low_qiniu=$qiniu
# A replica that publishes the keys of all: a backend may ask any of them.
gateway keys ES256 "$good_qiniu" 9
keys_url=$gateway/.well-known/jwks.json

cp -r "$here/node" "$work/node"
node="node $work/node/main.mjs"
python="$work/venv/bin/python"
if has node && has npm && installs npm install --prefix "$work/node" --no-audit --no-fund --silent; then
    example jose EdDSA "$node verdict" "$node evidence"
    example jose ES256 "$node verdict" "$node evidence"
    example jsonwebtoken ES256 "$node verdict-jsonwebtoken" "$node evidence"
    mints jose "$node mint" EdDSA ES256 RS256 HS256
    mints jsonwebtoken "$node mint-jsonwebtoken" ES256 RS256 HS256
    backend node EdDSA "$node"
fi
if has python3 && installs python3 -m venv "$work/venv" &&
    installs "$python" -m pip install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"; then
    python="$python -B $here/python/main.py"
    example pyjwt EdDSA "$python verdict" "$python evidence"
    example pyjwt ES256 "$python verdict" "$python evidence"
    example python-jose ES256 "$python verdict_jose" "$python evidence"
    mints pyjwt "$python mint" EdDSA ES256 RS256 HS256
    backend python ES256 "$python"
fi
if has go; then
    (cd "$here/go" && go build -o "$work/go-example" .)
    go="$work/go-example"
    example go EdDSA "$go verdict" "$go evidence"
    example go ES256 "$go verdict" "$go evidence"
    mints go "$go mint" EdDSA ES256 RS256 HS256
    backend go RS256 "$go"
fi
exit $failed
