"""What values AWS takes, where the provider's schema only says "a text" or "a number".

For each type: where in the resource the value is, and which ones there are. From the references of the APIs.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

CLASSES = {"STANDARD_IA", "ONEZONE_IA", "INTELLIGENT_TIERING", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"}
SWITCH = {"Enabled", "Disabled"}
PORT = range(1, 65536)

VALUES: dict[str, dict[str, Any]] = {
    "aws_s3_bucket_ownership_controls": {
        "rule.object_ownership": {"BucketOwnerEnforced", "BucketOwnerPreferred", "ObjectWriter"}
    },
    "aws_s3_bucket_server_side_encryption_configuration": {
        "rule.apply_server_side_encryption_by_default.sse_algorithm": {"AES256", "aws:kms", "aws:kms:dsse"}
    },
    "aws_s3_bucket_versioning": {"versioning_configuration.status": {"Enabled", "Suspended"}},
    "aws_s3_bucket_lifecycle_configuration": {
        "rule.status": SWITCH,
        "rule.abort_incomplete_multipart_upload.days_after_initiation": range(1, 3651),
        "rule.transition.storage_class": CLASSES,
        "rule.noncurrent_version_expiration.noncurrent_days": range(1, 36501),
        "rule.noncurrent_version_expiration.newer_noncurrent_versions": range(1, 101),
    },
    "aws_s3_bucket_object_lock_configuration": {
        "rule.default_retention.mode": {"GOVERNANCE", "COMPLIANCE"},
        "rule.default_retention.days": range(1, 36501),
    },
    "aws_s3_bucket_replication_configuration": {
        "rule.status": SWITCH,
        "rule.delete_marker_replication.status": SWITCH,
        "rule.source_selection_criteria.sse_kms_encrypted_objects.status": SWITCH,
        "rule.destination.storage_class": CLASSES | {"STANDARD"},
        "rule.destination.access_control_translation.owner": {"Destination"},
    },
    "aws_iam_role": {"max_session_duration": range(3600, 43201)},
    "aws_dynamodb_table": {
        "billing_mode": {"PAY_PER_REQUEST", "PROVISIONED"},
        "attribute.type": {"S", "N", "B"},
    },
    "aws_eip": {"domain": {"vpc"}},
    "aws_lb": {
        "load_balancer_type": {"application", "gateway", "network"},
        "ip_address_type": {"ipv4", "dualstack", "dualstack-without-public-ipv4"},
    },
    "aws_lb_listener": {
        "protocol": {"TCP", "TLS", "UDP", "TCP_UDP"},
        "port": PORT,
        "default_action.type": {"forward"},
    },
    "aws_lb_target_group": {
        "protocol": {"TCP", "TLS", "UDP", "TCP_UDP"},
        "port": PORT,
        "target_type": {"instance", "ip", "alb"},
        "deregistration_delay": range(3601),
        "preserve_client_ip": {"true", "false"},
        "health_check.protocol": {"TCP", "HTTP", "HTTPS"},
        "health_check.interval": range(5, 301),
        "health_check.timeout": range(2, 121),
        "health_check.healthy_threshold": range(2, 11),
        "health_check.unhealthy_threshold": range(2, 11),
    },
    "aws_vpc_security_group_ingress_rule": {"ip_protocol": {"tcp", "udp", "icmp", "-1"}, "from_port": PORT},
    "aws_vpc_security_group_egress_rule": {"ip_protocol": {"tcp", "udp", "icmp", "-1"}, "from_port": PORT},
    "aws_route53_record": {"type": {"A", "AAAA", "CNAME", "TXT"}},
    "aws_kms_key": {"deletion_window_in_days": range(7, 31)},
    "aws_cloudwatch_log_group": {
        "retention_in_days": {
            *(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557),
            *(2922, 3288, 3653),
        }
    },
    "aws_ecs_cluster": {
        "setting.name": {"containerInsights"},
        "setting.value": {"enabled", "enhanced", "disabled"},
    },
    "aws_ecs_service": {
        "launch_type": {"EC2", "FARGATE", "EXTERNAL"},
        "platform_version": {"1.4.0", "LATEST"},
        "load_balancer.container_port": PORT,
    },
    "aws_ecs_task_definition": {
        "network_mode": {"awsvpc", "bridge", "host", "none"},
        "requires_compatibilities": {"EC2", "FARGATE", "EXTERNAL"},
        "runtime_platform.operating_system_family": {"LINUX"},
        "runtime_platform.cpu_architecture": {"X86_64", "ARM64"},
        # of Fargate: `stopTimeout` is at most two minutes, `dependsOn` and `healthCheck` have few forms
        "container_definitions.stopTimeout": range(2, 121),
        "container_definitions.dependsOn.condition": {"START", "COMPLETE", "SUCCESS", "HEALTHY"},
        "container_definitions.healthCheck.interval": range(5, 301),
        "container_definitions.healthCheck.timeout": range(2, 61),
        "container_definitions.healthCheck.retries": range(1, 11),
        "container_definitions.healthCheck.startPeriod": range(301),
        "container_definitions.portMappings.protocol": {"tcp", "udp"},
        "container_definitions.logConfiguration.logDriver": {"awslogs", "splunk", "awsfirelens"},
        "container_definitions.ulimits.name": {"nofile"},
    },
}


def wrong_values(resources: Iterable[Mapping[str, Any]]) -> list[str]:
    """Values of planned resources that AWS would refuse."""
    return [
        f"{resource['address']}: {path} = {value!r}"
        for resource in resources
        for path, known in VALUES.get(resource["type"], {}).items()
        for value in values_at(resource["values"], path.split("."))
        if _plain(value) not in known
    ]


def paths_met(resources: Iterable[Mapping[str, Any]]) -> set[tuple[str, str]]:
    """The lines of the table that have a value in these resources."""
    return {
        (resource["type"], path)
        for resource in resources
        for path in VALUES.get(resource["type"], {})
        if any(True for _ in values_at(resource["values"], path.split(".")))
    }


def values_at(value: Any, path: list[str]) -> Iterator[Any]:
    """All values at a path through blocks, lists and documents in JSON; null is none."""
    if isinstance(value, str) and path:
        value = json.loads(value)
    if isinstance(value, list):
        for each in value:
            yield from values_at(each, path)
    elif isinstance(value, dict) and path:
        yield from values_at(value.get(path[0]), path[1:])
    elif value is not None:
        yield value


def _plain(value: Any) -> Any:
    """Some numbers are texts in the schema."""
    return int(value) if isinstance(value, str) and value.isdigit() else value
