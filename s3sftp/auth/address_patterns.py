"""Matches client addresses against the `from=` option of a key, and against allowed networks."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

_WILDCARD = re.compile(r"[0-9.*?]+")
_IPV6_WILDCARD = re.compile(r"[0-9a-f.:*?]+")

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MAPPED_BITS = 96
_REMEMBERED = 1024
"""Addresses that need not be parsed again: each login asks for its own several times."""
"""Length of the prefix of an IPv4-mapped IPv6 address (::ffff:192.0.2.1) before the IPv4 address."""
_Match = Callable[[_Address], bool]


class AllowedSources:
    """A list such as `10.0.0.0/8,192.168.1.*,!10.0.0.9`: one pattern has to match, and none with `!`.

    Only addresses are supported. Names are never looked up, so a pattern with a name in it is a ValueError at
    start instead of a rule that silently never matches.
    """

    def __init__(self, patterns: str) -> None:
        self.patterns = patterns
        self._allowed: list[_Match] = []
        self._denied: list[_Match] = []
        for pattern in patterns.split(","):
            text = pattern.strip().lower()
            if text.startswith("!"):
                self._denied.append(_matcher(text[1:]))
            else:
                self._allowed.append(_matcher(text))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """As an option or in JSON it is the text of its patterns."""
        text = core_schema.no_info_after_validator_function(cls, core_schema.str_schema())
        return core_schema.json_or_python_schema(
            json_schema=text,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), text]),
            serialization=core_schema.plain_serializer_function_ser_schema(lambda each: each.patterns),
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AllowedSources) and self.patterns == other.patterns

    def __hash__(self) -> int:
        return hash(self.patterns)

    def __repr__(self) -> str:
        return f"AllowedSources({self.patterns!r})"

    def allow(self, address: str) -> bool:
        """Whether a client at this address may log in."""
        try:
            source = plain_address(address)
        except ValueError:
            return False
        return any(matches(source) for matches in self._allowed) and not any(
            matches(source) for matches in self._denied
        )


@lru_cache(maxsize=_REMEMBERED)
def plain_address(text: str) -> _Address:
    """An address without its zone; an IPv4-mapped IPv6 address becomes IPv4.

    Raises ValueError: if the text is no address.
    """
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def _plain_network(network: _Network) -> _Network:
    """A network; one of IPv4-mapped IPv6 addresses becomes IPv4, as is done with connections' addresses."""
    if isinstance(network, ipaddress.IPv4Network) or network.prefixlen < _MAPPED_BITS:
        return network
    address = network.network_address.ipv4_mapped
    return network if address is None else ipaddress.IPv4Network((address, network.prefixlen - _MAPPED_BITS))


def normalized_address(text: str) -> str:
    """An address in its usual notation; text that is no address is returned unchanged."""
    try:
        return str(plain_address(text))
    except ValueError:
        return text


def normalized_networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Networks in their usual notation; an address is a network of one.

    Raises ValueError: if a text is neither an address nor a network.
    """
    try:
        return tuple(str(_plain_network(ipaddress.ip_network(text.strip(), strict=False))) for text in texts)
    except ValueError as error:
        raise ValueError(f"should be IP addresses or networks: {error}") from None


def _matcher(pattern: str) -> _Match:
    if "/" in pattern or not re.search(r"[*?]", pattern):
        network = _network(pattern)
        return lambda address: address in network
    if not _WILDCARD.fullmatch(pattern):
        if _IPV6_WILDCARD.fullmatch(pattern):
            # an IPv6 address has several spellings: an exception might miss the one that it is meant for
            raise ValueError(f"{pattern!r}: write IPv6 addresses as a network, such as 2001:db8::/32")
        raise ValueError(f"{pattern!r} is not an address; host names are not looked up")
    return lambda address: fnmatchcase(str(address), pattern)


def _network(pattern: str) -> _Network:
    try:
        return _plain_network(ipaddress.ip_network(pattern))
    except ValueError as error:
        raise ValueError(f"{pattern!r} is not an address or a network ({error})") from None
