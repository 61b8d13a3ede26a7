"""Verifies verdicts with python-jose, which lacks EdDSA: the gateway must sign with a P-256 key. It
relies on the gateway's key set alone, and never lets a verdict choose its key or its algorithm.
"""

import json
import os
import threading
import time
import urllib.request

from jose import JOSEError, jwk, jwt

MAX_AGE = 600  # Time that fetched keys are used, in seconds.
REFETCH = 30  # Minimum time between two fetches for unknown keys, in seconds.

# The P-256 keys of the gateway's key set, by their ids.
keys = {}
fetched = float("-inf")
lock = threading.Lock()


class Refused(Exception):
    """The verdict does not prove what it should."""


class Unavailable(Exception):
    """The keys can't be fetched."""


def key_of(kid):
    """Returns the key with this id. Fetches the key set on first use, and for an unknown id."""
    global keys, fetched
    with lock:
        age = time.monotonic() - fetched
        if age > MAX_AGE or (kid not in keys and age > REFETCH):
            try:
                with urllib.request.urlopen(os.environ["JWKS_URL"], timeout=5) as answer:
                    found = json.load(answer)["keys"]
            except (OSError, ValueError) as error:
                raise Unavailable(str(error)) from error
            found = [key for key in found if (key["kty"], key["crv"]) == ("EC", "P-256")]
            keys = {key["kid"]: jwk.construct(key, "ES256") for key in found}
            fetched = time.monotonic()
        if kid not in keys:
            raise Refused("signed with an unknown key")
        return keys[kid]


def check(verdict, user_issuer, user_id, nonce):
    """Returns the claims of a genuine verdict about this user and this nonce, passed or not."""
    try:
        header = jwt.get_unverified_header(verdict)
        claims = jwt.decode(
            verdict,
            key_of(header.get("kid")),
            algorithms=["ES256"],
            issuer=os.environ["ISSUER"],
            audience=os.environ["AUDIENCE"],
            options={f"require_{it}": True for it in ("iss", "aud", "exp", "iat", "jti", "sub")},
        )
    except JOSEError as error:
        raise Refused(str(error)) from error
    # The header was verified with the claims.
    if header.get("typ") != "liveness-verdict+jwt":
        raise Refused("not a verdict")
    # The user of the backend's own login session, never a name that the frontend sends.
    if (claims.get("sub_iss"), claims["sub"]) != (user_issuer, user_id):
        raise Refused("about another user")
    # The nonce that this backend made for the transaction which is now to be carried out.
    if claims.get("nonce") != nonce:
        raise Refused("for another transaction")
    return claims


# Used verdicts, until they expire. With several backends, store them in a shared database.
used = {}


def accept(verdict, user_issuer, user_id, nonce):
    """Returns the claims of a verdict that this user passed for this nonce; accepts it once."""
    claims = check(verdict, user_issuer, user_id, nonce)
    if claims.get("liveness", {}).get("passed") is not True:
        raise Refused("not passed")
    with lock:
        now = time.time()
        for jti in [jti for jti, until in used.items() if until < now]:
            del used[jti]
        if claims["jti"] in used:
            raise Refused("used before")
        used[claims["jti"]] = claims["exp"]
    return claims
