"""The environment, read once and frozen. Built in `python -m service` and in tests, nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Literal, get_origin

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "SAYSEE_"
SECRETS = frozenset({"operator_key", "keys"})
"""Settings that only a variable gives, because a command line can be read by every user of the machine."""

OF_OTHERS = frozenset(
    f"{PREFIX}{name}" for name in ("SERVER", "KEY", "MILVUS_TOKEN", "GOOGLE_ENDPOINT", "SCRAPE_KEY", "DATA")
)
"""Variables that the other commands read, the composition, and the tests."""

_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]*://[^\s/?#@,]+|\*")
_HOST_NAME = re.compile(r"[^\s:/?#@\[\],*]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")


class Access(BaseSettings):
    """Who may come in, and under which names: what every server of ours asks."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
    keys: Annotated[SecretStr | None, Field(description="Lines of a key file, separated by semicolons.")] = (
        None
    )
    keys_file: Annotated[
        Path | None,
        Field(description="Digests of the keys that may read or promote, a line each; `key` makes them."),
    ] = None
    operator_key: Annotated[
        SecretStr | None, Field(description="Key for promote and rollback; without one these calls are off.")
    ] = None
    no_auth: Annotated[
        bool, Field(description="Let everybody read, also from other machines; without it that takes keys.")
    ] = False
    allowed_hosts: Annotated[
        tuple[str, ...],
        NoDecode,
        Field(description="A name it is served under beside loopback, addresses and --host; repeatable."),
    ] = ()

    @field_validator("operator_key")
    @classmethod
    def _no_empty_key(cls, key: SecretStr | None) -> SecretStr | None:
        """An empty variable means no key, never a key anybody can guess."""
        return key if key is not None and key.get_secret_value().strip() else None

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _names_alone(cls, given: str | list[str] | tuple[str, ...]) -> tuple[str, ...]:
        """A variable holds several separated by commas."""
        joined = given if isinstance(given, str) else ",".join(given)
        found = tuple(name.strip() for name in joined.split(",") if name.strip())
        for name in found:
            if not _HOST_NAME.fullmatch(name):
                raise ValueError(f"{name!r} is no host name; give it without scheme, port and path")
        return found


class Settings(Access):
    """Every field is an option of `python -m service` and a variable SAYSEE_<FIELD>; the option wins."""

    index: Annotated[Path, Field(description="The index directory to serve.")]
    port: Annotated[int, Field(ge=0, le=65535, description="Port to listen on; 0 takes a free one.")] = 8000
    workers: Annotated[int, Field(ge=1, le=256, description="Server processes sharing the port.")] = 1
    provider: Annotated[
        Literal["auto", "cpu", "cuda"], Field(description="Where the encoder runs; auto prefers a GPU.")
    ] = "auto"
    threads: Annotated[
        int,
        Field(
            ge=0,
            le=1024,
            description="Cores for decoding, encoding and search; 0 counts what the cgroup gives.",
        ),
    ] = 0
    index_device: Annotated[Literal["cpu", "gpu"], Field(description="Where the vectors are searched.")] = (
        "cpu"
    )
    log_level: Annotated[
        Literal["info", "warning", "error"], Field(description="The least that is logged.")
    ] = "info"
    log_format: Annotated[
        Literal["text", "json"], Field(description="A line an event for people, or an object for programs.")
    ] = "text"
    debug: Annotated[
        bool, Field(description="Log all there is, and show the traceback of a failed start.")
    ] = False

    cors_origins: Annotated[
        str, Field(description="Origins whose pages may ask from a browser, separated by commas.")
    ] = ""

    max_body_bytes: Annotated[int, Field(ge=1024, description="Largest request body.")] = 25_000_000
    max_pixels: Annotated[int, Field(ge=1, description="Largest picture, width times height.")] = 50_000_000
    max_unpacked_bytes: Annotated[
        int, Field(ge=1_000_000, description="Most memory for unpacking pictures, all at one time together.")
    ] = 320_000_000
    max_source_seconds: Annotated[float, Field(gt=0, description="Longest clip taken at all.")] = 120.0
    min_seconds: Annotated[float, Field(ge=0, description="Shortest clip taken.")] = 0.1
    default_k: Annotated[int, Field(ge=1, description="Neighbours given when k is not said.")] = 10
    max_k: Annotated[int, Field(ge=1, description="Most neighbours one search gives.")] = 200
    max_page: Annotated[int, Field(ge=1, description="Most items one page lists.")] = 200
    max_files: Annotated[int, Field(ge=1, description="Most files one embeddings or batch call takes.")] = 16

    max_batch: Annotated[
        int,
        Field(ge=1, description="Most clips or pictures in one run of the model; a GPU likes 32."),
    ] = 8
    batch_wait_ms: Annotated[
        float, Field(ge=0, description="How long a run waits for queries that are just being decoded.")
    ] = 2.0
    deadline_seconds: Annotated[
        float, Field(gt=0, description="How long a query may take once its body is there.")
    ] = 15.0
    max_waiting: Annotated[int, Field(ge=1, description="Most queries let in at a time.")] = 256
    max_waiting_bytes: Annotated[
        int, Field(ge=1024, description="Most bytes of request bodies in memory at a time.")
    ] = 500_000_000
    rate_limit: Annotated[
        float,
        Field(ge=0, description="Queries a second that one key, or one address, may send; 0 sets no limit."),
    ] = 0.0
    rate_burst: Annotated[
        int, Field(ge=1, description="Queries it may send at once after a pause, where there is a limit.")
    ] = 20

    drain_seconds: Annotated[
        float,
        Field(ge=0, description="How long /readyz says no after SIGTERM before the port closes."),
    ] = 0.0
    poll_seconds: Annotated[float, Field(gt=0, description="How often CURRENT is looked at.")] = 2.0
    canary_seconds: Annotated[
        float, Field(gt=0, description="How often the golden pair is sent through the whole path.")
    ] = 30.0
    give_up_after: Annotated[
        int,
        Field(
            ge=0,
            description="Golden pairs that may fail in a row before the server ends with status 1, to be "
            "started anew; 0 lets it go on.",
        ),
    ] = 10

    @field_validator("cors_origins")
    @classmethod
    def _origins_alone(cls, given: str) -> str:
        for origin in filter(None, map(str.strip, given.split(","))):
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"{origin!r} is no origin; give scheme, host and port alone, as in https://app.example"
                )
        return given

    @model_validator(mode="after")
    def _k_fits(self) -> Settings:
        if self.default_k > self.max_k:
            raise ValueError(
                f"--default-k is {self.default_k} and may be at most --max-k, which is {self.max_k}"
            )
        return self

    @model_validator(mode="after")
    def _a_body_fits(self) -> Settings:
        if self.max_waiting_bytes < self.max_body_bytes:
            raise ValueError(
                f"--max-waiting-bytes is {self.max_waiting_bytes} and may not be less than --max-body-bytes, "
                f"which is {self.max_body_bytes}"
            )
        return self


def option_of(name: str, field: FieldInfo) -> str:
    """The option of a setting; what takes several is said once for each."""
    several = get_origin(field.annotation) is tuple
    return f"--{(name.removesuffix('s') if several else name).replace('_', '-')}"


def unheeded(environment: Iterable[str]) -> list[str]:
    """A sentence about each variable that has our prefix and sets nothing: misspelt, as a rule."""
    known = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    sentences = []
    for variable in sorted(environment):
        spelt = variable.upper()  # small letters set as much
        if not spelt.startswith(PREFIX) or spelt in known or spelt in OF_OTHERS:
            continue
        nearest = get_close_matches(spelt, known, n=1, cutoff=0.85)
        meant = f"{nearest[0]} does" if nearest else "'python -m service --help' names those that do"
        sentences.append(f"The variable {variable} sets nothing: {meant}.")
    return sentences


def sentence_of(error: ValidationError, settings: type[BaseSettings]) -> str:
    """What is wrong with the first setting that is, without ever showing a secret."""
    first = error.errors(include_url=False, include_context=False)[0]
    if not first["loc"]:  # about several settings: its input is all of them, with their secrets
        return f"The settings do not fit together: {_said(first['msg'])}."
    name = str(first["loc"][0])
    variable = f"{PREFIX}{name.upper()}"
    if name in SECRETS:
        return f"{variable} cannot be used: {_said(first['msg'])}."
    said = "is missing" if first["type"] == "missing" else f"is {first['input']!r}: {_said(first['msg'])}"
    return f"{option_of(name, settings.model_fields[name])} ({variable}) {said}."


def _said(message: str) -> str:
    """What our own checks say, without the words that pydantic puts before it."""
    return message.removeprefix("Value error, ").removesuffix(".")
