"""Writes helm/s3sftp/values.schema.json: `python helm/tools/schema.py`.

What stands under `config` and `users.inline` comes from the options of s3sftp, the descriptions of the rest
from the comments in values.yaml. What is not known is refused, except where Kubernetes says what is right.
"""

from __future__ import annotations

import json
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import options_schema
from comments import comments

FILE = Path(__file__).parent.parent / "s3sftp" / "values.schema.json"

Schema = dict[str, Any]


def strict(**properties: Schema) -> Schema:
    # copies: each gets a description of its own
    return {"type": "object", "additionalProperties": False, "properties": deepcopy(properties)}


def text(pattern: str | None = None, **more: Any) -> Schema:
    return {"type": "string"} | ({"pattern": pattern} if pattern else {}) | more


def integer(least: int, most: int = 2**31 - 1, *, null: bool = False) -> Schema:
    return {"type": ["integer", "null"] if null else "integer", "minimum": least, "maximum": most}


def choice(*values: str) -> Schema:
    return {"type": "string", "enum": list(values)}


def listed(items: Schema, **more: Any) -> Schema:
    return {"type": "array", "items": items} | more


def texts(pattern: str | None = None) -> Schema:
    return {"type": "object", "additionalProperties": text(pattern)}


def kubernetes(kind: str, *examples: Any) -> Schema:
    """Something that Kubernetes defines and checks; the examples are what the tests try."""
    return {"type": kind, "examples": list(examples)}


BOOLEAN: Schema = {"type": "boolean"}
NAME = text(r"^([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?)?$")
"""Of an object in Kubernetes; empty: none is named."""
SHORT_NAME = text(r"^([a-z]([a-z0-9-]{0,48}[a-z0-9])?)?$")
"""Of objects among which are Services."""
LABELS = texts(r"^([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?$") | {
    "propertyNames": {"pattern": r"^([a-z0-9.-]+/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"}
}
NUMBER_OR_PERCENT: Schema = {
    "type": ["integer", "string", "null"],
    "minimum": 0,
    "pattern": "^(100|[1-9]?[0-9])%$",
}
QUANTITY = text(r"^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$")
INTERVAL = text(r"^[1-9][0-9]*(s|m|h)$")
NETWORK = text(r"^[0-9a-fA-F.:]+/[0-9]{1,3}$", examples=["203.0.113.0/24", "2001:db8::/32"])
FILE_NAME = text(r"^[A-Za-z0-9_.-]{1,200}$")
RESOURCES = kubernetes("object", {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"memory": "2Gi"}})


def schema() -> Schema:
    """The whole of it."""
    whole = strict(
        replicas=integer(0, 1000),
        image=strict(
            repository=text(r"^[a-z0-9][A-Za-z0-9._/:-]*$"),
            tag=text(r"^[A-Za-z0-9_.-]{0,128}$"),
            digest=text(r"^(sha256:[0-9a-f]{64})?$"),
            pullPolicy=choice("Always", "IfNotPresent", "Never"),
        ),
        imagePullSecrets=listed(strict(name=NAME)),
        nameOverride=SHORT_NAME,
        fullnameOverride=SHORT_NAME,
        commonLabels=LABELS,
        config=options_schema.config(),
        users=_users(),
        hostKeys=strict(
            existingSecret=NAME,
            generate=BOOLEAN,
            secretName=NAME,
            files=listed(FILE_NAME, minItems=1, uniqueItems=True),
        ),
        credentials=strict(existingSecret=NAME),
        adminTokens=strict(existingSecret=NAME, allowPlainHttp=BOOLEAN),
        checkSecrets=BOOLEAN,
        serviceAccount=strict(
            create=BOOLEAN,
            name=NAME,
            annotations=texts(),
            irsaRoleArn=text(r"^(arn:aws[a-z-]*:iam::[0-9]{12}:role/.+)?$"),
            podIdentity=BOOLEAN,
        ),
        service=_service(),
        autoscaling=strict(
            enabled=BOOLEAN,
            minReplicas=integer(1, 1000),
            maxReplicas=integer(1, 1000),
            targetCPUUtilizationPercentage=integer(1, 1000, null=True),
            targetSessions=integer(1, null=True),
            scaleDownStabilizationSeconds=integer(0, 3600),
        ),
        podDisruptionBudget=strict(
            enabled=BOOLEAN, minAvailable=NUMBER_OR_PERCENT, maxUnavailable=NUMBER_OR_PERCENT
        ),
        terminationGracePeriodSeconds=integer(1, null=True),
        lifecycle=kubernetes("object", {"preStop": {"exec": {"command": ["sleep", "5"]}}}),
        updateStrategy=kubernetes("object", {"type": "Recreate", "rollingUpdate": None}),
        revisionHistoryLimit=integer(0, 100),
        topologySpread=strict(enabled=BOOLEAN, whenUnsatisfiable=choice("ScheduleAnyway", "DoNotSchedule")),
        **_pods(),
        networkPolicy=strict(
            enabled=BOOLEAN,
            clients=kubernetes("array", [{"ipBlock": {"cidr": "203.0.113.0/24"}}]),
            monitoring=kubernetes("array", [], [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]),
            extraEgress=kubernetes("array", [{"ports": [{"protocol": "TCP", "port": 3128}]}]),
        ),
        openTelemetry=strict(
            endpoint=text(r"^(https?://[^\s,]+)?$", examples=["", "http://collector:4318"]),
            resourceAttributes=texts(r"^[^,=]*$"),
        ),
        serviceMonitor=strict(enabled=BOOLEAN, labels=LABELS, interval=INTERVAL),
        podMonitor=strict(enabled=BOOLEAN, labels=LABELS, interval=INTERVAL),
        prometheusRule=strict(
            enabled=BOOLEAN,
            labels=LABELS,
            alertLabels=texts(),
            disabled=listed(text(r"^S3sftp[A-Za-z0-9]+$")),
        ),
        dashboard=strict(enabled=BOOLEAN, labels=LABELS, annotations=texts()),
        test=strict(
            enabled=BOOLEAN,
            user=text(r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}$"),
            host=text(r"^[A-Za-z0-9.:-]*$"),
            port=integer(1, 65535, null=True),
            timeoutSeconds=integer(10, 3600),
        ),
    )
    whole["properties"]["global"] = {
        "type": "object",
        "description": "Values that charts share; none is used here.",
    }
    # the template refuses it, and says the name of this chart for it
    whole["properties"]["replicaCount"] = {"description": "Called 'replicas' in this chart."}
    for path, comment in comments().items():
        _at(whole, path).setdefault("description", comment.replace("`", "'"))
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Values of the chart s3sftp",
        **whole,
    }


def _users() -> Schema:
    return strict(
        inline={
            "type": "object",
            "additionalProperties": options_schema.user(),
            "propertyNames": {"pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}$"},
        },
        groups={
            "type": "object",
            "additionalProperties": options_schema.group(),
            "propertyNames": {"pattern": r"^[A-Za-z0-9_][A-Za-z0-9_.@+-]{0,99}$"},
        },
        existingSecret=NAME,
        externalSecret=strict(
            enabled=BOOLEAN,
            apiVersion=choice("external-secrets.io/v1", "external-secrets.io/v1beta1"),
            refreshInterval=INTERVAL,
            secretStoreRef=strict(name=NAME, kind=choice("SecretStore", "ClusterSecretStore")),
            data=kubernetes("array", [{"secretKey": "users.toml", "remoteRef": {"key": "sftp"}}]),
            dataFrom=kubernetes("array", [{"extract": {"key": "sftp"}}]),
        ),
        csi=strict(enabled=BOOLEAN, driver=NAME, secretProviderClass=NAME),
    )


def _service() -> Schema:
    return strict(
        type=choice("LoadBalancer", "NodePort", "ClusterIP"),
        port=integer(1, 65535),
        nodePort=integer(1, 65535, null=True),
        annotations=texts(),
        externalTrafficPolicy=choice("Local", "Cluster"),
        ipFamilyPolicy=choice("", "SingleStack", "PreferDualStack", "RequireDualStack"),
        loadBalancerSourceRanges=listed(NETWORK),
        loadBalancerClass=text(r"^[A-Za-z0-9./-]*$"),
        hostname=text(r"^[A-Za-z0-9.:-]*$"),
        aws=strict(
            enabled=BOOLEAN,
            scheme=choice("internet-facing", "internal"),
            targetType=choice("ip", "instance"),
            subnets=listed(text(r"^[^,\s]+$")),
            eipAllocations=listed(text(r"^eipalloc-[0-9a-f]+$")),
            crossZone=BOOLEAN,
        ),
    )


def _pods() -> dict[str, Schema]:
    probe = strict(periodSeconds=integer(1, 3600), failureThreshold=integer(1, 1000))
    return {
        "resources": RESOURCES,
        "nodeSelector": LABELS,
        "tolerations": kubernetes("array", [{"key": "sftp", "operator": "Exists"}]),
        "affinity": kubernetes("object", {}),
        "priorityClassName": NAME,
        "podAnnotations": texts() | {"propertyNames": LABELS["propertyNames"]},
        "podLabels": LABELS,
        "podSecurityContext": kubernetes("object", {"runAsNonRoot": True, "runAsUser": 20000}),
        "securityContext": kubernetes("object", {"readOnlyRootFilesystem": True}),
        "probes": strict(startup=probe, liveness=probe, readiness=probe),
        "tmp": strict(sizeLimit=QUANTITY),
        "extraEnv": kubernetes("array", [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}]),
        "extraVolumes": kubernetes("array", [{"name": "extra", "emptyDir": {}}]),
        "extraVolumeMounts": kubernetes("array", []),
        "extraContainers": kubernetes("array", [{"name": "beside", "image": "beside:1"}]),
        "initContainers": kubernetes("array", [{"name": "before", "image": "before:1"}]),
    }


def _at(whole: Schema, path: str) -> Schema:
    here = whole
    for name in path.split("."):
        here = here["properties"][name]
    return here


def rendered() -> str:
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(rendered(), "utf-8")
