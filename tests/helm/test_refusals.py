"""Values that cannot work are refused before anything is installed, with the reason and what to do."""

from __future__ import annotations

from typing import Any

import pytest

from tests.helm.chart import Chart, Refused

USER = {"inline": {"alice": {"password_hash": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"}}}
GOOD: dict[str, Any] = {"config": {"s3": {"bucket": "acme"}}, "users": USER}

CANNOT_WORK: dict[str, tuple[dict[str, Any], str]] = {
    "no bucket": ({"config": {"s3": {"bucket": None}}}, "config.s3.bucket is missing"),
    "no users": ({"users": {"inline": None}}, "there are no users: give users.inline"),
    "a user who cannot log in": (
        {"users": {"inline": {"bob": {"read_only": True}}}},
        "users.inline.bob cannot log in: give it authorized_keys",
    ),
    "users in the ConfigMap": (
        {"config": {"users": {"eve": {"password_hash": "x"}}}},
        "config.users would be readable by all who may read ConfigMaps",
    ),
    "keys of the store in the ConfigMap": (
        {"config": {"s3": {"secret_access_key": "secret"}}},
        "config.s3.secret_access_key would be readable by all who may read ConfigMaps",
    ),
    "keys of another storage in the ConfigMap": (
        {"config": {"storages": {"archive": {"bucket": "old", "secret_access_key": "secret"}}}},
        "config.storages.archive.secret_access_key would be readable by all who may read ConfigMaps",
    ),
    "another storage without a bucket": (
        {"config": {"storages": {"archive": {"region": "eu-west-1"}}}},
        "config.storages.archive.bucket is missing",
    ),
    "several pods with memory": (
        {"replicas": 2, "config": {"backend": "memory"}},
        "config.backend = memory has its files in one pod",
    ),
    "an autoscaler with memory": (
        {"replicas": 1, "config": {"backend": "memory"}, "autoscaling": {"enabled": True}},
        "config.backend = memory has its files in one pod",
    ),
    "least above most": (
        {"autoscaling": {"enabled": True, "minReplicas": 5, "maxReplicas": 3}},
        "autoscaling.minReplicas = 5 is more than autoscaling.maxReplicas = 3",
    ),
    "an autoscaler without a measure": (
        {"autoscaling": {"enabled": True, "targetCPUUtilizationPercentage": None}},
        "autoscaling has nothing to go by",
    ),
    "a percentage of no request": (
        {"autoscaling": {"enabled": True}, "resources": {"requests": {"cpu": None}}},
        "percentage of resources.requests.cpu, which is missing",
    ),
    "an API without TLS for all pods": (
        {"adminTokens": {"existingSecret": "tokens"}},
        "adminTokens.existingSecret opens an API without TLS to all pods of the cluster",
    ),
    "an API without TLS and without a network policy": (
        {
            "adminTokens": {"existingSecret": "tokens"},
            "networkPolicy": {"enabled": False, "monitoring": [{"podSelector": {"matchLabels": {"a": "b"}}}]},
        },
        "adminTokens.existingSecret opens an API without TLS to all pods of the cluster",
    ),
    "no host keys": (
        {"hostKeys": {"generate": False}},
        "there are no host keys: name a Secret in hostKeys.existingSecret, or set hostKeys.generate",
    ),
    "host keys elsewhere": (
        {"config": {"ssh": {"host_keys": ["/key"]}}},
        "config.ssh.host_keys is set from hostKeys.files",
    ),
    "a host key that is not generated": (
        {"hostKeys": {"files": ["my_key"]}},
        "hostKeys.files has my_key, which is not generated",
    ),
    "PROXY headers from anybody": (
        {"config": {"listen": {"proxy_protocol": "required"}}},
        "config.listen.proxy_protocol = required needs config.listen.proxy_sources",
    ),
    "PROXY headers allowed from anybody": (
        {"config": {"listen": {"proxy_protocol": "allowed"}}},
        "config.listen.proxy_protocol = allowed needs config.listen.proxy_sources",
    ),
    "any port": ({"config": {"listen": {"port": 0}}}, "config.listen.port should be a fixed port"),
    "no admin port": ({"config": {"admin": {"port": None}}}, "config.admin.port should be a fixed port"),
    "one port for both": (
        {"config": {"admin": {"port": 2022}}},
        "config.admin.port and config.listen.port are both 2022",
    ),
    "health on loopback": (
        {"config": {"admin": {"host": "127.0.0.1"}}},
        "config.admin.host = 127.0.0.1 is reached from inside the pod alone",
    ),
    "SFTP on loopback": (
        {"config": {"listen": {"host": "localhost"}}},
        "config.listen.host = localhost is reached from inside the pod alone",
    ),
    "a grace shorter than the drain": (
        {"terminationGracePeriodSeconds": 60},
        "terminationGracePeriodSeconds = 60 would kill pods while they drain: leave it out, or set it to at "
        "least 115",
    ),
    "a drain longer than the grace": (
        {"terminationGracePeriodSeconds": 300, "config": {"server": {"drain_timeout": "10 min"}}},
        "set it to at least 685",
    ),
    "a budget of all pods": (
        {"podDisruptionBudget": {"minAvailable": 2}},
        "podDisruptionBudget.minAvailable = 2 of 2 pods lets no node be drained",
    ),
    "a budget of all that are left": (
        {"podDisruptionBudget": {"minAvailable": 3}, "autoscaling": {"enabled": True, "minReplicas": 3}},
        "podDisruptionBudget.minAvailable = 3 of 3 pods lets no node be drained",
    ),
    "a budget of a hundred percent": (
        {"podDisruptionBudget": {"minAvailable": "100%"}},
        "podDisruptionBudget.minAvailable = 100% of 2 pods lets no node be drained",
    ),
    "a budget of none": (
        {"podDisruptionBudget": {"maxUnavailable": 0}},
        "podDisruptionBudget.maxUnavailable = 0 lets no node be drained",
    ),
    "the usual name of another chart": (
        {"replicaCount": 3},
        "replicaCount is called replicas in this chart",
    ),
    "two budgets": (
        {"podDisruptionBudget": {"minAvailable": 1, "maxUnavailable": 1}},
        "podDisruptionBudget has minAvailable and maxUnavailable",
    ),
    "an update that cannot begin": (
        {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 0}}},
        "nothing could ever be updated",
    ),
    "two ways to a role": (
        {"serviceAccount": {"irsaRoleArn": "arn:aws:iam::123456789012:role/x", "podIdentity": True}},
        "serviceAccount.irsaRoleArn and serviceAccount.podIdentity are two ways to the same role",
    ),
    "a role for nobody": (
        {"serviceAccount": {"irsaRoleArn": "arn:aws:iam::123456789012:role/x", "create": False}},
        "serviceAccount.irsaRoleArn is written on the ServiceAccount that the chart makes",
    ),
    "a role for everybody": (
        {"serviceAccount": {"podIdentity": True, "create": False}},
        "that of every pod in the namespace",
    ),
    "AWS without a load balancer": (
        {"service": {"type": "ClusterIP", "aws": {"enabled": True}}},
        "service.aws.enabled needs service.type = LoadBalancer, not ClusterIP",
    ),
    "ranges without a load balancer": (
        {"service": {"type": "NodePort", "loadBalancerSourceRanges": ["203.0.113.0/24"]}},
        "use networkPolicy.clients",
    ),
    "a node port of no node": (
        {"service": {"type": "ClusterIP", "nodePort": 30022}},
        "service.nodePort needs service.type = NodePort or LoadBalancer",
    ),
    "public addresses inside": (
        {
            "service": {
                "aws": {
                    "enabled": True,
                    "scheme": "internal",
                    "eipAllocations": ["eipalloc-0"],
                    "subnets": ["a"],
                }
            }
        },
        "service.aws.eipAllocations are public addresses",
    ),
    "addresses without subnets": (
        {"service": {"aws": {"enabled": True, "eipAllocations": ["eipalloc-0"]}}},
        "service.aws.eipAllocations has 1 addresses for 0 service.aws.subnets",
    ),
    "counted twice": (
        {"serviceMonitor": {"enabled": True}, "podMonitor": {"enabled": True}},
        "serviceMonitor.enabled and podMonitor.enabled would count everything twice",
    ),
    "an external secret of no store": (
        {"users": {"externalSecret": {"enabled": True, "data": [{"secretKey": "a.toml"}]}}},
        "users.externalSecret.secretStoreRef is missing",
    ),
    "an external secret of nothing": (
        {"users": {"externalSecret": {"enabled": True, "secretStoreRef": {"name": "aws"}}}},
        "users.externalSecret has neither data nor dataFrom",
    ),
    "a volume of nothing": (
        {"users": {"inline": None, "csi": {"enabled": True}}},
        "users.csi.secretProviderClass is missing",
    ),
    "a volume beside a Secret": (
        {"users": {"csi": {"enabled": True, "secretProviderClass": "partners"}}},
        "users.csi is a volume by itself",
    ),
    "the name of the test's user": (
        {"users": {"inline": {"helm-test": USER["inline"]["alice"]}}},
        "users.inline.helm-test has the name of the user of `helm test`",
    ),
    "users in another place": (
        {"config": {"auth": {"users_dir": "/elsewhere"}}},
        "config.auth.users_dir is where the chart mounts the users",
    ),
    "a label that the chart sets": (
        {"podLabels": {"app.kubernetes.io/name": "sftp"}},
        "podLabels has app.kubernetes.io/name, which is set already",
    ),
    "a label for both": (
        {"podLabels": {"team": "a"}, "commonLabels": {"team": "b"}},
        "podLabels has team, which is set already",
    ),
    "a volume of the chart": (
        {"extraVolumes": [{"name": "users", "emptyDir": {}}]},
        "extraVolumes has users, which is a volume of the chart",
    ),
    "less memory than buffers": (
        {"config": {"files": {"buffer_bytes": "1024 MiB"}}},
        "resources.limits.memory = 1Gi is not more than config.files.buffer_bytes (1024 MiB)",
    ),
    "less room than spool files take": (
        {"config": {"files": {"rewrite": "spool", "spool_bytes": "10 GiB"}}},
        "tmp.sizeLimit = 2Gi is less than config.files.spool_bytes (10240 MiB)",
    ),
}

WRONG_BY_SCHEMA: dict[str, tuple[dict[str, Any], str]] = {
    "an unknown value": ({"replica": 3}, "replica"),
    "an unknown group": ({"config": {"s4": {}}}, "s4"),
    "an unknown option": ({"config": {"s3": {"bukket": "acme"}}}, "bukket"),
    "an unknown option of a user": ({"users": {"inline": {"alice": {"paswd": "x"}}}}, "paswd"),
    "a text for a number": ({"replicas": "two"}, "replicas"),
    "a length of time in parsecs": ({"config": {"server": {"drain_timeout": "1 parsec"}}}, "drain_timeout"),
    "a size in furlongs": ({"config": {"s3": {"part_bytes": "8 furlongs"}}}, "part_bytes"),
    "one of no choice": ({"config": {"log": {"format": "xml"}}}, "format"),
    "a port beyond all": ({"service": {"port": 70000}}, "port"),
    "a user name with a slash": ({"users": {"inline": {"a/b": USER["inline"]["alice"]}}}, "a/b|inline"),
    "a role that is none": ({"serviceAccount": {"irsaRoleArn": "s3sftp"}}, "irsaRoleArn"),
    "no host key at all": ({"hostKeys": {"files": []}}, "files"),
    "a range that is none": (
        {"service": {"loadBalancerSourceRanges": ["everywhere"]}},
        "loadBalancerSourceRanges",
    ),
    "a store of another kind": (
        {"users": {"externalSecret": {"secretStoreRef": {"kind": "Vault"}}}},
        "kind",
    ),
}


@pytest.mark.parametrize("case", CANNOT_WORK)
def test_what_cannot_work_is_refused_with_the_reason(chart: Chart, case: str) -> None:
    values, reason = CANNOT_WORK[case]
    with pytest.raises(Refused) as refused:
        chart.text(_over(GOOD, values))
    assert reason in str(refused.value)


@pytest.mark.parametrize("case", WRONG_BY_SCHEMA)
def test_what_is_no_value_is_refused_by_its_name(chart: Chart, case: str) -> None:
    values, name = WRONG_BY_SCHEMA[case]
    with pytest.raises(Refused, match="values don't meet the specifications of the schema") as refused:
        chart.text(_over(GOOD, values))
    refused.match(name)


@pytest.mark.parametrize(
    "source",
    [
        {"hook": {"url": "https://users.example.com/"}},
        {"dynamodb": {"users_table": "sftp-users"}},
        {"secrets_manager": {"prefix": "aws/transfer/s-0123/"}},
    ],
    ids=lambda source: next(iter(source)),
)
def test_users_of_another_source_are_enough(chart: Chart, source: dict[str, Any]) -> None:
    assert chart.objects({"config": {"s3": {"bucket": "acme"}, **source}})


@pytest.mark.parametrize(
    "values",
    [
        {"adminTokens": {"allowPlainHttp": True}},
        {"config": {"admin": {"cert_file": "/tls/tls.crt", "key_file": "/tls/tls.key"}}},
        {"networkPolicy": {"monitoring": [{"namespaceSelector": {"matchLabels": {"name": "monitoring"}}}]}},
        {"networkPolicy": {"monitoring": [{"podSelector": {}}]}},
        {"networkPolicy": {"monitoring": []}},
    ],
)
def test_an_api_that_is_encrypted_or_reached_by_few_is_possible(chart: Chart, values: dict[str, Any]) -> None:
    chart.text(_over(_over(GOOD, {"adminTokens": {"existingSecret": "tokens"}}), values))


def test_everything_that_is_wrong_is_said_at_once(chart: Chart) -> None:
    with pytest.raises(Refused) as refused:
        chart.text({"terminationGracePeriodSeconds": 1, "hostKeys": {"generate": False}})
    for reason in ("config.s3.bucket", "there are no users", "there are no host keys", "would kill pods"):
        assert reason in str(refused.value)


def test_the_values_that_all_others_are_laid_over_are_good(chart: Chart) -> None:
    chart.lint(GOOD)
    assert chart.objects(GOOD)


def _over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` laid over `below`; None takes a value away, unless there is only the chart's to be taken."""
    merged = dict(below)
    for name, value in above.items():
        if isinstance(value, dict) and isinstance(below.get(name), dict):
            merged[name] = _over(below[name], value)
        elif value is None and name in below:
            del merged[name]
        else:
            merged[name] = value
    return merged
