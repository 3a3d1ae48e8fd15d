"""The admin API over HTTP: who calls, what is asked, and the answer or the problem as JSON.

request ─► Host, Origin ─► token or certificate ─► route ─► query, body ─► ApiCalls ─► JSON
                               │ 401, 429           │ 404, 405   │ 4xx        │ 4xx, 503
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response
from pydantic import BaseModel, ValidationError

from s3sftp.admin.api_access import ApiAccess, ApiCaller
from s3sftp.admin.api_problems import ApiRefusal
from s3sftp.admin.api_routes import ApiCall, ApiRoute, allowed_methods, find_route
from s3sftp.admin.openapi import openapi_document
from s3sftp.telemetry import get_logger
from s3sftp.telemetry.logs import printable

_log = get_logger("s3sftp.admin")
_MAX_BODY_BYTES = 24 << 10
_PREFIXES = ("/api/", "/openapi.json")
_JSON = "application/json"


class ApiCalls(Protocol):
    """What does the calls."""

    async def do(self, call: ApiCall) -> BaseModel:
        """Do a call; returns an instance of the route's `answer`.

        Raises ApiRefusal: if it cannot be done.
        """


class ApiService:
    """Answers requests to the API."""

    def __init__(self, calls: ApiCalls, access: ApiAccess) -> None:
        self._calls = calls
        self._access = access

    @staticmethod
    def has(path: str) -> bool:
        """Whether a path is the API's."""
        return path.startswith(_PREFIXES)

    async def answer(self, request: BaseRequest, known: Callable[[], None] = lambda: None) -> Response:
        """Answer a request. A caller who is known may send another one on the same connection. Calls `known`
        as soon as it is.

        Raises Exception: if there is a fault in the server.
        """
        source = _source(request)
        caller: ApiCaller | None = None
        try:
            self._access.require_own_host(request.host, request.headers.get("Origin"))
            caller = await self._access.caller(
                request.headers.get("Authorization"), source, _certificate(request)
            )
            known()
            route, parameters = _route(request)
            if route.changes and caller.read_only:
                raise ApiRefusal(HTTPStatus.FORBIDDEN, "this token is read-only")
        except ApiRefusal as refusal:
            return _refused(refusal, is_known=caller is not None)
        status = int(HTTPStatus.INTERNAL_SERVER_ERROR)  # of whatever is raised
        try:
            response = await self._done(request, route, parameters)
            status = response.status
        finally:
            if route.changes:
                # nobody may keep calls out of the log by the level that the API sets
                told = _log.info if _log.is_enabled_for(logging.INFO) else _log.error
                told(
                    "admin.changed",
                    who=caller.name,
                    kind=caller.kind,
                    peer=source,
                    call=route.call,
                    target=printable(", ".join(parameters.values())) or None,
                    status=status,
                )
        return response

    async def _done(self, request: BaseRequest, route: ApiRoute, parameters: dict[str, str]) -> Response:
        try:
            query = _query(request, route)
            body = await _body(request, route)
            if route.answer is None:
                return _json(json.dumps(openapi_document()), route.status)
            answer = await self._calls.do(ApiCall(route, parameters, query, body))
        except ApiRefusal as refusal:
            return _refused(refusal, is_known=True)
        return _json(answer.model_dump_json(by_alias=True), route.status)


def _route(request: BaseRequest) -> tuple[ApiRoute, dict[str, str]]:
    path = request.rel_url.raw_path
    found = find_route(request.method, path)
    if found is not None:
        return found
    if allowed := allowed_methods(path):
        raise ApiRefusal(
            HTTPStatus.METHOD_NOT_ALLOWED, f"this takes {', '.join(allowed)}", {"Allow": ", ".join(allowed)}
        )
    raise ApiRefusal(HTTPStatus.NOT_FOUND, "there is no such call: /openapi.json lists them")


def _query(request: BaseRequest, route: ApiRoute) -> BaseModel | None:
    given = request.rel_url.query
    if route.query is None:
        if given:
            raise ApiRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, "this takes no parameters in the query")
        return None
    if len(given) > len(set(given)):
        raise ApiRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, "a parameter is there twice")
    try:
        return route.query.model_validate(dict(given))
    except ValidationError as error:
        raise _invalid(error) from None


async def _body(request: BaseRequest, route: ApiRoute) -> BaseModel | None:
    if route.body is None:
        return None
    if request.content_type != _JSON:
        raise ApiRefusal(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body should be {_JSON}")
    data = bytearray()
    async for piece in request.content.iter_any():
        data += piece
        if len(data) > _MAX_BODY_BYTES:
            raise ApiRefusal(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body has more than {_MAX_BODY_BYTES} bytes"
            )
    try:
        parsed = json.loads(data)
    except (ValueError, RecursionError):
        raise ApiRefusal(HTTPStatus.BAD_REQUEST, "the body is no JSON") from None
    try:
        return route.body.model_validate(parsed)
    except ValidationError as error:
        raise _invalid(error) from None


def _invalid(error: ValidationError) -> ApiRefusal:
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    texts = [f"{'.'.join(map(str, each['loc'])) or 'the body'}: {each['msg']}" for each in problems[:10]]
    return ApiRefusal(HTTPStatus.UNPROCESSABLE_ENTITY, printable("; ".join(texts)))


def _json(text: str, status: int) -> Response:
    return Response(status=status, body=text.encode("utf-8", "backslashreplace"), content_type=_JSON)


def _refused(refusal: ApiRefusal, *, is_known: bool) -> Response:
    response = Response(
        status=refusal.status,
        body=refusal.problem.model_dump_json().encode("utf-8", "backslashreplace"),
        content_type="application/problem+json",
        headers=refusal.headers,
    )
    if not is_known:
        response.force_close()
    return response


def _source(request: BaseRequest) -> str:
    name = request.transport.get_extra_info("peername") if request.transport else None
    return str(name[0]) if isinstance(name, tuple) else ""


def _certificate(request: BaseRequest) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = None
    if request.transport is not None:
        found = request.transport.get_extra_info("peercert")
    return found
