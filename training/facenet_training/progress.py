"""How far it is, on standard error: tqdm's bar if it is installed, else our own; a line at the end where nobody watches."""

import sys
from types import TracebackType
from typing import Any

try:
    from tqdm import tqdm
except ImportError:
    tqdm = None

WIDTH = 30


class Progress:
    """A bar from 0 to `total`, used in a `with`."""

    def __init__(self, title: str, total: int):
        self._title, self._total, self._done, self._note = title, total, 0, ""
        self._terminal = sys.stderr.isatty()
        self._bar: Any = tqdm(total=total, desc=title) if tqdm and self._terminal else None

    def advance(self, by: int = 1, note: str = "") -> None:
        """`by` more is done. `note` stands behind the bar until the next one."""
        self._done += by
        self._note = note or self._note
        if self._bar is not None:
            self._bar.set_postfix_str(self._note, refresh=False)
            self._bar.update(by)
        elif self._terminal:
            full = WIDTH * self._done // max(self._total, 1)
            print(f"\r{self._title} [{'#' * full:{WIDTH}}] {self._counts()}\x1b[K", end="", file=sys.stderr, flush=True)

    def _counts(self) -> str:
        return f"{self._done}/{self._total} {self._note}".rstrip()

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._terminal:
            print(file=sys.stderr)
        elif error is None:
            print(f"{self._title} {self._counts()}", file=sys.stderr)
