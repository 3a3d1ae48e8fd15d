"""One table of operations: whatever is derived from the contract's signatures is there for each of them."""

from __future__ import annotations

from dataclasses import fields

import pytest

from s3sftp.backends.operations import OPERATIONS, Operation
from s3sftp.backends.service.codecs import FROM_WIRE
from s3sftp.backends.service.messages import MESSAGES
from s3sftp.backends.service.stub import Conversations
from s3sftp.backends.validation import CHECKS


@pytest.mark.parametrize("operation", OPERATIONS.values(), ids=lambda each: each.name)
def test_what_every_operation_answers_is_validated(operation: Operation) -> None:
    assert operation.answer in CHECKS


def test_a_service_can_be_asked_for_every_operation() -> None:
    assert set(MESSAGES) == {*OPERATIONS, "end_list"}
    assert all(kind.answer in FROM_WIRE for kind in MESSAGES.values())


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - set(vars(Conversations))))
def test_a_message_has_the_parameters_of_its_method(name: str) -> None:
    """Or the method would need a conversation of its own."""
    operation = OPERATIONS[name]
    of_message = {each.name for each in fields(MESSAGES[name])}  # type: ignore[arg-type]
    assert of_message == {*operation.positional, *operation.keywords}
