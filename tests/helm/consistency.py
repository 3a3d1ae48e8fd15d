"""What has to be true of rendered objects, each by a function that lists what is not.

Kubernetes takes a Service that selects nothing, a probe of a port that nobody opened, or an autoscaler of a
Deployment that does not exist; only what follows tells.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator
from typing import Any

import kubernetes_validate

from tests.helm import custom_resources
from tests.helm.chart import Object, has_labels, of_kind, options_file, pods, server

ELSEWHERE = frozenset({"partners", "host-keys", "store", "registry", "keys"})
"""Secrets that the values files name and others make."""
_LABEL = re.compile(r"([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?")
_OURS = frozenset({"s3sftp", "host-keys", "round-trip"})
"""Containers that the chart brings; others are the operator's."""


def problems(
    objects: list[Object], kube_version: str = "1.33", elsewhere: frozenset[str] = ELSEWHERE
) -> list[str]:
    """All that is wrong. `elsewhere`: Secrets that others make."""
    found = [problem for each in objects for problem in invalid(each, kube_version)]
    found += volumes(objects, elsewhere)
    return found + [problem for check in CHECKS for problem in check(objects)]


def invalid(resource: Object, kube_version: str) -> list[str]:
    """What Kubernetes of a version, or the operator it belongs to, would not take."""
    what = f"{resource['kind']} {resource['metadata']['name']}"
    if (resource["apiVersion"], resource["kind"]) in custom_resources.SPECS:
        return [f"{what}: {problem}" for problem in custom_resources.problems(resource)]
    try:
        kubernetes_validate.validate(resource, kube_version, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [f"{what}: {getattr(error, 'message', error)}"]
    return []


def names(objects: list[Object]) -> Iterator[str]:
    seen = set()
    for each in objects:
        name, labels = each["metadata"]["name"], each["metadata"].get("labels", {})
        if (each["kind"], name) in seen:
            yield f"{each['kind']} {name} is there twice"
        seen.add((each["kind"], name))
        if len(name) > 63:
            yield f"{each['kind']} {name} has a name that is too long"
        yield from (
            f"{each['kind']} {name}: label {label} = {value!r} is none"
            for label, value in labels.items()
            if not _LABEL.fullmatch(str(value))
        )


def selectors(objects: list[Object]) -> Iterator[str]:
    """All select the server's pods, and no pod of a hook."""
    (deployment,) = of_kind(objects, "Deployment")
    wanted = [("Deployment", deployment["spec"]["selector"]["matchLabels"])]
    wanted += [
        (f"Service {each['metadata']['name']}", each["spec"]["selector"])
        for each in of_kind(objects, "Service")
    ]
    for kind in ("PodDisruptionBudget", "PodMonitor"):
        wanted += [(kind, each["spec"]["selector"]["matchLabels"]) for each in of_kind(objects, kind)]
    wanted += [
        ("NetworkPolicy", each["spec"]["podSelector"]["matchLabels"])
        for each in of_kind(objects, "NetworkPolicy")
    ]
    for each in server(objects)["spec"].get("topologySpreadConstraints", ()):
        wanted.append(("topology spread", each["labelSelector"]["matchLabels"]))
    for what, selector in wanted:
        for name, pod in pods(objects):
            if has_labels(pod["metadata"]["labels"], selector) != name.startswith("Deployment"):
                yield f"{what} selects {selector}, {name} has {pod['metadata']['labels']}"
    for monitor in of_kind(objects, "ServiceMonitor"):
        found = [
            each
            for each in of_kind(objects, "Service")
            if has_labels(each["metadata"]["labels"], monitor["spec"]["selector"]["matchLabels"])
        ]
        ports = {port["name"] for each in found for port in each["spec"]["ports"]}
        if len(found) != 1 or monitor["spec"]["endpoints"][0]["port"] not in ports:
            services = [each["metadata"]["name"] for each in found]
            yield f"ServiceMonitor finds the Services {services}, ports {ports}"


def ports(objects: list[Object]) -> Iterator[str]:
    """Every port that is named exists, and the options say the same."""
    opened = {port["name"]: port["containerPort"] for port in _container(objects)["ports"]}
    yield from (f"containerPort {port} is none" for port in opened.values() if not 1 <= port <= 65535)
    if len(set(opened.values())) < len(opened):
        yield f"ports are there twice: {opened}"
    named = [port["targetPort"] for each in of_kind(objects, "Service") for port in each["spec"]["ports"]]
    named += [
        _container(objects)[probe]["httpGet"]["port"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    ]
    for policy in of_kind(objects, "NetworkPolicy"):
        named += [port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]]
    for monitor in of_kind(objects, "PodMonitor"):
        named += [each["port"] for each in monitor["spec"]["podMetricsEndpoints"]]
    yield from (f"port {name} is not opened by the container" for name in named if name not in opened)
    options = tomllib.loads(options_file(objects))
    if (options["listen"]["port"], options["admin"]["port"]) != (opened["sftp"], opened["admin"]):
        yield f"the options have other ports than the container: {opened}"
    environment = {each["name"]: each.get("value") for each in _container(objects)["env"]}
    if (environment["S3SFTP_LISTEN__PORT"], environment["S3SFTP_ADMIN__PORT"]) != tuple(
        str(opened[name]) for name in ("sftp", "admin")
    ):
        yield f"the environment has other ports than the container: {opened}"


def volumes(objects: list[Object], elsewhere: frozenset[str]) -> Iterator[str]:
    """Each is mounted, each mount has one, and what it is made of is made by somebody."""
    made = {(each["kind"], each["metadata"]["name"]) for each in objects}
    made |= {("Secret", each["spec"]["target"]["name"]) for each in of_kind(objects, "ExternalSecret")}
    made |= {("Secret", name) for name in _of_hooks(objects) | elsewhere}
    for name, pod in pods(objects):
        known = [volume["name"] for volume in pod["spec"].get("volumes", ())]
        mounted = {mount["name"] for each in _all_containers(pod) for mount in each.get("volumeMounts", ())}
        if len(set(known)) < len(known):
            yield f"{name} has a volume twice: {known}"
        yield from (f"{name} mounts {each}, which is no volume" for each in mounted - set(known))
        yield from (
            f"{name} has volume {each}, and mounts it nowhere" for each in set(known) - mounted - {"extra"}
        )
        for each in _all_containers(pod):
            places = [mount["mountPath"] for mount in each.get("volumeMounts", ())]
            if len(set(places)) < len(places):
                yield f"{name} mounts several volumes at one place: {places}"
        yield from (f"{name} needs {what}, which nobody makes" for what in _needed(pod) - made)


def scaling(objects: list[Object]) -> Iterator[str]:
    (deployment,) = of_kind(objects, "Deployment")
    replicas = deployment["spec"].get("replicas")
    for hpa in of_kind(objects, "HorizontalPodAutoscaler"):
        spec = hpa["spec"]
        if spec["scaleTargetRef"]["name"] != deployment["metadata"]["name"]:
            yield f"HorizontalPodAutoscaler scales {spec['scaleTargetRef']}"
        if replicas is not None:
            yield "the Deployment has replicas, so each upgrade undoes what the autoscaler chose"
        if not 1 <= spec["minReplicas"] <= spec["maxReplicas"]:
            yield f"HorizontalPodAutoscaler has the range {spec['minReplicas']} to {spec['maxReplicas']}"
        for metric in spec["metrics"]:
            if metric["type"] == "ContainerResource":
                if metric["containerResource"]["container"] != _container(objects)["name"]:
                    yield "HorizontalPodAutoscaler looks at a container that is not there"
                if "cpu" not in _container(objects)["resources"].get("requests", {}):
                    yield "HorizontalPodAutoscaler takes a percentage of no request"
        replicas = spec["minReplicas"]
    for budget in of_kind(objects, "PodDisruptionBudget"):
        least, most = budget["spec"].get("minAvailable"), budget["spec"].get("maxUnavailable")
        if (least is None) == (most is None):
            yield "PodDisruptionBudget needs one of minAvailable and maxUnavailable"
        if (
            most in (0, "0%")
            or least == "100%"
            or (isinstance(least, int) and replicas and least >= replicas)
        ):
            yield f"PodDisruptionBudget of {replicas} pods lets no node be drained: {budget['spec']}"


def stopping(objects: list[Object]) -> Iterator[str]:
    """A pod is given the time that it may take."""
    options = tomllib.loads(options_file(objects))
    texts = (
        options["server"]["drain_delay"],
        options["server"]["drain_timeout"],
        options["sftp"]["close_timeout"],
    )
    needed = sum(_seconds(text) for text in texts)
    grace = server(objects)["spec"]["terminationGracePeriodSeconds"]
    if grace < needed + 15:
        yield f"terminationGracePeriodSeconds = {grace}, and stopping may take {needed} s: {texts}"


def restricted(objects: list[Object]) -> Iterator[str]:
    """The `restricted` standard of Pod Security, and what goes beyond it: a read-only root."""
    for name, pod in pods(objects):
        whole = pod["spec"].get("securityContext", {})
        for field in ("hostNetwork", "hostPID", "hostIPC"):
            if pod["spec"].get(field):
                yield f"{name}: {field}"
        if any("hostPath" in volume for volume in pod["spec"].get("volumes", ())):
            yield f"{name}: hostPath"
        for each in pod["spec"]["containers"]:
            if each["name"] not in _OURS:
                continue
            context = whole | each.get("securityContext", {})
            wanted = {
                "runAsNonRoot": True,
                "seccompProfile": {"type": "RuntimeDefault"},
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            yield from (
                f"{name}: {field} = {context.get(field)}"
                for field, value in wanted.items()
                if context.get(field) != value
            )
            if context.get("runAsUser") == 0 or context.get("privileged"):
                yield f"{name}: {context}"


def accounts(objects: list[Object]) -> Iterator[str]:
    """Tokens are mounted where they are used, and allow one Secret."""
    made = {each["metadata"]["name"] for each in of_kind(objects, "ServiceAccount")}
    bound = {
        binding["subjects"][0]["name"]: binding["roleRef"]["name"]
        for binding in of_kind(objects, "RoleBinding")
    }
    roles = {role["metadata"]["name"]: role["rules"] for role in of_kind(objects, "Role")}
    for name, pod in pods(objects):
        account = pod["spec"].get("serviceAccountName", "default")
        # every namespace has `default`, which allows nothing
        if account not in made | {"default"} and name.startswith(("Job", "Pod")):
            yield f"{name} has the ServiceAccount {account}, which nobody makes"
        if pod["spec"].get("automountServiceAccountToken", True) != (account in bound):
            yield f"{name} has a token for nothing, or lacks one"
        for rule in roles.get(bound.get(account, ""), ()):
            if rule["resources"] != ["secrets"] or (
                rule["verbs"] != ["create"] and len(rule.get("resourceNames", ())) != 1
            ):
                yield f"{name} may do too much: {rule}"
    yield from (f"RoleBinding of {role}, which is not there" for role in bound.values() if role not in roles)


CHECKS: tuple[Callable[[list[Object]], Iterator[str]], ...] = (
    names,
    selectors,
    ports,
    scaling,
    stopping,
    restricted,
    accounts,
)


def _container(objects: list[Object]) -> Object:
    (found,) = (each for each in server(objects)["spec"]["containers"] if each["name"] == "s3sftp")
    return found


def _all_containers(pod: Object) -> list[Object]:
    return [*pod["spec"].get("initContainers", ()), *pod["spec"]["containers"]]


def _of_hooks(objects: list[Object]) -> set[str]:
    """Secrets that the scripts of hooks make."""
    return {
        each["value"]
        for _, pod in pods(objects)
        for container in pod["spec"]["containers"]
        for each in container.get("env", ())
        if each["name"] == "SECRET_NAME"
    }


def _needed(pod: Object) -> set[tuple[str, str]]:
    """ConfigMaps and Secrets without which the pod does not start."""
    found: set[tuple[str, str]] = set()
    for volume in pod["spec"].get("volumes", ()):
        sources: list[dict[str, Any]] = volume.get("projected", {}).get("sources", [volume])
        for source in sources:
            if "configMap" in source:
                found.add(("ConfigMap", source["configMap"]["name"]))
            secret = source.get("secret")
            if secret and not secret.get("optional"):
                found.add(("Secret", secret.get("secretName") or secret["name"]))
    for container in _all_containers(pod):
        for each in container.get("env", ()):
            reference = each.get("valueFrom", {}).get("secretKeyRef")
            if reference and not reference.get("optional"):
                found.add(("Secret", reference["name"]))
    return found


def _seconds(text: str | float) -> float:
    if isinstance(text, int | float):
        return text
    match = re.fullmatch(r"\s*([0-9.]+)\s*([a-z]*)\s*", text.lower())
    assert match is not None, text
    return (
        float(match[1])
        * {"ms": 0.001, "s": 1, "sec": 1, "": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}[match[2]]
    )
