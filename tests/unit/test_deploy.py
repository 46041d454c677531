"""The files in deploy/ name what exists: metrics, settings, paths, ports, the image's folders."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from stream_app.engine.metrics import Metrics
from stream_app.settings import Settings
from stream_app.web.routes import ROUTES

ROOT = Path(__file__).parents[2]
ALERTS = yaml.safe_load((ROOT / "deploy/prometheus-alerts.yml").read_text())
OBJECTS = list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yaml").read_text()))
RULES = [rule for group in ALERTS["groups"] for rule in group["rules"]]
(STATEFUL,) = [thing for thing in OBJECTS if thing["kind"] == "StatefulSet"]
POD = STATEFUL["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]


def known_metrics() -> set[str]:
    return {
        name
        for family in Metrics().registry.collect()
        for name in (family.name, f"{family.name}_total")
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_an_alert_asks_for_metrics_that_exist_and_says_what_to_do(rule: dict[str, Any]) -> None:
    asked = set(re.findall(r"\bkol_[a-z_]+", rule["expr"]))
    assert asked
    assert asked <= known_metrics()
    assert rule["labels"]["severity"] in {"page", "ticket"}
    assert rule["annotations"].keys() == {"summary", "description"}


def test_every_alert_stands_in_the_operations_page() -> None:
    page = (ROOT / "docs/operations.md").read_text()
    assert [rule["alert"] for rule in RULES if rule["alert"] not in page] == []


def test_the_workers_settings_exist() -> None:
    known = {f"KOL_{name.upper()}" for name in Settings.model_fields}
    named = {variable["name"] for variable in CONTAINER["env"]} - {"POD_NAME"}
    assert named <= known


def test_probes_ask_paths_and_ports_that_the_worker_has() -> None:
    paths = {route.path for route in ROUTES}
    ports = {port["name"]: port["containerPort"] for port in CONTAINER["ports"]}
    for name in ("startupProbe", "livenessProbe", "readinessProbe"):
        probe = CONTAINER[name]["httpGet"]
        assert probe["path"] in paths
        assert probe["port"] in ports
    settings = {v["name"]: v.get("value") for v in CONTAINER["env"]}
    assert settings["KOL_WEB_PORT"] == str(ports["web"])


def test_what_the_image_writes_is_mounted_since_the_rest_is_read_only() -> None:
    mounted = {mount["mountPath"] for mount in CONTAINER["volumeMounts"]}
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert {"/var/lib/kol", "/var/cache/kol"} <= mounted
    assert all(folder in dockerfile for folder in ("/var/lib/kol", "/var/cache/kol"))
    assert str(POD["securityContext"]["runAsUser"]) in dockerfile
    claims = {claim["metadata"]["name"] for claim in STATEFUL["spec"]["volumeClaimTemplates"]}
    volumes = {volume["name"] for volume in POD["volumes"]}
    assert {mount["name"] for mount in CONTAINER["volumeMounts"]} == claims | volumes


def test_all_parts_select_the_same_pods() -> None:
    labels = STATEFUL["spec"]["template"]["metadata"]["labels"]
    for thing in OBJECTS:
        selector = thing["spec"].get("selector")
        assert selector.get("matchLabels", selector) == labels
    services = {thing["metadata"]["name"] for thing in OBJECTS if thing["kind"] == "Service"}
    assert STATEFUL["spec"]["serviceName"] in services
