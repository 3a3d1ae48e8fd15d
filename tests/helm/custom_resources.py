"""What operators know of their resources, as far as the chart uses it: schemas from their documentation."""

from __future__ import annotations

from typing import Any

from jsonschema import Draft7Validator

Schema = dict[str, Any]


def _strict(required: tuple[str, ...] = (), **properties: Schema) -> Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "required": list(required),
    }


_TEXT: Schema = {"type": "string", "minLength": 1}
_TEXTS: Schema = {"type": "object", "additionalProperties": {"type": "string"}}
_SELECTOR = _strict(("matchLabels",), matchLabels=_TEXTS)
_DURATION: Schema = {"type": "string", "pattern": r"^[0-9]+(ms|s|m|h)$"}
_ENDPOINTS: Schema = {
    "type": "array",
    "minItems": 1,
    "items": _strict(("port",), port=_TEXT, path={"type": "string", "pattern": "^/"}, interval=_DURATION),
}
_REMOTE = _strict(("key",), key=_TEXT, property=_TEXT, version=_TEXT)

SPECS = {
    ("monitoring.coreos.com/v1", "ServiceMonitor"): _strict(
        ("selector", "endpoints"), selector=_SELECTOR, endpoints=_ENDPOINTS
    ),
    ("monitoring.coreos.com/v1", "PodMonitor"): _strict(
        ("selector", "podMetricsEndpoints"), selector=_SELECTOR, podMetricsEndpoints=_ENDPOINTS
    ),
    ("monitoring.coreos.com/v1", "PrometheusRule"): _strict(
        ("groups",),
        groups={
            "type": "array",
            "items": _strict(
                ("name", "rules"),
                name=_TEXT,
                rules={
                    "type": "array",
                    "items": _strict(
                        ("alert", "expr"),
                        alert=_TEXT,
                        expr=_TEXT,
                        labels=_TEXTS,
                        annotations=_TEXTS,
                        **{"for": _DURATION},
                    ),
                },
            ),
        },
    ),
    **{
        (f"external-secrets.io/{version}", "ExternalSecret"): _strict(
            ("secretStoreRef", "target"),
            refreshInterval=_DURATION,
            secretStoreRef=_strict(
                ("name",), name=_TEXT, kind={"enum": ["SecretStore", "ClusterSecretStore"]}
            ),
            target=_strict(name=_TEXT, creationPolicy={"enum": ["Owner", "Orphan", "Merge", "None"]}),
            data={
                "type": "array",
                "items": _strict(("secretKey", "remoteRef"), secretKey=_TEXT, remoteRef=_REMOTE),
            },
            dataFrom={"type": "array", "items": _strict(extract=_REMOTE)},
        )
        for version in ("v1", "v1beta1")
    },
}


def problems(resource: dict[str, Any]) -> list[str]:
    """What is wrong with the `spec` of one of them."""
    spec = SPECS[resource["apiVersion"], resource["kind"]]
    return [
        f"{error.json_path}: {error.message}" for error in Draft7Validator(spec).iter_errors(resource["spec"])
    ]
