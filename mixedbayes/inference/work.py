"""Long work in pieces: over threads, with a progress bar once it is long, stopped at once by Ctrl-C."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

PATIENCE = 2.0
"""Seconds without a progress bar."""


class Work:
    """Runs pieces of work in order.

    Args:
        threads: How many pieces at once.
        watched: Whether to show progress.
    """

    def __init__(self, threads: int, *, watched: bool) -> None:
        self.pool, self.threads = ThreadPoolExecutor(threads), threads
        self.watched, self.start = watched, time.monotonic()
        self.bar: Progress | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pool.shutdown(wait=True, cancel_futures=True)
        if self.bar is not None:
            self.bar.stop()

    def each[T, R](self, what: str, run: Callable[[T], R], pieces: Sequence[T]) -> Iterator[R]:
        """The results of `run` on each piece, in order; `what` stands beside the bar."""
        if len(pieces) == 1:  # threads would only add their start
            yield run(pieces[0])
            return
        ahead: deque[Future[R]] = deque()  # few at a time: what is done and not yet taken is in memory
        task, left = None, iter(pieces)
        for done in range(1, len(pieces) + 1):
            while len(ahead) <= self.threads and (piece := next(left, None)) is not None:
                ahead.append(self.pool.submit(run, piece))
            yield ahead.popleft().result()
            if self.watched and time.monotonic() - self.start > PATIENCE:
                self.bar = self.bar or _bar()
                task = self.bar.add_task(what, total=len(pieces)) if task is None else task
                self.bar.update(task, completed=done)
        if self.bar is not None and task is not None:
            self.bar.remove_task(task)


def _bar() -> Progress:
    bar = Progress(
        TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn(), console=Console(stderr=True), transient=True
    )
    bar.start()
    return bar
