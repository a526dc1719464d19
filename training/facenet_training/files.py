"""Files that are whole or not there."""

import io
import os
from pathlib import Path
from typing import Any

import torch

from facenet_training.problem import Problem


def save(content: Any, path: Path) -> None:
    """`torch.save`, whole or not at all.

    Through memory: where the disk is full, PyTorch 1.13 ends the whole process.
    """
    serialised = io.BytesIO()
    torch.save(content, serialised)
    write(path, serialised.getbuffer())


def write(path: Path, content: bytes | memoryview) -> None:
    """Writes a file beside `path`, syncs it, renames it into place. A kill or a full disk leaves what was there before."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(beside, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise Problem(f"{path}: cannot be written: {error.strerror}", os.EX_CANTCREAT) from error
    finally:
        beside.unlink(missing_ok=True)


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
