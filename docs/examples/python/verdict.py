"""How a backend verifies a verdict with PyJWT, whichever kind of key signs. Reads one verdict per
line from standard input and prints the result of each.

JWKS_URL=… ISSUER=… AUDIENCE=… USER_ISSUER=… USER_ID=… NONCE=… python verdict.py
"""

import os
import sys
import time

import jwt

# The key set is fetched on first use, and again when a verdict names an unknown key.
keys = jwt.PyJWKClient(os.environ["JWKS_URL"])

# Used verdicts, until they expire. With several backends, store them in a shared database.
used = {}


class Refused(Exception):
    """The verdict does not prove that this user passed for this transaction."""


def accept(verdict, user_issuer, user_id, nonce):
    """Returns the claims of a verdict that this user passed for this nonce; raises otherwise."""
    token = jwt.decode_complete(
        verdict,
        keys.get_signing_key_from_jwt(verdict).key,
        algorithms=["EdDSA", "ES256"],
        issuer=os.environ["ISSUER"],
        audience=os.environ["AUDIENCE"],
        options={"require": ["iss", "aud", "exp", "iat", "jti", "sub"]},
    )
    claims = token["payload"]
    if token["header"].get("typ") != "liveness-verdict+jwt":
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
    except (Refused, jwt.PyJWTError) as error:
        print(f"refused: {error}", flush=True)
