"""Who may promote and roll back: the bearer of the one operator key, compared in constant time."""

from __future__ import annotations

import hashlib
import hmac

from pydantic import SecretStr


class OperatorCallsOff(Exception):
    """No operator key is set, so the calls are off."""

    def __init__(self) -> None:
        super().__init__(
            "Promote and rollback are off over HTTP because no operator key is set: "
            "start the service with SAYSEE_OPERATOR_KEY, or use 'python -m indexer promote'."
        )


class KeyMissing(Exception):
    """The call came without a key."""

    headers = {"WWW-Authenticate": 'Bearer realm="saysee operator"'}  # noqa: RUF012 - RFC 9110 wants it with a 401

    def __init__(self) -> None:
        super().__init__("This call takes the operator key: send it as 'Authorization: Bearer KEY'.")


class KeyRefused(Exception):
    """The call came with another key."""

    def __init__(self) -> None:
        super().__init__("The key sent is not the operator key of this server.")


def require_operator(expected: SecretStr | None, authorization: str | None) -> None:
    """Pass in silence, or raise OperatorCallsOff, KeyMissing or KeyRefused."""
    if expected is None:
        raise OperatorCallsOff
    scheme, _, key = (authorization or "").strip().partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise KeyMissing
    # Digests have one length, so the comparison says nothing of the key's.
    given = hashlib.sha256(key.strip().encode()).digest()
    wanted = hashlib.sha256(expected.get_secret_value().strip().encode()).digest()
    if not hmac.compare_digest(given, wanted):
        raise KeyRefused
