"""What the chart renders is right, each object and all together, for all values files and versions."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.helm.chart import (
    NAMESPACE,
    VALUES_FILES,
    Chart,
    Refused,
    container,
    has_labels,
    of_kind,
    only,
    options_file,
    server,
    values_file,
)
from tests.helm.consistency import problems

KUBERNETES = ("1.28", "1.31", "1.33", "1.37")
"""The oldest that the chart takes, the newest whose schemas there are, and some between."""

every_values_file = pytest.mark.parametrize("values", VALUES_FILES, ids=lambda file: file.stem)


@every_values_file
def test_the_chart_passes_lint(chart: Chart, values: Path) -> None:
    chart.lint(values)


@every_values_file
def test_every_version_of_kubernetes_takes_every_object(rendered: Chart, values: Path) -> None:
    for version in KUBERNETES:
        assert problems(rendered.objects(values, kube_version=f"{version}.0"), version) == []


@every_values_file
def test_both_helms_render_the_same(values: Path) -> None:
    by_name = [
        {(each["kind"], each["metadata"]["name"]): each for each in Chart(major).objects(values)}
        for major in ("3", "4")
    ]
    assert by_name[0] == by_name[1]


def test_an_older_kubernetes_is_refused(chart: Chart) -> None:
    with pytest.raises(Refused, match=r"requires kubeVersion: >=1\.28"):
        chart.objects(VALUES_FILES[0], kube_version="1.27.0")


def test_readiness_is_lost_before_the_listener_closes_and_pods_are_added_before_others_go(
    rendered: Chart,
) -> None:
    objects = rendered.objects(values_file("minimal"))
    delay = 10
    readiness = container(server(objects))["readinessProbe"]
    assert readiness["httpGet"] == {"path": "/readyz", "port": "admin"}
    assert readiness["periodSeconds"] * readiness["failureThreshold"] < delay
    assert f'drain_delay = "{delay} s"' in only(objects, "ConfigMap", "sftp-s3sftp")["data"]["s3sftp.toml"]
    assert server(objects)["spec"]["terminationGracePeriodSeconds"] == 10 + 30 + 60 + 15
    assert only(objects, "Deployment")["spec"]["strategy"]["rollingUpdate"] == {
        "maxUnavailable": 0,
        "maxSurge": 1,
    }


def test_longer_drains_get_more_grace_by_themselves(rendered: Chart) -> None:
    config = {
        "server": {"drain_delay": "1.5 min", "drain_timeout": 600},
        "sftp": {"close_timeout": "2500 ms"},
    }
    objects = rendered.objects(values_file("minimal"), {"config": config})
    assert server(objects)["spec"]["terminationGracePeriodSeconds"] == 90 + 600 + 3 + 15


def test_a_hook_of_the_container_can_be_given_and_none_is_there_by_itself(rendered: Chart) -> None:
    assert "lifecycle" not in container(server(rendered.objects(values_file("minimal"))))
    hook = {"preStop": {"exec": {"command": ["sleep", "5"]}}}
    objects = rendered.objects(values_file("minimal"), {"lifecycle": hook})
    assert container(server(objects))["lifecycle"] == hook
    assert problems(objects) == []


def test_a_new_host_key_is_announced_used_and_the_old_one_dropped_by_the_order_of_files(
    rendered: Chart, tmp_path: Path
) -> None:
    old, new = "ssh_host_ed25519_key", "new_ed25519_key"
    for files in ([old, new], [new, old], [new]):
        for secret in ({"existingSecret": "host-keys"}, {}):
            values = {"hostKeys": {"files": files, **secret}}
            objects = rendered.objects(values_file("minimal"), values, upgrade=True)
            paths = tomllib.loads(options_file(objects))["ssh"]["host_keys"]
            assert paths == [f"/etc/s3sftp/host-keys/{file}" for file in files]
            (volume,) = (each for each in server(objects)["spec"]["volumes"] if each["name"] == "host-keys")
            assert [item["key"] for item in volume["secret"]["items"]] == files
            assert problems(objects) == []


def test_changed_options_replace_the_pods_and_changed_users_do_not(rendered: Chart) -> None:
    before = server(rendered.objects(values_file("minimal")))
    user = {
        "users": {"inline": {"bob": {"password_hash": "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"}}}
    }
    assert server(rendered.objects(values_file("minimal"), user)) == before
    changed = server(rendered.objects(values_file("minimal"), {"config": {"log": {"level": "debug"}}}))
    assert changed["metadata"]["annotations"] != before["metadata"]["annotations"]


def test_passwords_and_keys_of_users_are_in_a_secret_alone(rendered: Chart) -> None:
    objects = rendered.objects(values_file("store"))
    holders = {each["kind"] for each in objects if "$argon2id$" in str(each) or "alice@laptop" in str(each)}
    assert holders == {"Secret"}


def test_the_network_load_balancer_is_told_of_the_proxy_protocol_by_the_servers_own_option(
    rendered: Chart,
) -> None:
    prefix = "service.beta.kubernetes.io/aws-load-balancer-"
    behind = only(rendered.objects(values_file("aws")), "Service")
    annotations = behind["metadata"]["annotations"]
    assert annotations[f"{prefix}proxy-protocol"] == "*"
    assert "preserve_client_ip.enabled=false" in annotations[f"{prefix}target-group-attributes"]
    assert behind["spec"]["loadBalancerSourceRanges"] == ["203.0.113.0/24", "2001:db8::/32"]
    annotations = only(rendered.objects(values_file("pod-identity")), "Service")["metadata"]["annotations"]
    assert f"{prefix}proxy-protocol" not in annotations
    assert "preserve_client_ip.enabled=true" in annotations[f"{prefix}target-group-attributes"]
    assert annotations[f"{prefix}scheme"] == "internal"


def test_what_the_chart_annotates_and_labels_can_be_given_otherwise(rendered: Chart) -> None:
    attributes = "service.beta.kubernetes.io/aws-load-balancer-target-group-attributes"
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/mine"}
    given = {
        "commonLabels": {"release": "one", "grafana_dashboard": "0"},
        "service": {"annotations": {attributes: "deregistration_delay.timeout_seconds=9"}},
        "serviceAccount": {
            "annotations": {"eks.amazonaws.com/role-arn": "arn:aws:iam::123456789012:role/mine"}
        },
        "podAnnotations": {"checksum/config": "mine"},
        "podMonitor": {"labels": {"release": "two"}},
        "prometheusRule": {"labels": {"release": "two"}},
    }
    objects = rendered.objects(values_file("aws"), given)
    annotations = only(objects, "Service")["metadata"]["annotations"]
    assert annotations[attributes] == "deregistration_delay.timeout_seconds=9"
    assert only(objects, "ServiceAccount", "sftp-s3sftp")["metadata"]["annotations"] == role
    assert server(objects)["metadata"]["annotations"] == {"checksum/config": "mine"}
    for kind in ("PodMonitor", "PrometheusRule"):
        assert only(objects, kind)["metadata"]["labels"]["release"] == "two"
    dashboard = only(objects, "ConfigMap", "-dashboard")
    assert dashboard["metadata"]["labels"]["grafana_dashboard"] == "1"


def test_a_cluster_with_ipv6_may_give_the_service_addresses_of_both_kinds(chart: Chart) -> None:
    assert "ipFamilyPolicy" not in only(chart.objects(values_file("minimal")), "Service")["spec"]
    both = {"service": {"ipFamilyPolicy": "PreferDualStack"}}
    service = only(chart.objects(values_file("minimal"), both), "Service")
    assert service["spec"]["ipFamilyPolicy"] == "PreferDualStack"
    with pytest.raises(Refused, match="ipFamilyPolicy"):
        chart.objects(values_file("minimal"), {"service": {"ipFamilyPolicy": "Both"}})


def test_the_load_balancer_is_told_no_longer_delay_than_aws_takes(rendered: Chart) -> None:
    drain = {"config": {"server": {"drain_timeout": "4 h"}}}
    objects = rendered.objects(values_file("aws"), drain)
    assert server(objects)["spec"]["terminationGracePeriodSeconds"] > 4 * 3600
    assert "deregistration_delay.timeout_seconds=3600," in str(only(objects, "Service"))


def test_the_role_of_irsa_is_on_the_account_of_the_pods(rendered: Chart) -> None:
    objects = rendered.objects(values_file("aws"))
    account = only(objects, "ServiceAccount", server(objects)["spec"]["serviceAccountName"])
    role = "arn:aws:iam::123456789012:role/s3sftp"
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"] == role


def test_the_store_of_the_options_is_let_through_the_network_policy(rendered: Chart) -> None:
    (policy,) = of_kind(rendered.objects(values_file("store")), "NetworkPolicy")
    let_out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert let_out == {53, 443, 8333}
    more = {"config": {"storages": {"archive": {"bucket": "old", "endpoint_url": "https://s3.example:9443"}}}}
    (policy,) = of_kind(rendered.objects(values_file("store"), more), "NetworkPolicy")
    let_out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert let_out == {53, 443, 8333, 9443}
    storage = {"bucket": "old", "endpoint_url": "https://s3.example:9443"}
    more = {
        "config": {
            "s3": {"sts_endpoint_url": "https://sts.example:7443"},
            "storages": {"archive": storage | {"sts_endpoint_url": "https://sts.example:7444"}},
        }
    }
    (policy,) = of_kind(rendered.objects(values_file("store"), more), "NetworkPolicy")
    let_out = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
    assert let_out == {53, 443, 8333, 9443, 7443, 7444}


@pytest.mark.parametrize(
    ("group", "options"),
    [
        ("hook", {"url": "https://users.example:8443/login"}),
        ("dynamodb", {"users_table": "users", "endpoint_url": "https://dynamodb.example:8443"}),
        ("secrets_manager", {"endpoint_url": "https://secrets.example:8443"}),
    ],
)
def test_a_source_of_users_is_let_through_the_network_policy(
    rendered: Chart, group: str, options: dict[str, object]
) -> None:
    objects = rendered.objects(values_file("minimal"), {"config": {group: options}})
    (policy,) = of_kind(objects, "NetworkPolicy")
    ports = [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]]
    assert 8443 in ports


def test_the_agent_of_pod_identity_is_let_through_the_network_policy_at_both_its_addresses(
    rendered: Chart,
) -> None:
    (policy,) = of_kind(rendered.objects(values_file("pod-identity")), "NetworkPolicy")
    (agent,) = (rule for rule in policy["spec"]["egress"] if "to" in rule)
    assert [each["ipBlock"]["cidr"] for each in agent["to"]] == ["169.254.170.23/32", "fd00:ec2::23/128"]
    assert agent["ports"] == [{"protocol": "TCP", "port": 80}]


def test_where_clients_are_restricted_the_pod_of_helm_test_is_still_one(rendered: Chart) -> None:
    clients = [{"ipBlock": {"cidr": "10.0.0.0/16"}}]
    objects = rendered.objects(values_file("minimal"), {"networkPolicy": {"clients": clients}})
    (policy,) = of_kind(objects, "NetworkPolicy")
    (rule,) = (each for each in policy["spec"]["ingress"] if each["ports"][0]["port"] == "sftp")
    assert rule["from"][:1] == clients
    (peer,) = rule["from"][1:]
    assert has_labels(only(objects, "Pod")["metadata"]["labels"], peer["podSelector"]["matchLabels"])
    assert not has_labels(server(objects)["metadata"]["labels"], peer["podSelector"]["matchLabels"])


def test_the_autoscaler_goes_by_sessions_of_pods(rendered: Chart) -> None:
    (hpa,) = of_kind(rendered.objects(values_file("aws")), "HorizontalPodAutoscaler")
    (metric,) = (each["pods"] for each in hpa["spec"]["metrics"] if each["type"] == "Pods")
    assert metric == {
        "metric": {"name": "s3sftp_sessions"},
        "target": {"type": "AverageValue", "averageValue": "200"},
    }


def test_every_object_of_the_chart_is_in_the_namespace_of_the_release(rendered: Chart) -> None:
    for values in VALUES_FILES:
        for each in rendered.objects(values):
            assert each["metadata"].get("namespace", NAMESPACE) == NAMESPACE
            assert not each["kind"].startswith("Cluster")
