"""Long work in pieces, with a progress bar once it is long; Ctrl-C stops it between two of them."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from threadpoolctl import threadpool_limits

PATIENCE = 2.0
"""Seconds without a progress bar."""


def one_thread() -> threadpool_limits:
    """BLAS held to one thread, for work of many small matrices.

    Threads of BLAS wait for each other at each of them: three correlated effects took three times as long with two threads
    as with one on idle processors, and fourteen times beside another process.
    """
    return threadpool_limits(1, "blas")


def somebody_watches() -> bool:
    """Whether there is a terminal or a notebook to show progress, and not a file or a pipe."""
    console = Console()
    return console.is_terminal or console.is_jupyter or "marimo" in sys.modules


class Work:
    """Runs pieces of work in order.

    They run in this thread: NumPy's many short operations wait for each other's lock in two threads longer
    than they gain.

    Args:
        watched: Whether to show progress.
    """

    def __init__(self, *, watched: bool) -> None:
        self.watched, self.start = watched, time.monotonic()
        self.bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.bar is not None:
            self.bar.stop()

    @contextmanager
    def counting(self, what: str) -> Iterator[Callable[[], None]]:
        """A function to be called at each step of a loop of unknown length; `what` stands beside the bar."""
        task: TaskID | None = None

        def count() -> None:
            nonlocal task
            if self.watched and time.monotonic() - self.start > PATIENCE:
                self.bar = self.bar or _bar()
                task = self.bar.add_task(what, total=None) if task is None else task
                self.bar.advance(task)

        yield count

    def each[T, R](self, what: str, run: Callable[[T], R], pieces: Sequence[T]) -> Iterator[R]:
        """The results of `run` on each piece, in order; `what` stands beside the bar."""
        task = None
        for done, piece in enumerate(pieces, 1):
            yield run(piece)
            if self.watched and time.monotonic() - self.start > PATIENCE:
                self.bar = self.bar or _bar()
                task = self.bar.add_task(what, total=len(pieces)) if task is None else task
                self.bar.update(task, completed=done)
        if self.bar is not None and task is not None:
            self.bar.remove_task(task)


def _bar() -> Progress:
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), transient=True)
    bar.start()
    return bar
