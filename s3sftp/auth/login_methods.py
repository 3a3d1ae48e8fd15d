"""Which factors a login has to prove, and in which order. Pure.

    ["publickey"]                            a key alone; the user's password is refused
    ["publickey+password"]                   first the key, then the password
    ["publickey+totp", "password+totp"]      either of them, then a verification code

The order matters: while the first factor is missing, nobody can find out whether the second would be right.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, cast, get_args

Factor = Literal["publickey", "password", "totp"]
"""What a login can prove. A password is one factor, by whichever SSH method it comes."""
Factors = tuple[Factor, ...]
"""Factors in the order in which they are proven."""

_FACTORS: frozenset[str] = frozenset(get_args(Factor))


@dataclass(frozen=True, slots=True)
class LoginMethods:
    """The combinations of factors of which a login has to prove one."""

    combinations: tuple[Factors, ...] = (("publickey",), ("password",))

    def may_follow(self, proven: Factors, factor: Factor) -> bool:
        """Whether this factor continues a combination that begins with those proven."""
        return factor in self.next_after(proven)

    def next_after(self, proven: Factors) -> frozenset[Factor]:
        """The factors that continue a combination that begins with those proven; empty if none does."""
        count = len(proven)
        return frozenset(
            each[count] for each in self.combinations if len(each) > count and each[:count] == proven
        )

    def suffice(self, proven: Factors) -> bool:
        """Whether the proven factors are one of the combinations."""
        return proven in self.combinations

    def use(self, factor: Factor) -> bool:
        """Whether any combination has this factor."""
        return any(factor in each for each in self.combinations)

    @property
    def has_steps(self) -> bool:
        """Whether any combination has several factors."""
        return any(len(each) > 1 for each in self.combinations)

    @property
    def text(self) -> str:
        """The combinations as in the configuration, for people."""
        return " or ".join("+".join(each) for each in self.combinations)


ANY_ONE = LoginMethods()
"""A key or a password."""
ANY_ONE_AND_TOTP = LoginMethods((("publickey", "totp"), ("password", "totp")))


def login_methods(texts: Iterable[str]) -> LoginMethods:
    """Parse the option `methods`.

    Raises ValueError: if a combination is not possible, or can never be needed.
    """
    combinations = tuple(dict.fromkeys(_combination(text) for text in texts))
    if not combinations:
        raise ValueError("should name at least one method, or be left out")
    for short in combinations:
        for long in combinations:
            if len(long) > len(short) and long[: len(short)] == short:
                raise ValueError(f"{'+'.join(long)!r} is never needed, because {'+'.join(short)!r} is enough")
    return LoginMethods(combinations)


def _combination(text: str) -> Factors:
    names = [name.strip() for name in text.split("+")]
    for name in names:
        if name not in _FACTORS:
            raise ValueError(
                f"{name[:40]!r} should be publickey, password or totp, or several of them joined by '+'"
            )
    if len(set(names)) < len(names):
        raise ValueError(f"{text!r} should name each method once")
    if names[0] == "totp":
        raise ValueError(
            f"{text!r} should not begin with totp: a code is a second step, as in 'password+totp'"
        )
    return cast("Factors", tuple(names))
