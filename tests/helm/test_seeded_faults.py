"""The gates catch what they are there for: a gate that cannot fail is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.helm.chart import CHART, VALUES_FILES, Chart, Refused
from tests.helm.consistency import problems

FAULTS: dict[str, tuple[str, str, str, str]] = {
    "a Service that selects the hook's pods": (
        "templates/service.yaml",
        '  selector:\n    {{- include "s3sftp.selectorLabels" . | nindent 4 }}',
        "  selector:\n    app.kubernetes.io/instance: {{ .Release.Name }}",
        "Service sftp-s3sftp selects",
    ),
    "a probe of a port that nobody opens": (
        "templates/deployment.yaml",
        "httpGet: {path: /readyz, port: admin{{ $scheme }}}",
        "httpGet: {path: /readyz, port: health{{ $scheme }}}",
        "port health is not opened",
    ),
    "a mount of no volume": (
        "templates/deployment.yaml",
        "- name: tmp\n              mountPath",
        "- name: temporary\n              mountPath",
        "mounts temporary, which is no volume",
    ),
    "a volume of a ConfigMap that nobody makes": (
        "templates/configmap.yaml",
        'name: {{ include "s3sftp.fullname" . | quote }}',
        'name: {{ include "s3sftp.fullname" . }}-options',
        "nobody makes",
    ),
    "a root that can be written": (
        "values.yaml",
        "readOnlyRootFilesystem: true",
        "readOnlyRootFilesystem: false",
        "readOnlyRootFilesystem = False",
    ),
    "capabilities that are kept": ("values.yaml", "    drop: [ALL]", "    drop: [NET_RAW]", "capabilities ="),
    "a field that Kubernetes does not know": (
        "templates/deployment.yaml",
        "  revisionHistoryLimit:",
        "  revisionsToKeep:",
        "revisionsToKeep",
    ),
    "a name that YAML takes for a number": (
        "templates/_names.tpl",
        "app.kubernetes.io/instance: {{ .Release.Name | quote }}",
        "app.kubernetes.io/instance: 1",
        "is not of type",
    ),
    "a type that Kubernetes does not take": (
        "templates/deployment.yaml",
        "value: {{ $listen.port | int | quote }}",
        "value: {{ $listen.port | int }}",
        "is not of type",
    ),
    "a port that there is not": (
        "templates/deployment.yaml",
        "containerPort: {{ $listen.port | int }}",
        "containerPort: {{ $listen.port | int | add 68000 }}",
        "containerPort 70022 is none",
    ),
    "a version that was removed": (
        "templates/poddisruptionbudget.yaml",
        "apiVersion: policy/v1",
        "apiVersion: policy/v1beta1",
        "PodDisruptionBudget",
    ),
    "an autoscaler with its ends swapped": (
        "templates/autoscaling.yaml",
        "minReplicas: {{ int .minReplicas }}",
        "minReplicas: {{ int .maxReplicas | add 1 }}",
        "has the range",
    ),
    "an autoscaler of another Deployment": (
        "templates/autoscaling.yaml",
        'kind: Deployment\n    name: {{ include "s3sftp.fullname" $ | quote }}',
        "kind: Deployment\n    name: {{ $.Release.Name }}-server",
        "HorizontalPodAutoscaler",
    ),
    "replicas beside the autoscaler": (
        "templates/deployment.yaml",
        "{{- if not .Values.autoscaling.enabled }}",
        "{{- if true }}",
        "undoes what the autoscaler chose",
    ),
    "too little time to stop": (
        "templates/_amounts.tpl",
        "{{- add $delay $drain $close 15 -}}",
        "{{- add $drain 15 -}}",
        "terminationGracePeriodSeconds =",
    ),
    "a token that nobody needs": (
        "templates/deployment.yaml",
        "automountServiceAccountToken: false",
        "automountServiceAccountToken: true",
        "has a token for nothing",
    ),
    "a Role that may read every Secret": (
        "templates/hostkeys.yaml",
        "    verbs: [create]",
        "    verbs: [create, list]",
        "may do too much",
    ),
    "a monitor that finds no Service": (
        "templates/monitors.yaml",
        "      s3sftp/service: metrics",
        "      s3sftp/service: monitoring",
        "ServiceMonitor finds the Services []",
    ),
    "a rule with a field that the operator does not know": (
        "files/alerts.yaml",
        "  for: 15m",
        "  during: 15m",
        "during",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_the_chart_is_caught(fault: str, tmp_path: Path) -> None:
    file, right, wrong, told = FAULTS[fault]
    chart = _with(tmp_path, file, right, wrong)
    found: list[str] = []
    for values in VALUES_FILES:
        if values.stem in ("minimal-values", "aws-values", "everything-values"):
            try:
                found += problems(chart.objects(values))
            except Refused as refused:
                found.append(str(refused))
    assert any(told in problem for problem in found), found


def test_a_value_that_the_schema_does_not_know_is_caught_by_lint(tmp_path: Path) -> None:
    chart = _with(tmp_path, "values.yaml", "replicas: 2\n", "replicas: 2\nreplicaz: 2\n")
    with pytest.raises(Refused, match="replicaz"):
        chart.lint(VALUES_FILES[0])


def test_a_template_that_asks_for_what_is_not_there_is_caught_by_lint(tmp_path: Path) -> None:
    port = "{{ int $service.port }}"
    chart = _with(tmp_path, "templates/service.yaml", port, "{{ int $service.port.number }}")
    with pytest.raises(Refused, match=r"service\.yaml"):
        chart.lint(VALUES_FILES[0])


def _with(directory: Path, file: str, right: str, wrong: str) -> Chart:
    """A copy of the chart with a fault."""
    copy = directory / "s3sftp"
    shutil.copytree(CHART, copy)
    text = (copy / file).read_text("utf-8")
    assert right in text, f"{file} has no {right!r}: this fault cannot be made any more"
    (copy / file).write_text(text.replace(right, wrong), "utf-8")
    return Chart("4", copy)
