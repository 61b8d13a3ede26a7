"""Checks deploy/observability as text: alerts and paragraphs belong together, every alert has its
tests, and the dashboard is whole. Relies on parts.py; needs no Prometheus.

    python documents.py
"""
import re
import sys

import parts

SEVERITIES = {"critical", "warning", "info"}
SCHEMA_VERSION = 42
# Grafana shows what it does not know as text behind the number.
UNITS = {"short", "percentunit", "s", "bytes", "Bps", "ops", "reqps", "dateTimeFromNow"}
PANELS = {"row", "stat", "table", "timeseries", "heatmap"}
faults = []


def paragraphs():
    """The paragraph of each alert in docs/alerts.md, by the alert's name."""
    text = parts.ALERTS.read_text()
    found = {}
    for part in text.split("\n## ")[1:]:
        name, _, body = part.partition("\n")
        if name in found:
            faults.append(f"two paragraphs for {name}")
        found[name] = body.strip()
    return found


def check_alerts():
    """Each alert has one paragraph, of its severity, to which its runbook leads."""
    written, alerts = paragraphs(), [rule for rule in parts.rules() if "alert" in rule]
    names = [rule["alert"] for rule in alerts]
    faults.extend(f"two alerts are called {name}" for name in set(names) if names.count(name) > 1)
    faults.extend(f"no alert has the paragraph {name}" for name in written if name not in names)
    order = [name for name in written if name in names]
    if order != [name for name in names if name in written]:
        faults.append("the paragraphs are in another order than the alerts")
    for rule in alerts:
        name, severity = rule["alert"], rule["labels"]["severity"]
        if severity not in SEVERITIES:
            faults.append(f"{name}: the severity {severity}")
        if rule["annotations"].get("runbook") != f"docs/alerts.md#{name.lower()}":
            faults.append(f"{name}: the runbook does not lead to its paragraph")
        if not rule["annotations"].get("summary", "").endswith("."):
            faults.append(f"{name}: the summary is no sentence")
        body = written.get(name)
        if body is None:
            faults.append(f"{name} has no paragraph in docs/alerts.md")
        elif not body.startswith(f"{severity.capitalize()}. ") or len(body) < 150:
            faults.append(f"{name}: the paragraph does not begin with its severity, or says little")
    return names


def check_tests(names):
    """Each alert fires in a test, is silent in that test before, and is silent in health."""
    cases = list(parts.tests())
    for name in names:
        own = {fires for file, alert, fires in cases if alert == name and file != "health"}
        health = [fires for file, alert, fires in cases if alert == name and file == "health"]
        if own != {True, False}:
            faults.append(f"{name}: no test in which it is silent, then fires")
        if not health or any(health):
            faults.append(f"{name}: no test of health in which it is silent")
    known = set(names)
    faults.extend(f"a test names {alert}" for _, alert, _ in cases if alert not in known)


def check_dashboard(path, dashboard, names):
    """Panels have all that a reader needs, and don't overlap."""
    title, panels = path.name, dashboard["panels"]
    if dashboard["schemaVersion"] != SCHEMA_VERSION or not dashboard["uid"]:
        faults.append(f"{title}: schemaVersion or uid")
    variables = {it["name"] for it in dashboard["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)", str(dashboard)))
    faults.extend(f"{title}: ${name} is undefined" for name in used - variables)
    faults.extend(f"{title}: ${name} is unused" for name in variables - used)
    ids = [panel["id"] for panel in panels]
    if len(set(ids)) != len(ids):
        faults.append(f"{title}: two panels have the same id")
    cells = {}
    for panel in panels:
        name, place = f"{title}: {panel['title']}", panel["gridPos"]
        if place["x"] + place["w"] > 24:
            faults.append(f"{name} is wider than the grid")
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                if (x, y) in cells:
                    faults.append(f"{name} covers {cells[x, y]}")
                cells[x, y] = panel["title"]
        if panel["type"] not in PANELS:
            faults.append(f"{name} is of an unknown type")
        if panel["type"] == "row":
            continue
        if not panel.get("description", "").endswith("."):
            faults.append(f"{name} has no description")
        # Not every installation has every section of gateway.toml.
        absent = "Absent w" in panel.get("description", "")
        if absent and "noValue" not in panel["fieldConfig"]["defaults"]:
            faults.append(f"{name} has no noValue for its absence")
        axis = panel["options"].get("yAxis", {})
        if panel["fieldConfig"]["defaults"].get("unit", axis.get("unit")) not in UNITS:
            faults.append(f"{name} has no unit of UNITS")
        for holder in (panel, *panel["targets"]):
            if holder["datasource"] != {"type": "prometheus", "uid": "${datasource}"}:
                faults.append(f"{name} has a fixed datasource")
    if len({panel["title"] for panel in panels}) != len(panels):
        faults.append(f"{title}: two panels have the same title")
    alerts = set(re.findall(r"LivenessGateway[A-Z]\w+", str(dashboard)))
    faults.extend(f"{title} names {alert}, which is no alert" for alert in alerts - set(names))


def main():
    names = check_alerts()
    check_tests(names)
    for path, dashboard in parts.dashboards():
        check_dashboard(path, dashboard, names)
    for fault in faults:
        print(f"FAIL  {fault}")
    print(f"{len(names)} alerts, {len(faults)} faults")
    return bool(faults) or not names


sys.exit(main())
