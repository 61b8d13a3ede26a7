"""Verifies verdicts with PyJWT, whichever kind of key signs. It relies on the gateway's key set
alone, and never lets a verdict choose its key or its algorithm.
"""

import os
import threading
import time

import jwt

REFETCH = 30  # Minimum time between two fetches for unknown keys, in seconds.

# The key set is fetched on first use, and every ten minutes.
keys = jwt.PyJWKClient(os.environ["JWKS_URL"], lifespan=600, timeout=5)
refetched = float("-inf")
lock = threading.Lock()


class Refused(Exception):
    """The verdict does not prove what it should."""


class Unavailable(Exception):
    """The keys can't be fetched."""


def key_of(kid):
    """Returns the key with this id. An unknown id causes a fetch, but invented ones no flood."""
    global refetched
    with lock:
        try:
            found = keys.match_kid(keys.get_signing_keys(), kid)
            if found is None and time.monotonic() - refetched > REFETCH:
                refetched = time.monotonic()
                found = keys.match_kid(keys.get_signing_keys(refresh=True), kid)
        except jwt.PyJWKClientError as error:
            raise Unavailable(str(error)) from error
    if found is None:
        raise Refused("signed with an unknown key")
    return found.key


def check(verdict, user_issuer, user_id, nonce):
    """Returns the claims of a genuine verdict about this user and this nonce, passed or not."""
    try:
        token = jwt.decode_complete(
            verdict,
            key_of(jwt.get_unverified_header(verdict).get("kid")),
            algorithms=["EdDSA", "ES256"],
            issuer=os.environ["ISSUER"],
            audience=os.environ["AUDIENCE"],
            options={"require": ["iss", "aud", "exp", "iat", "jti", "sub"]},
        )
    except jwt.PyJWTError as error:
        raise Refused(str(error)) from error
    claims = token["payload"]
    if token["header"].get("typ") != "liveness-verdict+jwt":
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
