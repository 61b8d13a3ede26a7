"""Mints the tokens of a backend that is its own issuer, with PyJWT, and publishes the key that
verifies them. The type of the key decides the algorithm: Ed25519 EdDSA, P-256 ES256, RSA RS256;
with TOKEN_SECRET in place of TOKEN_KEY_FILE (PKCS#8 PEM), HS256. It never publishes a secret.
"""

import base64
import hashlib
import json
import os
import pathlib
import time

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

LIFETIME = 10 * 60  # seconds

if "TOKEN_SECRET" in os.environ:
    key, algorithm, public, kid = os.environ["TOKEN_SECRET"].encode(), "HS256", None, None
else:
    pem = pathlib.Path(os.environ["TOKEN_KEY_FILE"]).read_bytes()
    key = serialization.load_pem_private_key(pem, password=None)
    if isinstance(key, ed25519.Ed25519PrivateKey):
        algorithm = "EdDSA"
    else:
        algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "RS256"
    public = key.public_key()
    # Any text that no other key has: here a hash of the public key.
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    der = public.public_bytes(serialization.Encoding.DER, form)
    kid = base64.urlsafe_b64encode(hashlib.sha256(der).digest()).decode().rstrip("=")


def mint(user, transaction=None):
    """Returns a token with which this user makes the liveness check of one transaction."""
    now = int(time.time())
    claims = {
        "iss": os.environ["TOKEN_ISSUER"],
        "aud": os.environ["TOKEN_AUDIENCE"],
        "sub": user,
        "iat": now,
        "exp": now + LIFETIME,
        "scope": "liveness",
    }
    if transaction is not None:
        claims["txn"] = transaction
    return jwt.encode(claims, key, algorithm, headers={"kid": kid} if kid else None)


def key_set():
    """Returns the key set for `jwks_url` or `jwks_file`."""
    if public is None:
        return {"keys": []}
    jwk = json.loads(jwt.get_algorithm_by_name(algorithm).to_jwk(public))
    return {"keys": [{**jwk, "kid": kid, "alg": algorithm, "use": "sig"}]}
