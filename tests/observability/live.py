"""Evaluates every expression of rules and dashboards in a running Prometheus that scrapes gateways:
each metric, label and value that an expression names exists there, and each query has a result.
Relies on parts.py, and on the events that .ci/observability caused.

    python live.py URL scraped N    waits until N targets were scraped twice
    python live.py URL rest         before the first request
    python live.py URL check
"""
import json
import re
import sys
import time
import urllib.parse
import urllib.request

import parts

URL = sys.argv[1]
# Longer than the longest delay of FIRING, LivenessGatewayStoreAway's minute.
PATIENCE = 75
# Labels that Prometheus and not the gateway gives.
TARGET = {"namespace", "job", "instance"}
# Series of Prometheus' own.
OWN = {"up", "ALERTS"}
# Alerts of the events that .ci/observability and trouble.sh caused.
FIRING = {
    "LivenessGatewayCredentialsRefused",
    "LivenessGatewayEvidenceUndelivered",
    "LivenessGatewayQuotaUsedUp",
    "LivenessGatewayIssuerWithoutKeys",
    "LivenessGatewayCertificateExpiring",
    "LivenessGatewayReloadRefused",
    "LivenessGatewayTracesDropped",
    "LivenessGatewayRestarting",
    "LivenessGatewayQiniuConnectionsFull",
    "LivenessGatewayBilledWithoutAnswer",
    "LivenessGatewayReplaysSurge",
    "LivenessGatewayFewPass",
    "LivenessGatewayAuditFailing",
    "LivenessGatewayCertificateExpired",
    "LivenessGatewayOverloaded",
    "LivenessGatewayStoreAway",
}
# Queries without a result while all is well.
SILENT = {
    "annotation Starts",
    "Overloaded",
    "Bodies that came too slowly",
}
faults = []


def ask(path, **parameters):
    """The data of an answer of Prometheus' API, or its error."""
    url = f"{URL}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"], None
    except urllib.error.HTTPError as error:
        return None, json.load(error)["error"]


def result(query):
    """The series of a query's result, or None and a fault."""
    data, error = ask("query", query=query)
    if error:
        faults.append(f"{query}: {error}")
        return None
    return data["result"]


def some_result(query):
    """The result of a query, once it has one: a rate takes two samples."""
    end = time.monotonic() + 5
    while not (values := result(query)) and values is not None and time.monotonic() < end:
        time.sleep(0.5)
    return values


def wait(missing):
    """Waits until nothing is missing."""
    end = time.monotonic() + PATIENCE
    while what := missing():
        if time.monotonic() > end:
            sys.exit(f"FAIL  missing after {PATIENCE} s: {what}")
        time.sleep(0.2)


class Series:
    """What is scraped: the label sets of each metric, asked once."""

    def __init__(self):
        self.known = {}

    def of(self, metric):
        if metric not in self.known:
            data, error = ask("series", **{"match[]": metric})
            self.known[metric] = data or []
            if error:
                faults.append(f"{metric}: {error}")
        return self.known[metric]


def error_codes():
    """The codes that docs/errors.md lists: most of their series begin with their first event."""
    text = (parts.ROOT / "docs/errors.md").read_text()
    return set(re.findall(r"^\| [0-9, ]+ `([a-z_]+)`", text, re.M)) | {"ok"}


def check_selector(place, series, metric, matchers):
    """The metric exists, with each label that the selector names, and with each value."""
    found = series.of(metric)
    if not found:
        faults.append(f"{place}: there is no metric {metric}")
        return
    for label, _, value in matchers:
        if label in TARGET or metric in OWN:
            continue
        values = {it[label] for it in found if label in it}
        if not values:
            faults.append(f"{place}: {metric} has no label {label}")
        elif label == "code":
            values |= error_codes()
        if label == "status" or value == ".*":
            continue
        # A pattern of alternatives: each is a value, or matches one.
        for wanted in value.split("|"):
            if not any(re.fullmatch(wanted, it) for it in values):
                faults.append(f"{place}: {metric} has no {label}=\"{wanted}\": {sorted(values)}")


def check_expression(place, series, query):
    """What an expression reads exists."""
    try:
        reads = parts.Reads(query)
    except ValueError as error:
        faults.append(f"{place}: {error}: {query}")
        return
    if not reads.selectors:
        faults.append(f"{place}: reads no metric")
    labels = set(TARGET)
    for metric, matchers in reads.selectors:
        check_selector(place, series, metric, matchers)
        for it in series.of(metric):
            labels |= set(it)
    faults.extend(f"{place}: no metric has the label {it}" for it in reads.labels - labels)


def check_rules(series):
    """Every rule is evaluated without an error, and reads what exists."""
    groups = ask("rules")[0]["groups"]
    evaluated = {rule["name"]: rule for group in groups for rule in group["rules"]}
    for rule in parts.rules():
        name = rule["alert"]
        if evaluated[name]["health"] != "ok":
            faults.append(f"{name}: {evaluated[name].get('lastError') or 'not evaluated'}")
        check_expression(name, series, rule["expr"])
        values = result(without_comparison(rule["expr"])) or []
        present = {label for it in values for label in it["metric"]}
        used = parts.named(rule["annotations"]["summary"]) - {"value"}
        if values:
            faults.extend(f"{name}: the result has no label {it}" for it in used - present)


def without_comparison(query):
    """The left side of an alert's last comparison, which has a value while all is well."""
    node = parts.promql.parse(query)
    while type(node).__name__ == "BinaryExpr" and str(node.op) in ("<", ">", "<=", ">=", "=="):
        node = node.lhs
    return node.prettify() if hasattr(node, "prettify") else str(node)


def check_dashboards(series):
    """Every query has a result, whose series have the labels of its legend."""
    for path, dashboard in parts.dashboards():
        for title, query, legend, _ in parts.queries(dashboard):
            place, query = f"{path.name}: {title}", parts.filled(query)
            check_expression(place, series, query)
            may_be_empty = title in SILENT or " offset " in query
            values = result(query) if may_be_empty else some_result(query)
            if values is None:
                continue
            if not values and not may_be_empty:
                faults.append(f"{place}: no result of {query}")
            for it in values:
                missing = parts.named(legend) - set(it["metric"])
                faults.extend(f"{place}: no label {label} for its legend" for label in missing)
        for variable in dashboard["templating"]["list"]:
            asked = re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", ""))
            if asked:
                found = result(parts.filled(asked[1])) or []
                if not any(asked[2] in it["metric"] for it in found):
                    faults.append(f"{path.name}: ${variable['name']} has no values")


def check_rest():
    """A panel without anything to show says why, in place of Grafana's `No data` and `NaN`."""
    for path, dashboard in parts.dashboards():
        for panel in dashboard["panels"]:
            queries = [parts.filled(it["expr"]) for it in panel.get("targets", ())]
            values = [it["value"][1] for query in queries for it in result(query) or []]
            place, shown = f"{path.name}: {panel['title']}", panel.get("fieldConfig", {}).get("defaults", {})
            if queries and not values and "noValue" not in shown:
                faults.append(f"{place} is empty at rest, and has no noValue")
            mapped = [it["options"].get("match") for it in shown.get("mappings", ())]
            if "NaN" in values and "nan" not in mapped:
                faults.append(f"{place} is NaN at rest, and maps it to nothing")


def report():
    """Prints the faults; true if there are any."""
    for fault in dict.fromkeys(faults):
        print(f"FAIL  {fault}")
    return bool(faults)


def firing():
    """The names of the alerts that fire."""
    return {it["labels"]["alertname"] for it in ask("alerts")[0]["alerts"] if it["state"] == "firing"}


def unscraped(number):
    """How many targets of so many were not scraped twice."""
    twice = ask("query", query="count_over_time(up[1m]) >= 2 and up == 1")[0]["result"]
    return number - len(twice)


def main():
    if sys.argv[2] == "scraped":
        wait(lambda: unscraped(int(sys.argv[3])))
        return 0
    if sys.argv[2] == "rest":
        check_rest()
        return report()
    wait(lambda: FIRING - firing())
    series = Series()
    check_rules(series)
    check_dashboards(series)
    unexpected = firing() - FIRING
    if unexpected:
        faults.append(f"these alerts fire, too: {unexpected}")
    print(f"{len(list(parts.rules()))} rules, {len(series.known)} metrics, {len(faults)} faults")
    return report()


sys.exit(main())
