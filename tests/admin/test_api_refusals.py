"""Calls that are refused at once, and draining: it and a signal to stop are one request."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, cast

import pytest

from s3sftp.admin import Phase
from s3sftp.admin.api_models import DryRunRequest
from s3sftp.admin.api_problems import ApiRefusal
from s3sftp.admin.api_routes import ApiCall, find_route
from s3sftp.app.admin_api import AdminApi, WholeServer
from s3sftp.app.options import ServerOptions
from s3sftp.app.process_questions import OnlyProcess
from s3sftp.runtime.shutdown import ShutdownRequests
from s3sftp.telemetry.metrics import Metrics


def whole_server(phase: Callable[[], Phase], stop: Callable[[], None]) -> WholeServer:
    return WholeServer(
        ServerOptions.model_validate({"backend": "memory"}),
        1,
        OnlyProcess(cast("Any", None)),
        dict,
        Metrics(),
        phase,
        stop,
    )


async def test_a_dry_run_for_a_name_that_no_client_can_give_is_refused() -> None:
    found = find_route("POST", "/api/v1/users/%ff/dry-run")
    assert found is not None
    api = AdminApi(whole_server(lambda: Phase.SERVING, lambda: None))
    with pytest.raises(ApiRefusal) as refused:
        await api.do(ApiCall(*found, body=DryRunRequest()))
    assert (refused.value.status, "\\xff" in refused.value.problem.detail) == (422, True)


async def test_a_server_that_starts_is_not_drained() -> None:
    phase, stopped = [Phase.STARTING], []
    server = whole_server(lambda: phase[0], lambda: stopped.append(True))
    found = find_route("POST", "/api/v1/drain")
    assert found is not None
    api, call = AdminApi(server), ApiCall(*found)
    with pytest.raises(ApiRefusal) as refused:
        await api.do(call)
    assert (refused.value.status, stopped) == (HTTPStatus.SERVICE_UNAVAILABLE, [])
    phase[0] = Phase.SERVING
    await api.do(call)
    assert stopped == [True]


@pytest.mark.parametrize(("signals", "hurries"), [(1, False), (2, True)])
async def test_the_first_signal_after_an_operators_request_only_repeats_it(
    signals: int, hurries: bool
) -> None:
    requests = ShutdownRequests()
    requests.install()
    loop = asyncio.get_running_loop()
    try:
        requests.ask_before_signal()
        await requests.wait()
        hurry = asyncio.create_task(requests.wait(2))
        for _ in range(signals):
            signal.raise_signal(signal.SIGTERM)
            handled = asyncio.Event()  # by a signal that comes after it
            loop.add_signal_handler(signal.SIGUSR2, handled.set)
            signal.raise_signal(signal.SIGUSR2)
            await handled.wait()
        for _ in range(3):
            await asyncio.sleep(0)
        assert hurry.done() == hurries
        hurry.cancel()
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
            loop.remove_signal_handler(number)
