"""A span and an account for work that is done in steps, with other work in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from contextvars import copy_context
from typing import TypeVar

from opentelemetry.trace import INVALID_SPAN, Span
from opentelemetry.util.types import AttributeValue

from s3sftp.telemetry.costs import Costs, charging
from s3sftp.telemetry.spans import span

T = TypeVar("T")


class StepwiseSpan:
    """One span, child of the current one at its creation, and one account. Steps run inside both."""

    def __init__(self, name: str, attributes: Mapping[str, AttributeValue] | None = None) -> None:
        self.costs = Costs()
        self._context = copy_context()
        self._around = ExitStack()
        self._span: Span = INVALID_SPAN
        self._context.run(self._enter, name, attributes)

    def run(self, step: Callable[[], T]) -> T:
        """Run a step. Tasks that it creates also belong to the span and are charged to the account."""
        return self._context.run(step)

    def end(self, error: Exception | None = None) -> None:
        """End the span: the work is done, or has failed with `error`."""
        if error is not None:
            self._span.record_exception(error)
        self._span.set_attribute("s3sftp.s3_requests", self.costs.total())
        self._context.run(self._around.close)

    def _enter(self, name: str, attributes: Mapping[str, AttributeValue] | None) -> None:
        self._span = self._around.enter_context(span(name, attributes))
        self._around.enter_context(charging(self.costs))
