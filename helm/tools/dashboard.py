"""Writes helm/s3sftp/files/dashboard.json, a dashboard of Grafana: `python helm/tools/dashboard.py`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FILE = Path(__file__).parent.parent / "s3sftp" / "files" / "dashboard.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
PODS = 'namespace="$namespace",pod=~"$pod"'

_ROW_HEIGHT, _WIDTH, _COLUMNS = 8, 8, 24


def rate(metric: str, by: str, labels: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{PODS}{labels}}}[$__rate_interval]))"


def total(metric: str, by: str) -> str:
    return f"sum by ({by}) ({metric}{{{PODS}}})"


PANELS: tuple[tuple[str, str, tuple[tuple[str, str], ...]], ...] = (
    ("Ready", "short", ((total("s3sftp_ready", "pod"), "{{pod}}"),)),
    (
        "Workers ready, and as configured",
        "short",
        (
            (total("s3sftp_workers_ready", "pod"), "{{pod}}"),
            (total("s3sftp_workers", "pod"), "{{pod}} configured"),
        ),
    ),
    ("Worker restarts", "short", ((rate("s3sftp_worker_restarts_total", "pod"), "{{pod}}"),)),
    ("Connections", "short", ((total("s3sftp_connections", "pod"), "{{pod}}"),)),
    ("Sessions", "short", ((total("s3sftp_sessions", "pod"), "{{pod}}"),)),
    ("New connections", "cps", ((rate("s3sftp_connections_total", "result"), "{{result}}"),)),
    ("Logins", "cps", ((rate("s3sftp_logins_total", "method, result"), "{{method}} {{result}}"),)),
    ("Bans in force", "short", ((total("s3sftp_bans", "pod"), "{{pod}}"),)),
    ("New bans", "cps", ((rate("s3sftp_bans_total", "reason"), "{{reason}}"),)),
    ("Requests to the hook", "reqps", ((rate("s3sftp_hook_requests_total", "result"), "{{result}}"),)),
    ("Processes for which the hook is down", "short", ((total("s3sftp_hook_down", "pod"), "{{pod}}"),)),
    (
        "Requests for users to AWS",
        "reqps",
        ((rate("s3sftp_aws_user_requests_total", "service, result"), "{{service}} {{result}}"),),
    ),
    (
        "Processes for which users in AWS are down",
        "short",
        ((total("s3sftp_aws_users_down", "service"), "{{service}}"),),
    ),
    (
        "Requests to the table that replicas share",
        "reqps",
        ((rate("s3sftp_shared_state_requests_total", "purpose, result"), "{{purpose}} {{result}}"),),
    ),
    (
        "The table that replicas share does not answer",
        "short",
        ((total("s3sftp_shared_state_down", "pod"), "{{pod}}"),),
    ),
    ("Limits of users reached", "cps", ((rate("s3sftp_limits_reached_total", "limit"), "{{limit}}"),)),
    ("Users", "short", ((total("s3sftp_users", "pod"), "{{pod}}"),)),
    ("Reloads of the users", "cps", ((rate("s3sftp_config_reloads_total", "result"), "{{result}}"),)),
    (
        "Bytes from and to clients",
        "Bps",
        (
            (rate("s3sftp_received_bytes_total", "pod"), "{{pod}} in"),
            (rate("s3sftp_sent_bytes_total", "pod"), "{{pod}} out"),
        ),
    ),
    (
        "Transfers",
        "cps",
        ((rate("s3sftp_transfers_total", "direction, result"), "{{direction}} {{result}}"),),
    ),
    (
        "Failed transfers by reason",
        "cps",
        ((rate("s3sftp_transfers_total", "reason", ',result="failed"'), "{{reason}}"),),
    ),
    (
        "Uploads kept after a lost line",
        "cps",
        ((rate("s3sftp_kept_uploads_total", "outcome"), "{{outcome}}"),),
    ),
    (
        "Uploads in the bucket that wait to be continued",
        "short",
        ((f"max by (storage) (s3sftp_kept_uploads{{{PODS}}})", "{{storage}}"),),
    ),
    (
        "Bytes of uploads that wait to be continued",
        "bytes",
        ((f"max by (storage) (s3sftp_kept_upload_bytes{{{PODS}}})", "{{storage}}"),),
    ),
    ("Expected files that did not arrive", "cps", ((rate("s3sftp_files_missing_total", "pod"), "{{pod}}"),)),
    ("Operations", "ops", ((rate("s3sftp_operations_total", "operation"), "{{operation}}"),)),
    (
        "Operations that failed",
        "ops",
        (
            (
                rate("s3sftp_operations_total", "operation, result", ',result!~"ok|eof"'),
                "{{operation}} {{result}}",
            ),
        ),
    ),
    (
        "Duration of operations, 95 in 100 are shorter",
        "s",
        (
            (
                "histogram_quantile(0.95, "
                + rate("s3sftp_operation_duration_seconds_bucket", "operation, le")
                + ")",
                "{{operation}}",
            ),
        ),
    ),
    ("Open handles", "short", ((total("s3sftp_open_handles", "kind"), "{{kind}}"),)),
    (
        "Memory for contents, and its limit",
        "bytes",
        (
            (total("s3sftp_buffered_bytes", "pod"), "{{pod}}"),
            (total("s3sftp_buffer_limit_bytes", "pod"), "{{pod}} limit"),
        ),
    ),
    (
        "Lag of the event loops",
        "s",
        ((f"max by (pod, worker) (s3sftp_event_loop_lag_seconds{{{PODS}}})", "{{pod}} {{worker}}"),),
    ),
    (
        "Events for other systems",
        "cps",
        ((rate("s3sftp_events_total", "sink, result"), "{{sink}} {{result}}"),),
    ),
    ("Events that wait in memory", "short", ((total("s3sftp_events_waiting", "sink"), "{{sink}}"),)),
    (
        "Age of the oldest event in memory",
        "s",
        ((f"max by (pod, worker) (s3sftp_events_oldest_seconds{{{PODS}}})", "{{pod}} {{worker}}"),),
    ),
    ("Sinks that fail", "short", ((total("s3sftp_event_sinks_failing", "sink"), "{{sink}}"),)),
    ("Requests to S3", "reqps", ((rate("s3sftp_s3_requests_total", "api"), "{{api}}"),)),
    (
        "Requests to each storage, and those that failed",
        "reqps",
        (
            (rate("s3sftp_s3_requests_total", "storage"), "{{storage}}"),
            (
                rate("s3sftp_s3_requests_total", "storage", ',result=~"server_error|no_answer"'),
                "{{storage}} failed",
            ),
        ),
    ),
    (
        "Requests to S3 that failed",
        "reqps",
        ((rate("s3sftp_s3_requests_total", "api, result", ',result!="ok"'), "{{api}} {{result}}"),),
    ),
    (
        "Retries and throttles of S3",
        "reqps",
        (
            (rate("s3sftp_s3_retries_total", "storage, pod"), "{{storage}} {{pod}} retries"),
            (rate("s3sftp_s3_throttles_total", "storage, pod"), "{{storage}} {{pod}} throttles"),
        ),
    ),
    (
        "Estimated cost of requests, a day at this rate",
        "currencyUSD",
        ((f"86400 * {rate('s3sftp_s3_cost_dollars_total', 'storage')}", "{{storage}}"),),
    ),
    ("Versions", "short", (("count by (version) (s3sftp_build_info{" + PODS + "})", "{{version}}"),)),
)


def dashboard() -> dict[str, Any]:
    return {
        "title": "s3sftp",
        "uid": "s3sftp",
        "tags": ["s3sftp"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus"},
                _variable("namespace", "label_values(s3sftp_build_info, namespace)"),
                _variable("pod", 'label_values(s3sftp_build_info{namespace="$namespace"}, pod)', many=True),
            ]
        },
        "panels": [_panel(index, *panel) for index, panel in enumerate(PANELS)],
    }


def _variable(name: str, query: str, *, many: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "includeAll": many,
        "multi": many,
        **({"allValue": ".+", "current": {"text": "All", "value": "$__all"}} if many else {}),
    }


def _panel(index: int, title: str, unit: str, queries: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    row, column = divmod(index, _COLUMNS // _WIDTH)
    return {
        "id": index + 1,
        "type": "timeseries",
        "title": title,
        "datasource": DATASOURCE,
        "gridPos": {"x": column * _WIDTH, "y": row * _ROW_HEIGHT, "w": _WIDTH, "h": _ROW_HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "datasource": DATASOURCE, "expr": query, "legendFormat": legend}
            for number, (query, legend) in enumerate(queries)
        ],
    }


def rendered() -> str:
    return json.dumps(dashboard(), indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered(), "utf-8")
