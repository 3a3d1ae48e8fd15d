"""Values made at random from the schema of the chart."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from tests.helm.chart import CHART, Object

Schema = dict[str, Any]

_SCHEMA: Schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
_PRINTABLE = st.characters(min_codepoint=32, max_codepoint=126)
_TEXTS = st.text(st.characters(exclude_categories=("Cs", "Cc", "Co", "Cn")), max_size=12)
_WHATEVER = st.recursive(
    st.booleans() | st.integers(-(2**53), 2**53) | _TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_TEXTS, inner, max_size=2),
    max_leaves=3,
)
_HASH = "$argon2id$v=19$m=65536,t=3,p=4$c2FsdHNhbHQ$aGFzaA"


def values() -> st.SearchStrategy[Object]:
    """Some of the values, each as the schema allows it; what would be refused for sure is put right."""
    return _of(_SCHEMA).map(_put_right)


def named_elsewhere(chosen: Object) -> frozenset[str]:
    """Secrets that the values name and others make."""
    return frozenset(
        chosen.get(group, {}).get("existingSecret", "")
        for group in ("users", "hostKeys", "credentials", "adminTokens")
    )


def _of(schema: Schema) -> st.SearchStrategy[Any]:
    if "examples" in schema:
        return st.sampled_from(schema["examples"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kinds = schema.get("type", "anything")
    return st.one_of([_of_kind(kind, schema) for kind in ([kinds] if isinstance(kinds, str) else kinds)])


def _of_kind(kind: str, schema: Schema) -> st.SearchStrategy[Any]:
    match kind:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", 0), schema.get("maximum", 2**40))
        case "number":
            least = max(schema.get("minimum", 0), schema.get("exclusiveMinimum", 0) + 0.001)
            return st.floats(least, schema.get("maximum", 10_000))
        case "string":
            if "pattern" in schema:
                return st.from_regex(schema["pattern"], fullmatch=True, alphabet=_PRINTABLE).filter(
                    lambda text: len(text) < 60
                )
            return _TEXTS.filter(lambda text: len(text) >= schema.get("minLength", 0))
        case "array":
            return st.lists(
                _of(schema["items"]),
                min_size=schema.get("minItems", 0),
                max_size=3,
                unique_by=str if schema.get("uniqueItems") else None,
            )
        case "object":
            return _objects(schema)
    return _WHATEVER


def _objects(schema: Schema) -> st.SearchStrategy[Object]:
    known = schema.get("properties")
    if known is not None:
        # lazily: of the many options only those that are chosen are made
        return st.sets(st.sampled_from(sorted(known)), max_size=6).flatmap(
            lambda chosen: st.fixed_dictionaries({name: _of(known[name]) for name in sorted(chosen)})
        )
    inner = schema.get("additionalProperties", True)
    names = schema.get("propertyNames", {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_.-]{0,10}$"})
    return st.dictionaries(
        _of({"type": "string", **names}), _WHATEVER if inner is True else _of(inner), max_size=2
    )


def _put_right(chosen: Object) -> Object:
    """Away with what is refused whatever else there is; a bucket and users where there are none."""
    chosen.pop("global", None)
    chosen.pop("replicaCount", None)
    config = chosen.setdefault("config", {})
    for group, options in {
        "s3": ("access_key_id", "secret_access_key", "session_token"),
        "ssh": ("host_keys",),
        "auth": ("users_dir",),
    }.items():
        for option in options:
            (config.get(group) or {}).pop(option, None)
    config.pop("users", None)
    config.pop("storages", None)  # each needs a bucket, and the backend s3
    if not (config.get("s3") or {}).get("bucket"):
        config["s3"] = {**(config.get("s3") or {}), "bucket": "acme"}
    users = chosen.setdefault("users", {})
    users.setdefault("inline", {})["alice"] = {}
    for user in users["inline"].values():
        user["password_hash"] = _HASH
    users.pop("csi", None)
    chosen.get("hostKeys", {}).pop("files", None)
    return chosen
