"""Reads both expositions of a gateway by Python's own parsers, and asks a Prometheus that scrapes it.

    read.py parse TEXT OPENMETRICS     two files, taken one after the other
    read.py scraped PROMETHEUS TRACE   the URL of a Prometheus, and the trace id of a request
"""

import json
import sys
import time
import urllib.parse
import urllib.request

from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client import parser as text

# Their values change between two scrapes.
CHANGING = ("process_", "liveness_gateway_key_set_age_seconds")


def samples(families):
    """Samples by name and labels, and the type of each family."""
    found, types = {}, {}
    for family in families:
        types[family.name.removesuffix("_total")] = family.type
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, f"twice: {key}"
            found[key] = sample
    return found, types


def parse(text_file, openmetrics_file):
    with open(text_file, encoding="utf-8") as file:
        plain, plain_types = samples(text.text_fd_to_metric_families(file))
    with open(openmetrics_file, encoding="utf-8") as file:
        opened, opened_types = samples(openmetrics.text_fd_to_metric_families(file))
    assert plain.keys() == opened.keys(), plain.keys() ^ opened.keys()
    assert plain_types == opened_types, (plain_types, opened_types)
    for key, sample in plain.items():
        same = sample.value == opened[key].value
        assert same or key[0].startswith(CHANGING), (sample, opened[key])
    exemplars = [sample.exemplar for sample in opened.values() if sample.exemplar]
    assert exemplars, "no sample has an exemplar"
    assert not any(sample.exemplar for sample in plain.values())
    print(f"{len(plain)} samples of {len(plain_types)} families, {len(exemplars)} exemplars")


def ask(prometheus, path, **parameters):
    query = urllib.parse.urlencode(parameters)
    with urllib.request.urlopen(f"{prometheus}/api/v1/{path}?{query}", timeout=10) as answer:
        return json.load(answer)["data"]


def until(what, find):
    """What `find` returns, once that is anything."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = find()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"never: {what}")


def scraped(prometheus, trace):
    now = time.time
    until("the target is up", lambda: ask(prometheus, "query", query="up == 1")["result"])
    [target] = ask(prometheus, "targets")["activeTargets"]
    assert not target["lastError"], target
    name = "liveness_gateway_request_duration_seconds_bucket"
    # Only OpenMetrics has exemplars, so Prometheus asked for it and was given it.
    found = until(
        "the exemplar",
        lambda: ask(prometheus, "query_exemplars", query=name, start=now() - 600, end=now() + 60),
    )
    traces = [exemplar["labels"]["trace_id"] for series in found for exemplar in series["exemplars"]]
    assert traces == [trace], traces
    counted = 'liveness_gateway_requests_total{status="200"} == 1'
    until("the request", lambda: ask(prometheus, "query", query=counted)["result"])
    types = {name: entry[0]["type"] for name, entry in ask(prometheus, "metadata").items()}
    for name, kind in (
        # By OpenMetrics, the name of a counter's family has no `_total`.
        ("liveness_gateway_requests", "counter"),
        ("liveness_gateway_request_duration_seconds", "histogram"),
        ("liveness_gateway_build_info", "gauge"),
        ("process_open_fds", "gauge"),
    ):
        assert types[name] == kind, (name, types)
    assert "unknown" not in types.values(), types
    print(f"Prometheus knows {len(types)} families, and the trace")


if __name__ == "__main__":
    {"parse": parse, "scraped": scraped}[sys.argv[1]](*sys.argv[2:])
