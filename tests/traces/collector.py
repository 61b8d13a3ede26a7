"""Reads traces of a gateway as a collector does: by OpenTelemetry's own protocol definitions, which
know every member, and its own names of attributes.

    collector.py LIVENESS-GATEWAY FOLDER

Starts the emulator and a gateway on loopback ports, sends a request with and one without a
`traceparent`, and checks what arrives. Everything that it starts ends with it.
"""

import base64
import http.server
import json
import os
import pathlib
import queue
import subprocess
import sys
import threading
import urllib.error
import urllib.request

from google.protobuf import json_format
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
import opentelemetry.semconv.attributes as stable

TIME_LIMIT = 30
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
KEYS = {
    "QINIU_ACCESS_KEY": "AccessKeyOfTheTraces",
    "QINIU_SECRET_KEY": "SecretKeyOfTheTraces",
    "LOGIN_SECRET": "the-secret-of-the-traces-is-long-enough",
}
ISSUER = "https://login.example.com/"
OWN = ("liveness_gateway.request_id", "liveness_gateway.code")
batches = queue.Queue()


class Collector(http.server.BaseHTTPRequestHandler):
    """Takes every batch."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        batches.put((self.path, self.headers["Content-Type"], body))
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


def parse(body):
    """A batch as a message. OTLP writes ids as hexadecimal, where JSON of protobuf has base64."""

    def convert(value):
        if isinstance(value, list):
            return [convert(item) for item in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            name: base64.b64encode(bytes.fromhex(item)).decode() if name in ids else convert(item)
            for name, item in value.items()
        }

    converted = json.dumps(convert(json.loads(body)))
    return json_format.Parse(converted, ExportTraceServiceRequest())


def conventions():
    """All names of attributes that are stable."""
    names = set()
    for file in pathlib.Path(stable.__path__[0]).glob("*_attributes.py"):
        module = __import__(f"{stable.__name__}.{file.stem}", fromlist=["*"])
        names |= {value for value in vars(module).values() if isinstance(value, str)}
    return names


def start(binary, arguments, running):
    process = subprocess.Popen(
        [binary, *arguments],
        env={**os.environ, **KEYS},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    running.append(process)
    return process


def main(binary, folder):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    running = []
    try:
        spans = traffic(binary, folder, server.server_address[1], running)
        check(spans)
    finally:
        for process in running:
            process.kill()


def traffic(binary, folder, port, running):
    emulator = start(binary, ["emulator", "--listen", "127.0.0.1:0"], running)
    upstream = emulator.stdout.readline().strip()
    file = pathlib.Path(folder) / "gateway.toml"
    file.write_text(
        f"""
[server]
listen = "127.0.0.1:0"
trusted_proxies = ["127.0.0.1/32"]
[admin]
listen = "127.0.0.1:0"
[qiniu]
endpoint = "{upstream}"
access_key = {{ env = "QINIU_ACCESS_KEY" }}
secret_key = {{ env = "QINIU_SECRET_KEY" }}
[[identity]]
issuer = "{ISSUER}"
audience = "liveness"
secret = {{ env = "LOGIN_SECRET" }}
[telemetry]
otlp_endpoint = "http://127.0.0.1:{port}"
service_name = "traced"
"""
    )
    gateway = start(binary, ["serve", "--config", str(file)], running)
    address = None
    while address is None:
        line = json.loads(gateway.stdout.readline())
        if line.get("message") == "listening":
            address = line["address"]
    token = subprocess.run(
        [binary, "token", "--secret-env", "LOGIN_SECRET", "--issuer", ISSUER]
        + ["--audience", "liveness", "--subject", "ada"],
        env={**os.environ, **KEYS},
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    url = f"http://{address}/v2/actionliveness/sessioncode"
    for headers in (
        {
            "Authorization": f"Bearer {token}",
            "traceparent": f"00-{TRACE}-{PARENT}-01",
            "tracestate": "vendor=1",
        },
        {"Authorization": f"Bearer {token}x"},
    ):
        headers["Content-Type"] = "application/json"
        request = urllib.request.Request(url, data=b"{}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=TIME_LIMIT) as response:
                response.read()
        except urllib.error.HTTPError as error:
            error.read()
    spans = []
    while sum(span.kind == Span.SPAN_KIND_SERVER for span in spans) < 2:
        path, content_type, body = batches.get(timeout=TIME_LIMIT)
        assert (path, content_type) == ("/v1/traces", "application/json"), (path, content_type)
        assert token.encode() not in body, "a token is in a trace"
        for resource in parse(body).resource_spans:
            attributes = {it.key: it.value.string_value for it in resource.resource.attributes}
            assert attributes["service.name"] == "traced", attributes
            for scope in resource.scope_spans:
                spans.extend(scope.spans)
    return spans


def check(spans):
    known = conventions()
    for span in spans:
        assert len(span.trace_id) == 16 and len(span.span_id) == 8, span
        assert 0 < span.start_time_unix_nano <= span.end_time_unix_nano, span
        for attribute in span.attributes:
            assert attribute.key in known or attribute.key in OWN, attribute.key
    by_trace = {}
    for span in spans:
        by_trace.setdefault(span.trace_id.hex(), []).append(span)
    followed = by_trace.pop(TRACE)
    [refused] = by_trace.values()
    for trace, parent, status in ((followed, PARENT, 200), (refused, "", 401)):
        [root] = [span for span in trace if span.kind == Span.SPAN_KIND_SERVER]
        attributes = {it.key: it.value for it in root.attributes}
        assert root.name == "POST /v2/actionliveness/sessioncode", root.name
        assert root.parent_span_id.hex() == parent, root.parent_span_id.hex()
        assert attributes["http.response.status_code"].int_value == status, attributes
        assert attributes["http.request.method"].string_value == "POST", attributes
        assert root.status.code == Status.STATUS_CODE_UNSET, root.status
        for span in trace:
            if span is not root:
                assert span.parent_span_id == root.span_id, span
                assert root.start_time_unix_nano <= span.start_time_unix_nano, span
                assert span.end_time_unix_nano <= root.end_time_unix_nano, span
    assert {span.name for span in followed} >= {"authenticate", "receive", "POST"}, followed
    assert {span.name for span in refused} >= {"authenticate"}, refused
    assert "vendor=1" in {span.trace_state for span in followed}
    print(f"{len(spans)} spans of 2 traces are as they should be")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
