"""The OpenAPI document of the admin API, from the table of routes and the models. Pure."""

from __future__ import annotations

from functools import cache
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

from s3sftp import __version__
from s3sftp.admin.api_models import Problem
from s3sftp.admin.api_routes import ROUTES, ApiRoute

_REFERENCE = "#/components/schemas/{model}"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REFERENCE.format(model="Problem")}}}
_NO_HTTP = {"text/plain": {"schema": {"type": "string"}}}
"""What is answered by whoever parses HTTP, before there is a route."""
_ALWAYS = {
    400: "the request line or a header is too long, or the body is no JSON",
    401: "no token, or a wrong one",
    403: "the token is read-only, or a page of another site asks",
    421: "the Host header names another server",
    429: "too many requests without a right token",
    500: "a fault of the server; its log says which",
    503: "the server cannot answer now",
}


@cache
def openapi_document() -> dict[str, Any]:
    """The document, OpenAPI 3.1."""
    answers: list[type[BaseModel]] = [route.answer for route in ROUTES if route.answer is not None]
    answers.append(Problem)
    bodies = [route.body for route in ROUTES if route.body is not None]
    wanted: list[tuple[type[BaseModel], JsonSchemaMode]] = []
    wanted += [(model, "serialization") for model in dict.fromkeys(answers)]
    wanted += [(model, "validation") for model in dict.fromkeys(bodies)]
    _, schemas = models_json_schema(
        wanted,
        by_alias=True,
        ref_template=_REFERENCE,
    )
    paths: dict[str, Any] = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "s3sftp admin API",
            "version": __version__,
            "description": "See docs/admin.md. Changing calls are lines of the audit log.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "certificate": {"type": "mutualTLS"},
            },
        },
        "security": [{"token": []}, {"certificate": []}],
    }


def _operation(route: ApiRoute) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": route.call,
        "summary": route.summary,
        "parameters": [*_in_path(route), *_in_query(route.query)],
        "responses": {str(route.status): _answer(route), **_problems(route)},
    }
    if route.body is not None:
        schema = {"$ref": _REFERENCE.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": schema}}}
    return operation


def _answer(route: ApiRoute) -> dict[str, Any]:
    schema = {"$ref": _REFERENCE.format(model=route.answer.__name__)} if route.answer else {"type": "object"}
    return {
        "description": HTTPStatus(route.status).phrase,
        "content": {"application/json": {"schema": schema}},
    }


def _problems(route: ApiRoute) -> dict[str, Any]:
    known = dict(_ALWAYS)
    if route.not_found:
        known[404] = route.not_found
    if route.body is not None:
        known |= {
            413: "the body is too long",
            415: "the body is not declared as JSON",
        }
    if route.body is not None or route.query is not None:
        known[422] = "a value is wrong; the detail says which"
    return {
        str(status): {"description": text, "content": {**_PROBLEM, **(_NO_HTTP if status == 400 else {})}}
        for status, text in sorted(known.items())
    }


def _in_path(route: ApiRoute) -> list[dict[str, Any]]:
    schema = {"type": "string", "minLength": 1}
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name in route.parameters]


def _in_query(model: type[BaseModel] | None) -> list[dict[str, Any]]:
    if model is None:
        return []
    schema = model.model_json_schema()
    return [
        {"name": name, "in": "query", "required": False, "schema": _without_null(each)}
        for name, each in schema["properties"].items()
    ]


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is left out is not null: it is not there."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return kinds[0] if len(kinds) == 1 else {name: value for name, value in schema.items() if name != "title"}
