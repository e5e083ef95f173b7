"""`python -m service`: options and SAYSEE_ variables to one Settings, then the server.

Nothing heavy is imported before the options are read and OpenMP was told how many threads it may use.
"""

from __future__ import annotations

from indexer import interrupt

if __name__ == "__main__":
    interrupt.end_silently()

import inspect
import logging
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from typer.core import TyperCommand, TyperGroup

from indexer.cores import available_cores
from service.keys import KeysUnusable, key_command, load_keys, operator_key_is_short
from service.listener import CannotListen, end_with, ending_well, leave_at_once
from service.logs import event, start_logging
from service.query.command import query_command
from service.rate.command import rate_command
from service.settings import PREFIX, SECRETS, Settings, option_of, sentence_of, unheeded
from service.tracing import TracingUnusable, traces_wanted

if TYPE_CHECKING:
    from fastapi import FastAPI

log = logging.getLogger("service")  # __name__ is "__main__"

# A thread that comes back from decoding or the model waits so long for the event loop's turn to end, and the
# loop for its. At Python's 5 ms, 16 clients got 239 pictures a second on 2 cores; at this, 332.
_TURN_SECONDS = 0.0005
_COUNTS = "PROMETHEUS_MULTIPROC_DIR"
_THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


class _ServeUnlessNamed(TyperGroup):
    """`python -m service --index X` serves; another command has to be named first."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        named = bool(args) and not args[0].startswith("-")
        if named and args[0] not in self.commands:
            ctx.fail(f"There is no command {args[0]!r}. There are: {', '.join(self.commands)}.")
        return super().parse_args(ctx, args if named else ["serve", *args])


class _Unnamed(typer.Context):
    """The context of a command that goes by the program's name alone."""

    @property
    def command_path(self) -> str:
        """What usage lines begin with."""
        return super().command_path if self.parent is None else self.parent.command_path


class _Serve(TyperCommand):
    context_class = _Unnamed


# Plain help is readable at any width; in boxes of 80 columns long names were cut.
app = typer.Typer(
    cls=_ServeUnlessNamed, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None
)


def serve(**given: Any) -> None:
    """Serve an index: nearest images and spoken captions over HTTP, and the web page at /.

    Promote and rollback over HTTP need an operator key, of SAYSEE_OPERATOR_KEY, SAYSEE_KEYS or the key file.
    Without the name of a command this one is meant. The others, each with a --help of its own: `query` asks a
    running service, `rate` serves the page for human ratings, `key` makes a key.
    """
    settings = _settings({name: value for name, value in given.items() if value is not None})
    try:
        load_keys(settings)
        traces_wanted()
    except (KeysUnusable, TracingUnusable) as error:
        start_logging(settings)
        _fail(str(error), 2, settings)
    _limit_threads(settings)
    leave_at_once()
    from service import server
    from service.watch import UNFIT

    start_logging(settings)  # not before: what is imported logs how it is loaded
    for sentence in unheeded(os.environ):
        log.warning(sentence)
    if operator_key_is_short(settings):
        log.warning(
            "The operator key in SAYSEE_OPERATOR_KEY is short enough to be guessed: give one that "
            "'python -m service key' makes."
        )
    try:
        if settings.workers == 1:
            server.serve(settings)
        for name, value in given.items():  # the workers read the environment
            if value is not None:
                os.environ[PREFIX + name.upper()] = ",".join(value) if isinstance(value, list) else str(value)
        with ending_well(), _counts_folder(settings) as counts:
            os.environ[_COUNTS] = counts  # where service.metrics adds up all workers
            if not server.serve_with_workers(settings, "service.__main__:worker"):
                raise typer.Exit(1)
    except (CannotListen, *UNFIT) as error:
        if settings.debug:
            raise
        _fail(str(error), 1, settings)


def worker() -> FastAPI:
    """The app of one worker process; where nothing can be served it ends that, and through it the parent."""
    settings = Settings()  # type: ignore[call-arg]  # from the environment
    _limit_threads(settings)
    from uvicorn.config import STARTUP_FAILURE

    from service.app import create_app, create_service
    from service.server import make_ready
    from service.watch import UNFIT

    start_logging(settings)
    service = create_service(settings)
    try:
        service.keeper.start()
    except UNFIT as error:
        _fail(str(error), STARTUP_FAILURE, settings)
    app = create_app(settings, service, Path(os.environ[_COUNTS]))
    make_ready(app, settings)
    return app


def _settings(given: dict[str, Any]) -> Settings:
    try:
        return Settings(**given)
    except ValidationError as error:
        end_with(sentence_of(error, Settings), 2)


def _counts_folder(settings: Settings) -> TemporaryDirectory[str]:
    try:
        return TemporaryDirectory(prefix="saysee-")
    except OSError as error:
        _fail(
            f"--workers takes a folder for what the workers count, and none can be written ({error}): mount "
            "one at /tmp, or name one in TMPDIR.",
            1,
            settings,
        )


def _limit_threads(settings: Settings) -> None:
    """OpenMP sizes itself from the host, and reads these only once, when it is loaded."""
    threads = settings.threads or max(1, available_cores() // settings.workers)
    for name in _THREAD_VARIABLES:
        os.environ.setdefault(name, str(threads))
    sys.setswitchinterval(_TURN_SECONDS)


def _fail(sentence: str, status: int, settings: Settings | None = None) -> NoReturn:
    """`settings` once logging has begun: then programs are told in their format."""
    if settings is not None and settings.log_format == "json":
        log.critical(sentence, extra=event("failed"))
        raise SystemExit(status)
    end_with(sentence, status)


def _option(name: str, field: FieldInfo) -> inspect.Parameter:
    """The option of one setting. The default stays with the setting, so an option not given is None."""
    several = isinstance(field.default, tuple)
    said = typer.Option(
        option_of(name, field),
        envvar=PREFIX + name.upper(),
        help=f"{field.description}{_default_of(field)}",
        show_default=False,
    )
    kind: Any = list[str] if several else field.annotation
    # A type known when run, for typer to read.
    annotation = Annotated[kind if field.is_required() else kind | None, said]  # type: ignore[valid-type]
    default = inspect.Parameter.empty if field.is_required() else None
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _default_of(field: FieldInfo) -> str:
    """A sentence for the help; typer would put a default that is only said in brackets of its own."""
    nothing = field.is_required() or field.default in (None, "", ()) or field.default is False
    return "" if nothing else f" Default: {field.default}."


def _give_options() -> None:
    """Every setting is an option and a variable, by construction: typer reads them off the signature."""
    fields = sorted(Settings.model_fields.items(), key=lambda item: not item[1].is_required())
    options = [_option(name, field) for name, field in fields if name not in SECRETS]
    serve.__signature__ = inspect.Signature(options)  # type: ignore[attr-defined]  # read by typer
    serve.__annotations__ = {option.name: option.annotation for option in options}
    app.command("serve", cls=_Serve)(serve)
    app.command("query")(query_command)
    app.command("rate")(rate_command)
    app.command("key")(key_command)


_give_options()

if __name__ == "__main__":
    command = typer.main.get_command(app)
    interrupt.be_told()
    command(prog_name="python -m service")
