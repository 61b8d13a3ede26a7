"""How a backend verifies a verdict with python-jose, which lacks EdDSA: the gateway must sign with a
P-256 key. Reads one verdict per line from standard input and prints the result of each.

JWKS_URL=… ISSUER=… AUDIENCE=… USER_ISSUER=… USER_ID=… NONCE=… python verdict_jose.py
"""

import json
import os
import sys
import time
import urllib.request

from jose import JOSEError, jwk, jwt

REFETCH = 30  # Minimum time between two fetches for unknown keys, in seconds.

# The P-256 keys of the gateway's key set, by their ids.
keys = {}
fetched = float("-inf")

# Used verdicts, until they expire. With several backends, store them in a shared database.
used = {}


class Refused(Exception):
    """The verdict does not prove that this user passed for this transaction."""


def key_of(kid):
    """Returns the key with this id. Fetches the key set on first use, and for an unknown id."""
    global keys, fetched
    if kid not in keys and time.monotonic() - fetched > REFETCH:
        fetched = time.monotonic()
        with urllib.request.urlopen(os.environ["JWKS_URL"], timeout=5) as answer:
            found = json.load(answer)["keys"]
        found = [key for key in found if (key["kty"], key["crv"]) == ("EC", "P-256")]
        keys = {key["kid"]: jwk.construct(key, "ES256") for key in found}
    if kid not in keys:
        raise Refused("signed with an unknown key")
    return keys[kid]


def accept(verdict, user_issuer, user_id, nonce):
    """Returns the claims of a verdict that this user passed for this nonce; raises otherwise."""
    header = jwt.get_unverified_header(verdict)
    claims = jwt.decode(
        verdict,
        key_of(header.get("kid")),
        algorithms=["ES256"],
        issuer=os.environ["ISSUER"],
        audience=os.environ["AUDIENCE"],
        options={f"require_{name}": True for name in ("iss", "aud", "exp", "iat", "jti", "sub")},
    )
    # The header was verified with the claims.
    if header.get("typ") != "liveness-verdict+jwt":
        raise Refused("not a verdict")
    # The user of the backend's own login session, never a name that the frontend sends.
    if (claims.get("sub_iss"), claims["sub"]) != (user_issuer, user_id):
        raise Refused("about another user")
    # The nonce that this backend made for the transaction which is now to be carried out.
    if claims.get("nonce") != nonce:
        raise Refused("for another transaction")
    if claims.get("liveness", {}).get("passed") is not True:
        raise Refused("not passed")
    now = time.time()
    for jti in [jti for jti, until in used.items() if until < now]:
        del used[jti]
    if claims["jti"] in used:
        raise Refused("used before")
    used[claims["jti"]] = claims["exp"]
    return claims


for line in sys.stdin:
    try:
        user = os.environ["USER_ISSUER"], os.environ["USER_ID"]
        claims = accept(line.strip(), *user, os.environ["NONCE"])
        print("accepted", claims["jti"], flush=True)
    except (Refused, JOSEError) as error:
        print(f"refused: {error}", flush=True)
