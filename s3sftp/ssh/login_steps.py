"""The factors that one connection has proven, and what it may go on with (RFC 4252, 5.1). Pure.

    nothing proven  ──►  key  ──►  password  ──►  complete          methods = ["publickey+password"]
      any method      partial       the list of methods names
      is listed       success       only what comes next

As long as nothing is proven, every method is listed for every name, so that the list reveals nothing about a
user.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3sftp.auth import Certificate, Factor, Factors, Identity


@dataclass(frozen=True, slots=True)
class LoginStep:
    """A factor that is verified."""

    factor: Factor
    method: str
    """The SSH method by which it came."""
    fingerprint: str | None = None
    """The fingerprint of a public key, in the format of `ssh-keygen -l`."""
    certificate: Certificate | None = None
    """The certificate for this key, if that is what opens the account."""


class LoginSteps:
    """What has been proven for one user name. Another name, or another account for it, begins anew."""

    def __init__(self) -> None:
        self._user = ""
        self._identity: Identity | None = None
        self._steps: tuple[LoginStep, ...] = ()

    def begin(self, user: str) -> None:
        """Forget what was proven if it was for another user name."""
        if user != self._user:
            self._user, self._identity, self._steps = user, None, ()

    @property
    def steps(self) -> tuple[LoginStep, ...]:
        """What was proven, in this order."""
        return self._steps

    @property
    def proven(self) -> Factors:
        """The factors in the order in which they were proven."""
        return tuple(step.factor for step in self._steps)

    @property
    def next_factors(self) -> frozenset[Factor] | None:
        """What the login needs next; None while nothing is proven: any factor may be tried."""
        if self._identity is None:
            return None
        return self._identity.login_methods.next_after(self.proven)

    def may_try(self, *factors: Factor) -> bool:
        """Whether any of these factors may come next."""
        awaited = self.next_factors
        return awaited is None or not awaited.isdisjoint(factors)

    @property
    def are_complete(self) -> bool:
        """Whether the login needs nothing else."""
        return self._identity is not None and self._identity.login_methods.suffice(self.proven)

    def prove(self, user: str, identity: Identity, step: LoginStep) -> bool:
        """Add a factor that is verified. Returns False, and adds nothing, if it is not what comes next.

        The check before it allowed it, but the user may have changed meanwhile.
        """
        self.begin(user)
        if self._identity is not None and not _are_one_account(self._identity, identity):
            self._identity, self._steps = None, ()
        if not identity.login_methods.may_follow(self.proven, step.factor):
            return False
        self._identity, self._steps = identity, (*self._steps, step)
        return True


def _are_one_account(one: Identity, other: Identity) -> bool:
    return (one.user, one.origin) == (other.user, other.origin)
