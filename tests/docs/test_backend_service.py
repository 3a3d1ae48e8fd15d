"""docs/backend-service.md is the protocol: its frames are what is sent, its table has every operation."""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from s3sftp.backends.errno_map import error_from_posix_name
from s3sftp.backends.service import wire
from s3sftp.backends.service.framing import pack, unpack
from s3sftp.backends.service.handshake import EVERYTHING, MIN_FRAME_BYTES, ServerHello, ServiceHello
from s3sftp.backends.service.messages import MESSAGES, PIECE_BYTES, Message
from s3sftp.errors import StorageError

PAGE = (Path(__file__).parents[2] / "docs" / "backend-service.md").read_text("utf-8")
LINES = re.findall(r"^(server|service|frame) +([{0-9].+)$", PAGE, re.M)
SESSION = {
    "user": "alice",
    "peer": "",
    "client_version": "",
    "session_id": "",
    "attributes": {},
    "trace_context": {},
}


def shown(who: str) -> list[dict[str, Any]]:
    return [ast.literal_eval(text.replace("{…}", repr(SESSION))) for name, text in LINES if name == who]


def requests() -> list[dict[str, Any]]:
    return [each for each in shown("server") if "op" in each]


@pytest.mark.parametrize("request_", requests(), ids=lambda each: f"{each['id']}-{each['op']}")
def test_a_request_of_the_page_is_what_is_sent(request_: dict[str, Any]) -> None:
    message = wire.decode_request(unpack(pack(request_)))
    assert wire.encode_request(request_["id"], message) == request_


@pytest.mark.parametrize("answer", shown("service")[1:], ids=lambda each: each["id"])
def test_an_answer_of_the_page_is_understood(answer: dict[str, Any]) -> None:
    message = question(answer["id"])
    if "error" in answer:
        with pytest.raises(type(error_from_posix_name(answer["error"]))) as raised:
            wire.decode_answer(answer, message)
        assert isinstance(raised.value, StorageError)
        assert answer.get("text", raised.value.default_text) == str(raised.value)
        assert raised.value.detail == answer.get("detail")
    else:
        understood = wire.encode_answer(answer["id"], wire.decode_answer(answer, message))
        assert understood == answer


def question(number: int) -> Message:
    return next(wire.decode_request(each) for each in requests() if each["id"] == number)


def test_the_hellos_of_the_page_are_said() -> None:
    hello, answer = shown("server")[0], shown("service")[0]
    assert ServerHello.of(hello).to_map() | {"server": hello["server"]} == hello
    assert ServiceHello.of(answer).to_map() == answer


def test_the_bytes_of_the_page_are_those_of_the_frame_above_them() -> None:
    (given,) = [bytes.fromhex(text) for name, text in LINES if name == "frame"]
    packed = pack(requests()[0])
    assert (len(packed).to_bytes(4, "big") + packed).startswith(given)


def test_the_table_has_every_operation_with_its_fields() -> None:
    rows = re.findall(r"^\| `(\w+)`( †)? \| ([^|]+) \| ([^|]+) \|$", PAGE, re.M)
    table = {name: (tuple(re.findall(r"`(\w+)`", listed)), bool(long)) for name, long, listed, _ in rows}
    assert table == {
        operation: (tuple(each.name for each in fields(kind) if each.name != "session"), kind.takes_long)  # type: ignore[arg-type]
        for operation, kind in MESSAGES.items()
    }
    optional = {name for name, _, _, about in rows if about.startswith("optional")}
    assert optional | {"write_chunk", "finish_write", "abort_write"} == EVERYTHING


def test_the_numbers_of_the_page_are_those_of_the_code() -> None:
    assert f"{MIN_FRAME_BYTES >> 20} MiB at least" in PAGE
    assert f"at most {PIECE_BYTES >> 10} KiB" in PAGE


async def test_every_block_of_python_runs() -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
    names: dict[str, Any] = {"__name__": "page"}
    for block in blocks:
        code = compile(block, "backend-service.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
        result = eval(code, names)
        if inspect.iscoroutine(result):
            await result
    assert len(blocks) == 2
