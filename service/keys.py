"""Who may ask, and who may promote: keys, known by their SHA-256 alone, from a file and from the environment.

A key is 32 random bytes, so its plain digest is as hard to turn back as the key is to guess. A line each:

    read alice 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import re
import secrets
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import unquote

import typer
from starlette.requests import cookie_parser

from service.settings import Access

Role = Literal["read", "operator"]
COOKIE = "saysee_key"
"""Where the page keeps a key: the browser fetches pictures and sounds itself, and sends no header of ours."""

_LINE = re.compile(r"(read|operator)\s+(\S+)\s+([0-9a-f]{64})", re.ASCII)
_PREFIX = "saysee_"
_LEAST_CHARACTERS = 16


class KeysUnusable(ValueError):
    """The keys, or their lack, do not allow a start; the message says what to do."""


class OperatorCallsOff(Exception):
    """There is no operator key, so the calls are off."""

    def __init__(self) -> None:
        super().__init__(
            "Promote and rollback are off over HTTP because there is no operator key: start the service with "
            "SAYSEE_OPERATOR_KEY or a key file that has one, or use 'python -m indexer promote'."
        )


class KeyMissing(Exception):
    """The call came without a key."""

    headers = {"WWW-Authenticate": 'Bearer realm="saysee"'}  # noqa: RUF012 - RFC 9110 wants it with a 401

    def __init__(self, what: str = "a key") -> None:
        super().__init__(f"This call takes {what}: send it as 'Authorization: Bearer KEY'.")


class KeyRefused(Exception):
    """The call came with a key that is not known here, or not for this."""

    def __init__(self, what: str = "a key") -> None:
        super().__init__(f"The key sent is not {what} of this server.")


@dataclass(frozen=True)
class Key:
    """What is kept of a key; `name` tells people whose it is, and several may be one person's."""

    role: Role
    name: str
    sha256: bytes


class Keys:
    """All keys of a server. Without any read key everybody may read."""

    def __init__(self, keys: Sequence[Key] = ()) -> None:
        self._keys = tuple(keys)
        self.reading_is_open = not any(key.role == "read" for key in keys)

    def reader(self, authorization: str, cookies: str = "") -> Key | None:
        """Who asks, None where everybody may. Raises KeyMissing, KeyRefused."""
        if self.reading_is_open:
            return None
        given = _bearer(authorization) or _cookie(cookies)
        if not given:
            raise KeyMissing
        return self._known(given) or _refuse("a key")

    def operator(self, authorization: str) -> Key:
        """The operator who asks: by header alone. Raises OperatorCallsOff, KeyMissing, KeyRefused."""
        if not any(key.role == "operator" for key in self._keys):
            raise OperatorCallsOff
        given = _bearer(authorization)
        if not given:
            raise KeyMissing("the operator key")
        known = self._known(given)
        return known if known is not None and known.role == "operator" else _refuse("an operator key")

    def _known(self, given: str) -> Key | None:
        """Digests have one length, and all are compared: the time says nothing of any."""
        digest = _digest(given)
        found = [key for key in self._keys if hmac.compare_digest(key.sha256, digest)]
        return found[0] if found else None


def load_keys(access: Access) -> Keys:
    """The keys of all sources. Raises KeysUnusable where one cannot be read, or where they are too few."""
    keys = [*_from_file(access.keys_file), *_parsed("SAYSEE_KEYS", _secret(access.keys).split(";"))]
    if operator := _secret(access.operator_key):
        keys.append(Key("operator", "operator", _digest(operator)))
    names: dict[bytes, str] = {}
    for key in keys:
        if key.sha256 in names:  # with another role, the first would be the one that counts
            raise KeysUnusable(
                f"The keys of {names[key.sha256]!r} and {key.name!r} are one and the same: give it once."
            )
        names[key.sha256] = key.name
    made = Keys(keys)
    if access.no_auth and not made.reading_is_open:
        raise KeysUnusable("--no-auth lets everybody read and read keys were given: drop one of the two.")
    if made.reading_is_open and not access.no_auth and not _is_loopback(access.host):
        raise KeysUnusable(
            f"{access.host} can be reached from other machines and there is no read key: make one with "
            "'python -m service key --file keys.txt' and give --keys-file keys.txt, or let everybody in "
            "with --no-auth."
        )
    return made


def operator_key_is_short(access: Access) -> bool:
    """Whether the operator key given as it is could be guessed."""
    return 0 < len(_secret(access.operator_key)) < _LEAST_CHARACTERS


def key_command(
    role: Annotated[
        Role, typer.Option(help="What it is for: reading and searching, or promoting as well.")
    ] = "read",
    name: Annotated[str, typer.Option(help="Whose it is, in one word.")] = "someone",
    file: Annotated[
        Path | None, typer.Option(help="Key file to add it to; otherwise its line is shown.")
    ] = None,
) -> None:
    """Make a key and show it, this once; only its digest is kept."""
    if not re.fullmatch(r"[^\s#;]+", name):  # what ends a line, where lines are read
        raise typer.BadParameter(f"a name is one word without # and ;, not {name!r}", param_hint="--name")
    key = _PREFIX + secrets.token_urlsafe(32)
    line = f"{role} {name} {_digest(key).hex()}"
    if file is not None:
        try:
            if file.is_file():
                list(_from_file(file))  # what is no key file stays as it is
            _append(file, line)
        except KeysUnusable as error:
            raise typer.BadParameter(f"no key is added: {error}", param_hint="--file") from error
        except OSError as error:
            raise typer.BadParameter(
                f"{file} cannot be written ({error.strerror}): give a file in a folder that is there",
                param_hint="--file",
            ) from error
        typer.echo(f"{file} has one key more. It is shown only now:", err=True)
    else:
        typer.echo(f"For the key file, or SAYSEE_KEYS:\n{line}\nThe key itself is shown only now:", err=True)
    typer.echo(key)


def _append(file: Path, line: str) -> None:
    """A line of its own, also where the last one was left without an end."""
    with file.open("a+b") as opened:
        size = opened.seek(0, os.SEEK_END)
        opened.seek(max(0, size - 1))
        start = "" if opened.read(1) in (b"", b"\n") else "\n"
        opened.write(f"{start}{line}\n".encode())


def _from_file(path: Path | None) -> Iterator[Key]:
    if path is None:
        return
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        if path.stat().st_mode & stat.S_IWOTH:
            raise KeysUnusable(
                f"Everybody on this machine may write {path}, and so add a key to it: chmod o-w {path}."
            )
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise KeysUnusable(
            f"The key file {path} cannot be read ({why}): give another --keys-file."
        ) from error
    yield from _parsed(str(path), lines)


def _parsed(source: str, lines: Sequence[str]) -> Iterator[Key]:
    for number, line in enumerate(lines, 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        match = _LINE.fullmatch(text)
        if match is None:  # what stands there may be a key: it is not repeated
            raise KeysUnusable(
                f"Key {number} of {source} is not 'read' or 'operator', a name and a SHA-256 in hexadecimal: "
                "make it with 'python -m service key'."
            )
        role: Role = "read" if match[1] == "read" else "operator"
        yield Key(role, match[2], bytes.fromhex(match[3]))


def _refuse(what: str) -> Key:
    raise KeyRefused(what)


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.strip().encode("utf-8", "surrogateescape")).digest()


def _secret(value: object) -> str:
    given = getattr(value, "get_secret_value", None)
    return str(given()).strip() if given else ""


def _bearer(authorization: str) -> str:
    scheme, _, key = authorization.strip().partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _cookie(cookies: str) -> str:
    return unquote(cookie_parser(cookies).get(COOKIE, "")).strip()  # the page stores it percent-encoded


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
