"""What a command shows: bars with rate and time left on a terminal, plain lines elsewhere; and its errors.

All of it goes to stderr, so that stdout carries the result alone. For the programs of every room; no library
module imports it.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from rich.console import Console
from rich.progress import BarColumn, ProgressColumn, Task, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.text import Text

from indexer.progress import Progress, Stage

TRAINING_SET = ("jinja2", "onnx", "onnxscript", "tensorboard", "timm", "torch", "torchvision", "transformers")
"""Libraries of the extra `train`, which serving does without."""

LINE_SECONDS = 5.0
"""How often a stage that is not on a terminal tells how far it has come."""


@contextmanager
def open_progress() -> Iterator[Progress]:
    """Show stages on stderr while the context lasts."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    columns = (TextColumn("{task.description}"), BarColumn(), _Count(), TimeRemainingColumn(), _Note())
    with Bars(*columns, console=console) as bars:
        yield _OnTerminal(bars)


@contextmanager
def failing_in_one_sentence(*, debug: bool) -> Iterator[None]:
    """Turn an error into status 1 and one sentence on stderr; with `debug`, after its traceback.

    An ExceptionGroup, of faults found together, gives one line each.
    """
    try:
        yield
    except KeyboardInterrupt:
        sentences = ["Stopped before the end; what was already there is untouched."]
    except ExceptionGroup as group:
        sentences = [_sentence(error) for error in group.exceptions]
    except Exception as error:  # noqa: BLE001  the last stop before the person who ran the command
        sentences = [_sentence(error)]
    else:
        return
    if debug:
        traceback.print_exc()
    for sentence in sentences:
        print(f"error: {sentence}", file=sys.stderr)
    raise SystemExit(1)


def _sentence(error: Exception) -> str:
    """Our own errors are sentences already; the system's name a file; anything else is a defect of ours."""
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in TRAINING_SET:
        return (
            f"Training needs {error.name}, which is not installed: run `make train-env` and activate "
            ".venv-train, or run pip install 'saysee[train]'."
        )
    if isinstance(error, ImportError):
        return f"A library is missing or broken ({error}): `python -m indexer doctor` has the fix."
    if type(error).__module__.partition(".")[0] in ("indexer", "training", "service"):
        return str(error)
    if isinstance(error, OSError):
        return f"{error.filename or 'The system'}: {error.strerror or error}."
    kind = type(error).__name__
    return f"A defect of SaySee ({kind}: {error}); run again with --debug and report what it prints."


class _Count(ProgressColumn):
    """Done of total, and the rate."""

    def render(self, task: Task) -> Text:
        done = f"{int(task.completed):,}"
        if task.total is not None:
            done += f"/{int(task.total):,}"
        speed = task.finished_speed or task.speed
        return Text(f"{done}  {speed:,.0f}/s" if speed else done)


class _Note(ProgressColumn):
    """What came of it so far."""

    def render(self, task: Task) -> Text:
        return Text(task.fields.get("note", ""))


class _OnTerminal:
    def __init__(self, bars: Bars) -> None:
        self._bars = bars

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Stage]:
        task = self._bars.add_task(title, total=total)
        stage = _Bar(self._bars, task)
        yield stage
        # An estimated total that was not met would leave the bar open for ever.
        self._bars.update(task, total=max(stage.done, 1), completed=max(stage.done, 1))


class _Bar:
    def __init__(self, bars: Bars, task: TaskID) -> None:
        self._bars = bars
        self._task = task
        self.done = 0

    def reach(self, done: int, note: str = "") -> None:
        self.done = done
        self._bars.update(self._task, completed=done, note=note)


class _Lines:
    def stage(self, title: str, total: int | None = None) -> AbstractContextManager[Stage]:
        return self._stage(title, total)

    @contextmanager
    def _stage(self, title: str, total: int | None) -> Iterator[Stage]:
        stage = _Line(title, total)
        yield stage
        seconds = time.monotonic() - stage.started
        counted = f"{stage.done:,} in " if stage.done else ""
        print(f"{title}: {counted}{seconds:.1f} s{stage.note}", file=sys.stderr)


class _Line:
    def __init__(self, title: str, total: int | None) -> None:
        self._title = title
        self._total = total
        self.done = 0
        self.note = ""
        self.started = self._told = time.monotonic()

    def reach(self, done: int, note: str = "") -> None:
        self.done = done
        self.note = f"; {note}" if note else ""
        now = time.monotonic()
        if now - self._told < LINE_SECONDS:
            return
        self._told = now
        rate = done / (now - self.started)
        of_total = f" of {self._total:,}" if self._total else ""
        left = f", {max(0, self._total - done) / rate:.0f} s left" if self._total and rate else ""
        print(
            f"{self._title}: {done:,}{of_total}, {rate:,.1f}/s{left}{self.note}", file=sys.stderr, flush=True
        )
