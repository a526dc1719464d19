"""The one error that a person reads."""

import os


class Problem(Exception):
    """Something a person has to do something about: what, where, and what was expected.

    `status` is the exit status, of sysexits.h: EX_USAGE (64), EX_DATAERR (65), EX_NOINPUT (66), EX_UNAVAILABLE (69),
    EX_CANTCREAT (73).
    """

    def __init__(self, message: str, status: int = os.EX_DATAERR):
        super().__init__(message)
        self.status = status

    def __reduce__(self) -> tuple[type["Problem"], tuple[str, int]]:
        # A worker process sends it with its status.
        return Problem, (str(self), self.status)
