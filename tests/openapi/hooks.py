"""What schemathesis can't know of the gateway: where sessions come from, and what a video is.

Loaded by schemathesis.toml. Every request of this file goes to the gateway under test.
"""
import base64
import json
import os
import pathlib
import urllib.request
import zlib

import schemathesis
from hypothesis import strategies as st

GATEWAY = os.environ["LIVENESS_GATEWAY_URL"]
TOKEN = os.environ["LIVENESS_GATEWAY_TOKEN"]
VIDEO = pathlib.Path(__file__).parent.parent.joinpath("data/h264-moov-first.mp4").read_bytes()

# A real video, and bytes that are none: the gateway takes both, Qiniu refuses the second.
for name in ("video/mp4", "video/quicktime"):
    schemathesis.openapi.media_type(name, st.one_of(st.just(VIDEO), st.binary(min_size=1)))


def new_session() -> str:
    """Asks for a session, as an app does."""
    request = urllib.request.Request(
        f"{GATEWAY}/v2/actionliveness/sessioncode",
        method="POST",
        headers={"Authorization": f"Bearer {TOKEN}"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)["result"]["session_id"]


def is_positive(case) -> bool:
    """Whether the case is meant to fit the schema."""
    return case.meta is not None and case.meta.generation.mode.value == "positive"


@schemathesis.hook
def map_case(ctx, case):
    """Makes valid videos of valid requests: base64 of `video_base64`, whose alphabet the schema
    names but does not enforce, since a pattern over megabytes would cost every client. Every
    second valid request has a session of its own, and a real video.
    """
    if case.operation.path != "/v2/actionliveness/verify" or not is_positive(case):
        return case
    body = case.body
    real = zlib.crc32(repr(body).encode()) % 2 == 0
    if case.media_type == "multipart/form-data" and isinstance(body, dict):
        # The generator writes names of parts raw into a header field: with such characters it would
        # be no valid form.
        for name in [name for name in body if not name.isprintable() or '"' in name]:
            del body[name]
    if isinstance(body, dict) and "nonce" in body:
        # OpenAPI can't say that two values must be the same where both are given.
        case.headers.pop("Liveness-Nonce", None)
    if isinstance(body, dict) and isinstance(body.get("video_base64"), str):
        video = VIDEO if real else body["video_base64"].encode("utf-8", "surrogatepass")
        body["video_base64"] = base64.b64encode(video).decode()
    if isinstance(body, dict) and "session_id" in body and real:
        body["session_id"] = new_session()
    elif case.media_type.startswith("video/"):
        # OpenAPI can't say that a media type needs a header field.
        id = new_session() if body == VIDEO else "of-nobody"
        case.headers.setdefault("Liveness-Session", id)
    return case


@schemathesis.check
def accepted_lengths_are_qiniu_s_to_refuse(ctx, response, case):
    """A request that does not fit the schema never gets a session with HTTP 200."""
    if case.operation.definition.raw.get("operationId") != "createSession" or is_positive(case):
        return
    if response.status_code == 200 and case.meta is not None:
        phase = case.meta.phase.data
        assert response.json()["error_code"] != 0, f"accepted: {case.body!r} {phase!r}"
