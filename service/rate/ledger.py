"""ratings.jsonl: one line a rating, on the device before anybody is told that it is there.

A line is never changed: taking a rating back is a line of its own. What a kill cut off mid-line was never
confirmed to its rater and is removed when the file is opened again. One process holds the file at a time.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import ExitStack
from pathlib import Path
from typing import Literal, get_args

from indexer.durable import fsync_folder, naming_a_full_disk

Verdict = Literal["good", "bad"]
WITHDRAWN = "withdrawn"


class RatingsUnusable(Exception):
    """The ratings file cannot be opened, is held by another process, is of other tasks, or is damaged."""


class Ledger:
    """Ratings of one tasks file. `given` maps pair -> rater -> verdict, withdrawn ones gone."""

    def __init__(self, path: Path, tasks_id: str) -> None:
        """Open or begin the file. Raises RatingsUnusable."""
        self._path, self._tasks_id = path, tasks_id
        self.given: dict[str, dict[str, Verdict]] = {}
        self.order: dict[str, list[str]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
            with ExitStack() as on_failure:
                on_failure.callback(self.close)
                self._hold_and_read()
                on_failure.pop_all()
        except BlockingIOError as error:
            raise RatingsUnusable(
                f"{path} is in use by another `python -m service rate`; end that one"
            ) from error
        except OSError as error:
            raise RatingsUnusable(
                f"{path} cannot be opened as a ratings file ({error.strerror}); give another --ratings"
            ) from error

    def close(self) -> None:
        """Let the file go."""
        os.close(self._file)

    def add(self, pair: str, rater: str, verdict: Verdict, at: str) -> None:
        """Keep one rating; it is on the device when this returns. On DiskFull nothing was kept."""
        self._append({"tasks": self._tasks_id, "pair": pair, "rater": rater, "verdict": verdict, "at": at})
        self._note(pair, rater, verdict)

    def withdraw(self, rater: str, at: str) -> str | None:
        """Take the rater's newest rating back; its pair, or None where there is none."""
        if not self.order.get(rater):
            return None
        pair = self.order[rater][-1]
        self._append({"tasks": self._tasks_id, "pair": pair, "rater": rater, "verdict": WITHDRAWN, "at": at})
        self._forget(pair, rater)
        return pair

    def _hold_and_read(self) -> None:
        fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fsync_folder(self._path.parent)
        data = self._path.read_bytes()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):
            os.ftruncate(self._file, whole)
        for number, line in enumerate(data[:whole].splitlines(), start=1):
            self._take(number, line)

    def _append(self, record: dict[str, str]) -> None:
        line = (json.dumps(record, ensure_ascii=False) + "\n").encode()
        before = os.fstat(self._file).st_size
        with naming_a_full_disk(self._path.parent):
            try:
                written = os.write(self._file, line)
                if written < len(line):
                    os.write(self._file, line[written:])
                os.fsync(self._file)
            except OSError:
                os.ftruncate(self._file, before)
                raise

    def _take(self, number: int, line: bytes) -> None:
        try:
            record = json.loads(line)
            tasks, pair, rater, verdict = (record[key] for key in ("tasks", "pair", "rater", "verdict"))
        except (ValueError, KeyError, TypeError) as error:
            raise RatingsUnusable(
                f"{self._path} line {number} is no rating; give another --ratings"
            ) from error
        if tasks != self._tasks_id:
            raise RatingsUnusable(
                f"{self._path} line {number} belongs to tasks {tasks}, not {self._tasks_id}; "
                "give another --ratings"
            )
        if verdict == WITHDRAWN and rater in self.given.get(pair, {}):
            self._forget(pair, rater)
        elif verdict in get_args(Verdict) and rater not in self.given.get(pair, {}):
            self._note(pair, rater, verdict)
        else:
            raise RatingsUnusable(
                f"{self._path} line {number}: {rater} cannot say {verdict!r} of {pair} there"
            )

    def _note(self, pair: str, rater: str, verdict: Verdict) -> None:
        self.given.setdefault(pair, {})[rater] = verdict
        self.order.setdefault(rater, []).append(pair)

    def _forget(self, pair: str, rater: str) -> None:
        del self.given[pair][rater]
        self.order[rater].remove(pair)
