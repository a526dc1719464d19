"""Event files as TensorBoard reads them, without TensorBoard.

A file is a row of TFRecords, each a protocol buffer `Event` (tensorflow/core/util/event.proto):

    u64 length │ u32 masked CRC-32C of the length │ Event │ u32 masked CRC-32C of the Event        little-endian

    Event    1: double wall_time   2: int64 step   3: string file_version   5: Summary   7: SessionLog
    Summary  1: Value { 1: string tag   2: float simple_value }, repeated
"""

import os
import struct
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from facenet_training.problem import Problem

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types of protocol buffers."""


class EventFile:
    """Appends scalars to a new event file in `folder`. TensorBoard shows all event files of a folder as one run."""

    def __init__(self, folder: Path, after: int = 0, clock: Callable[[], float] = time.time):
        """Goes on after step `after`: what earlier files of the folder say of later steps is taken back. 0: a new run."""
        self._clock = clock
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.path = _free_name(folder, int(clock()))
            self._file = open(self.path, "xb")
        except OSError as error:
            raise Problem(f"{folder}: no event file can be made: {error.strerror}", os.EX_CANTCREAT) from error
        self._append(0, _field(3, BYTES, b"brain.Event:2"))
        if after > 0:
            start = _field(1, VARINT, _varint(1))
            self._append(after + 1, _field(7, BYTES, start))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Values by tag, at a step of 0 or more. Buffered until `flush`."""
        summary = b"".join(_field(1, BYTES, _value(tag, value)) for tag, value in values.items())
        self._append(step, _field(5, BYTES, summary))

    def flush(self) -> None:
        """Hands everything to the operating system."""
        try:
            self._file.flush()
        except OSError as error:
            raise Problem(f"{self.path}: cannot be written: {error.strerror}", os.EX_IOERR) from error

    def close(self) -> None:
        """Flushes, and ends it."""
        try:
            self._file.close()
        except OSError as error:
            raise Problem(f"{self.path}: cannot be written: {error.strerror}", os.EX_IOERR) from error

    def _append(self, step: int, what: bytes) -> None:
        event = _field(1, FIXED64, struct.pack("<d", self._clock())) + _field(2, VARINT, _varint(step)) + what
        try:
            self._file.write(record(event))
        except OSError as error:
            raise Problem(f"{self.path}: cannot be written: {error.strerror}", os.EX_IOERR) from error


def _free_name(folder: Path, seconds: int) -> Path:
    # TensorBoard looks for "tfevents" in a name, and reads files in the order of their names.
    number = 0
    while (path := folder / f"events.out.tfevents.{seconds:010}.{number:04}").exists():
        number += 1
    return path


def record(data: bytes) -> bytes:
    """A TFRecord."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked_crc(length)) + data + struct.pack("<I", masked_crc(data))


def masked_crc(data: bytes) -> int:
    """CRC-32C, rotated right by 15 bits, plus a constant: TFRecord's guard against CRCs of CRCs."""
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def crc32c(data: bytes) -> int:
    """CRC-32C (Castagnoli; RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _CRC_TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFFFFFF


def _crc_entry(byte: int) -> int:
    for _ in range(8):
        byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
    return byte


_CRC_TABLE = [_crc_entry(byte) for byte in range(256)]


def _value(tag: str, value: float) -> bytes:
    return _field(1, BYTES, tag.encode()) + _field(2, FIXED32, struct.pack("<f", value))


def _field(number: int, wire_type: int, content: bytes) -> bytes:
    length = _varint(len(content)) if wire_type == BYTES else b""
    return _varint(number << 3 | wire_type) + length + content


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
