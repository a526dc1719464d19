"""Files that are whole or not there."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

from facenet_training.problem import Problem


def write_atomically(path: Path, write: Callable[[IO[bytes]], None]) -> None:
    """Has `write` fill a file beside `path`, syncs it, and renames it into place.

    A kill or a full disk leaves the file that was there before.
    """
    beside = ""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            beside = file.name
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    # PyTorch reports a full disk as a RuntimeError.
    except (OSError, RuntimeError) as error:
        raise Problem(f"{path}: cannot be written: {error}", os.EX_CANTCREAT) from error
    finally:
        if beside and os.path.exists(beside):
            os.unlink(beside)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
