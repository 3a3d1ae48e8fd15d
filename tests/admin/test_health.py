"""What is said of which facts."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from s3sftp.admin import HealthFacts, HealthReason, HealthReport, Phase, WorkerState
from s3sftp.admin.health import alive, ready
from s3sftp.app import health
from s3sftp.app.backends import SHARED_ROWS
from s3sftp.app.health import SupervisorHealth
from s3sftp.app.options import ServerOptions
from s3sftp.runtime.shared_counters import SharedCounters
from s3sftp.telemetry.metrics import Metrics
from s3sftp.workers.heartbeat import Heartbeat

SERVING = HealthFacts(Phase.SERVING)


def names(answer: HealthReport) -> list[str]:
    return [reason.name for reason in answer.reasons]


def test_a_server_of_one_process_that_serves_is_ready_and_alive() -> None:
    assert ready(SERVING, "") == alive(SERVING) == HealthReport()


def test_a_server_that_has_not_opened_its_port_is_alive_and_not_ready() -> None:
    facts = HealthFacts(Phase.STARTING)
    assert names(ready(facts, "")) == ["starting"]
    assert alive(facts).is_good


def test_one_that_was_told_to_stop_is_alive_and_not_ready_whatever_else_there_is() -> None:
    facts = HealthFacts(Phase.DRAINING, [WorkerState(1, ready=False)], 1000, 120)
    assert names(ready(facts, "no")) == ["draining"]
    assert alive(facts).is_good


def test_a_storage_that_says_no_is_a_reason_in_its_words() -> None:
    (reason,) = ready(SERVING, "bucket a: no such bucket").reasons
    assert (reason.name, reason.detail) == ("storage_unreachable", "bucket a: no such bucket")
    assert alive(SERVING).is_good  # a restart of ours mends no storage


def test_what_is_denied_is_a_warning() -> None:
    answer = ready(HealthFacts(Phase.SERVING, denied=["S3 denies PutObject"]), "")
    assert answer == HealthReport(warnings=(HealthReason("permission_denied", "S3 denies PutObject"),))


def test_all_reasons_are_said_at_once() -> None:
    facts = HealthFacts(Phase.SERVING, [WorkerState(1, ready=False)])
    assert names(ready(facts, "no")) == ["no_worker_ready", "storage_unreachable"]


def test_one_worker_that_serves_is_enough_and_those_that_do_not_are_a_warning() -> None:
    facts = HealthFacts(
        Phase.SERVING, [WorkerState(1, ready=True), WorkerState(2, ready=True, silent_seconds=7)]
    )
    answer = ready(facts, "")
    assert answer.is_good
    (warning,) = answer.warnings
    assert warning.name == "workers_missing"
    assert "1 of 2 workers serve" in warning.detail
    assert "worker 2 does not answer" in warning.detail


def test_a_worker_that_hangs_is_no_reason_to_restart_the_server_while_it_can_be_replaced() -> None:
    hangs = [WorkerState(1, ready=True, silent_seconds=30)]
    answer = alive(HealthFacts(Phase.SERVING, hangs, unserved_seconds=30, replacing_seconds=120))
    assert answer.is_good
    assert [warning.name for warning in answer.warnings] == ["worker_hangs"]
    assert "worker 1 has not answered for 30 s" in answer.warnings[0].detail


def test_none_that_serves_for_longer_than_replacing_takes_is_a_reason() -> None:
    hangs = [WorkerState(1, ready=True, silent_seconds=130)]
    assert names(alive(HealthFacts(Phase.SERVING, hangs, 130, 120))) == ["worker_hangs"]
    ended = [WorkerState(1, ready=False)]
    assert names(alive(HealthFacts(Phase.SERVING, ended, 130, 120))) == ["no_worker_ready"]
    assert names(alive(HealthFacts(Phase.STARTING, ended, 130, 120))) == ["no_worker_ready"]


def test_workers_that_are_never_replaced_for_being_silent_are_not_judged() -> None:
    assert alive(HealthFacts(Phase.SERVING, [WorkerState(1, ready=False)], 1e6, None)).is_good


def test_nobody_is_blamed_for_the_time_in_which_nobody_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(health, "monotonic", lambda: clock[0])
    workers = {1: SimpleNamespace(number=1, ready=True, heartbeat=Heartbeat())}
    supervisor = SimpleNamespace(workers=workers, is_open=True, is_stopping=False)
    shared = SharedCounters.alone(SHARED_ROWS)
    asked = SupervisorHealth(ServerOptions(), supervisor, shared, Metrics())  # type: ignore[arg-type]
    assert asked.facts().unserved_seconds == 0
    clock[0] = 10_000.0
    workers[1].ready = False
    assert asked.facts().unserved_seconds == 0
    clock[0] = 10_050.0
    assert asked.facts().unserved_seconds == 50
    workers[1].ready = True
    assert asked.facts().unserved_seconds == 0


def test_a_hook_that_is_down_is_a_reason_if_it_has_all_users_and_else_a_warning() -> None:
    alone = ready(HealthFacts(Phase.SERVING, hook_down="it does not answer"), "")
    assert names(alone) == ["hook_down"]
    beside = ready(HealthFacts(Phase.SERVING, hook_down="it does not answer", has_users=True), "")
    assert beside.is_good
    assert [warning.name for warning in beside.warnings] == ["hook_down"]


def test_users_in_aws_that_are_down_are_a_reason_if_they_are_all_and_else_a_warning() -> None:
    alone = ready(HealthFacts(Phase.SERVING, aws_users_down=("dynamodb does not answer",)), "")
    assert names(alone) == ["aws_users_down"]
    both = ("dynamodb does not answer", "secrets_manager does not answer")
    beside = ready(HealthFacts(Phase.SERVING, aws_users_down=both, has_users=True), "")
    assert beside.is_good
    assert [warning.detail for warning in beside.warnings] == list(both)


def test_a_sink_of_events_that_fails_for_long_is_a_warning() -> None:
    said = ready(HealthFacts(Phase.SERVING, sinks_failing=("the sqs sink q has failed",)), "")
    assert said.is_good
    assert [(each.name, each.detail) for each in said.warnings] == [
        ("event_sink_failing", "the sqs sink q has failed")
    ]


def test_a_shared_table_that_does_not_answer_is_a_warning() -> None:
    said = ready(HealthFacts(Phase.SERVING, shared_state_down="the table t does not answer"), "")
    assert said.is_good
    assert [(each.name, each.detail) for each in said.warnings] == [
        ("shared_state_down", "the table t does not answer")
    ]
