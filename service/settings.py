"""The environment, read once and frozen. Built in `python -m service` and in tests, nowhere else."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "SAYSEE_"


class Settings(BaseSettings):
    """Every field is an option of `python -m service` and a variable SAYSEE_<FIELD>; the option wins."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="forbid")

    index: Annotated[Path, Field(description="The index directory to serve.")]
    host: Annotated[str, Field(description="Address to listen on.")] = "127.0.0.1"
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
    debug: Annotated[
        bool, Field(description="Log every request, and show the traceback of a failed start.")
    ] = False

    operator_key: Annotated[
        SecretStr | None, Field(description="Key for promote and rollback; without one these calls are off.")
    ] = None
    keys: Annotated[SecretStr | None, Field(description="Lines of a key file, separated by semicolons.")] = (
        None
    )
    keys_file: Annotated[
        Path | None,
        Field(description="Digests of the keys that may read or promote, a line each; `key` makes them."),
    ] = None
    no_auth: Annotated[
        bool, Field(description="Let everybody read, also from other machines; without it that takes keys.")
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
    max_files: Annotated[int, Field(ge=1, description="Most files one embeddings call takes.")] = 16

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

    poll_seconds: Annotated[float, Field(gt=0, description="How often CURRENT is looked at.")] = 2.0
    canary_seconds: Annotated[
        float, Field(gt=0, description="How often the golden pair is sent through the whole path.")
    ] = 30.0

    @model_validator(mode="after")
    def _k_fits(self) -> Settings:
        if self.default_k > self.max_k:
            raise ValueError(f"default_k is {self.default_k} and may be at most max_k, which is {self.max_k}")
        return self

    @field_validator("operator_key")
    @classmethod
    def _no_empty_key(cls, key: SecretStr | None) -> SecretStr | None:
        """An empty variable means no key, never a key anybody can guess."""
        return key if key is not None and key.get_secret_value().strip() else None
