"""Dashboard and alerts ask for metrics that exist, in a language that Prometheus understands."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from s3sftp.telemetry.instrument import InstrumentKind
from s3sftp.telemetry.metric_catalogue import CATALOGUE
from tests.helm.chart import CHART, RELEASE, Chart, of_kind, only, values_file
from tests.helm.tools import tool
from tests.support.commands import installed

_OF_KIND = {
    InstrumentKind.GAUGE: ("",),
    InstrumentKind.COUNTER: ("_total",),
    InstrumentKind.HISTOGRAM: ("_bucket", "_sum", "_count"),
}
SERIES = {
    f"{each.name}{suffix}": set(each.labels) | ({"le"} if suffix == "_bucket" else set())
    for each in CATALOGUE
    for suffix in _OF_KIND[each.kind]
}
"""What can be asked for, by which labels."""
OF_TARGETS = {"namespace", "pod"}
"""Labels that whoever scrapes adds."""
_SELECTOR = re.compile(r"(s3sftp_\w+)(?:\{([^}]*)\})?")
_BY = re.compile(r"\bby \(([^)]*)\)")


def wrong_names(query: str) -> Iterator[str]:
    """Metrics and labels of a query that do not exist, and values that none has."""
    asked: set[str] = set()
    for name, matchers in _SELECTOR.findall(query):
        if name not in SERIES:
            yield name
            continue
        asked |= SERIES[name]
        for label, value in re.findall(r'(\w+)=~?"([^"]*)"', matchers):
            if label not in SERIES[name] | OF_TARGETS:
                yield f"{name}{{{label}}}"
            elif label not in OF_TARGETS and set(value.split("|")) - _values_of(name, label):
                yield f"{name}{{{label}={value}}}"
    for labels in _BY.findall(query):
        yield from (f"by {each}" for each in labels.split(", ") if each not in asked | OF_TARGETS)


def _values_of(name: str, label: str) -> set[str]:
    (instrument,) = (
        each for each in CATALOGUE if name in {f"{each.name}{suffix}" for suffix in _OF_KIND[each.kind]}
    )
    index = instrument.labels_of_series.index(label)
    return {series[index] for series in instrument.series}


def rules(chart: Chart) -> list[dict[str, Any]]:
    (rule,) = of_kind(chart.objects(values_file("aws")), "PrometheusRule")
    (group,) = rule["spec"]["groups"]
    found: list[dict[str, Any]] = group["rules"]
    return found


def panels() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((CHART / "files/dashboard.json").read_text("utf-8"))["panels"]
    return found


def test_alerts_ask_for_what_exists(rendered: Chart) -> None:
    assert [wrong for rule in rules(rendered) for wrong in wrong_names(rule["expr"])] == []


def test_the_dashboard_asks_for_what_exists_and_leaves_out_no_metric() -> None:
    queries = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert [wrong for query in queries for wrong in wrong_names(query)] == []
    shown = {name for query in queries for name, _ in _SELECTOR.findall(query)}
    assert {each.name for each in CATALOGUE} == {re.sub("_(total|bucket)$", "", name) for name in shown}


def test_a_name_that_does_not_exist_is_found() -> None:
    assert list(wrong_names("sum by (pod) (rate(s3sftp_uploads_total[5m]))")) == ["s3sftp_uploads_total"]
    assert list(wrong_names('s3sftp_sessions{user="alice"}')) == ["s3sftp_sessions{user}"]
    assert list(wrong_names('s3sftp_connections_total{result="denied"}')) == [
        "s3sftp_connections_total{result=denied}"
    ]
    assert list(wrong_names("sum by (user) (s3sftp_sessions)")) == ["by user"]


def test_the_dashboard_is_what_its_tool_writes() -> None:
    assert (CHART / "files/dashboard.json").read_text("utf-8") == tool("dashboard").rendered()


def test_the_dashboard_is_in_the_config_map_as_it_is(chart: Chart) -> None:
    dashboard = only(chart.objects(values_file("everything")), "ConfigMap", "-dashboard")
    assert json.loads(dashboard["data"]["s3sftp.json"])["panels"] == panels()
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_prometheus_understands_every_query_of_the_dashboard(tmp_path: Path) -> None:
    variables = {"$__rate_interval": "5m", "$namespace": "sftp", "$pod": ".+"}
    queries = []
    for panel in panels():
        for target in panel["targets"]:
            query = target["expr"]
            for name, value in variables.items():
                query = query.replace(name, value)
            queries.append({"record": f"panel:{panel['id']}:{target['refId']}", "expr": query})
    done = _promtool("check", "rules", _written(tmp_path, queries))
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_takes_the_alerts(rendered: Chart, tmp_path: Path) -> None:
    done = _promtool("check", "rules", _written(tmp_path, rules(rendered)))
    assert done.returncode == 0, done.stdout + done.stderr
    broken = [rules(rendered)[0] | {"expr": "rate(s3sftp_sessions"}]
    assert _promtool("check", "rules", _written(tmp_path, broken)).returncode != 0


def test_alerts_fire_when_they_should_and_not_before(rendered: Chart, tmp_path: Path) -> None:
    _written(tmp_path, rules(rendered))
    labels = f'namespace="partners",pod="{RELEASE}-s3sftp-5d8f7c9b6d-x2x4z"'
    strange = 'namespace="partners",pod="other-7c9b6d-x2x4z"'

    def failed(share: int) -> list[dict[str, str]]:
        name = f's3sftp_transfers_total{{{labels},direction="upload"'
        return [
            {"series": f'{name},result="failed",reason="storage_error"}}', "values": f"0+{share}x60"},
            {"series": f'{name},result="committed",reason="closed"}}', "values": f"0+{100 - share}x60"},
        ]

    def answered(storage: str, result: str, rate: int) -> dict[str, str]:
        labels_of_one = f'{labels},storage="{storage}",api="PutObject",result="{result}"'
        return {"series": f"s3sftp_s3_requests_total{{{labels_of_one}}}", "values": f"0+{rate}x60"}

    def case(name: str, at: str, series: list[dict[str, str]], fires: bool) -> dict[str, Any]:
        rule = next(rule for rule in rules(rendered) if rule["alert"] == name)
        # of alerts that are for the whole release the pod is not said
        given = (
            {"namespace": "partners"}
            if name in ("S3sftpUploadsFail", "S3sftpNoPodReady")
            else dict(re.findall(r'(\w+)="([^"]*)"', labels))
        )
        if name == "S3sftpStoreErrors":
            given = {"namespace": "partners", "storage": "archive"}
        summary = rule["annotations"]["summary"]
        for label, value in given.items():
            summary = summary.replace(f"{{{{ $labels.{label} }}}}", value)
        alert = {
            "exp_labels": {**given, **rule["labels"]},
            "exp_annotations": rule["annotations"] | {"summary": summary},
        }
        return {
            "interval": "1m",
            "input_series": series,
            "alert_rule_test": [{"eval_time": at, "alertname": name, "exp_alerts": [alert] if fires else []}],
        }

    ready = f"s3sftp_ready{{{labels}}}"
    of_another = ready.replace("x2x4z", "b7v9k")
    workers, workers_ready = (f"s3sftp_{name}{{{labels}}}" for name in ("workers", "workers_ready"))
    missing = [{"series": workers, "values": "2+0x30"}, {"series": workers_ready, "values": "1+0x30"}]
    draining = {"series": ready, "values": "1 1 0+0x7"}  # for as long as these values let it
    alone = "0 0 0 1+0x60"
    tests = [
        case("S3sftpNotReady", "20m", [{"series": ready, "values": "1 1 0+0x20"}], True),
        case("S3sftpNotReady", "5m", [{"series": ready, "values": "1 1 0+0x20"}], False),
        case("S3sftpNotReady", "9m", [draining], False),
        case("S3sftpNotReady", "20m", [{"series": f"s3sftp_ready{{{strange}}}", "values": "0+0x30"}], False),
        case("S3sftpNoPodReady", "5m", [{"series": ready, "values": "1 1 0+0x20"}], True),
        case("S3sftpNoPodReady", "5m", [draining, {"series": of_another, "values": "1+0x20"}], False),
        case("S3sftpWorkersMissing", "20m", [*missing, {"series": ready, "values": "1+0x30"}], True),
        case("S3sftpWorkersMissing", "20m", [*missing, {"series": ready, "values": "0+0x30"}], False),
        case("S3sftpUploadsFail", "30m", failed(10), True),
        case("S3sftpUploadsFail", "30m", failed(2), False),
        case(
            "S3sftpStoreErrors",
            "30m",
            [
                answered("_s3", "ok", 100_000),  # a storage that works hides none that does not
                answered("archive", "ok", 90),
                answered("archive", "server_error", 10),
            ],
            True,
        ),
        case(
            "S3sftpStoreErrors",
            "30m",
            [answered("archive", "ok", 98), answered("archive", "no_answer", 2)],
            False,
        ),
        case("S3sftpUploadsFail", "12m", [failed(10)[0] | {"values": alone}], False),
    ]
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": tests}), "utf-8")
    done = _promtool("test", "rules", file)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor"])
def test_what_scrapes_asks_the_admin_port_for_metrics(kind: str, rendered: Chart) -> None:
    values = values_file("everything" if kind == "ServiceMonitor" else "aws")
    spec = only(rendered.objects(values), kind)["spec"]
    (endpoint,) = spec.get("endpoints") or spec["podMetricsEndpoints"]
    assert (endpoint["port"], endpoint["path"]) == ("admin", "/metrics")


def test_the_collector_of_telemetry_is_in_the_environment(rendered: Chart) -> None:
    deployment = only(rendered.objects(values_file("everything")), "Deployment")
    (container,) = (
        each for each in deployment["spec"]["template"]["spec"]["containers"] if each["name"] == "s3sftp"
    )
    environment = {each["name"]: each.get("value") for each in container["env"]}
    assert environment["OTEL_EXPORTER_OTLP_ENDPOINT"] == "http://collector.monitoring:4318"
    assert "deployment.environment.name=production" in str(environment["OTEL_RESOURCE_ATTRIBUTES"])


def _written(directory: Path, found: list[dict[str, Any]]) -> Path:
    file = directory / "rules.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "s3sftp", "rules": found}]}), "utf-8")
    return file


def _promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [installed("promtool"), *(str(each) for each in arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
