import itertools
import struct
from typing import Any

from facenet_training.event_file import EventFile, crc32c
from facenet_training.problem import Problem
from tests.support import InFolder


def records(data: bytes) -> list[bytes]:
    """The contents of TFRecords, their CRCs checked."""
    found = []
    while data:
        length, length_crc = struct.unpack_from("<QI", data)
        content = data[12 : 12 + length]
        (content_crc,) = struct.unpack_from("<I", data, 12 + length)
        assert unmask(length_crc) == crc32c(data[:8]) and unmask(content_crc) == crc32c(content)
        found.append(content)
        data = data[16 + length :]
    return found


def unmask(masked: int) -> int:
    rotated = (masked - 0xA282EAD8) & 0xFFFFFFFF
    return (rotated << 15 | rotated >> 17) & 0xFFFFFFFF


def fields(message: bytes) -> list[tuple[int, Any]]:
    """Numbers and contents of a protocol buffer's fields."""
    found: list[tuple[int, Any]] = []
    at = 0

    def varint() -> int:
        nonlocal at
        value = 0
        for shift in itertools.count(0, 7):
            value |= (message[at] & 0x7F) << shift
            at += 1
            if message[at - 1] < 0x80:
                return value
        raise AssertionError

    while at < len(message):
        number, wire_type = divmod(varint(), 8)
        if wire_type == 0:
            found.append((number, varint()))
            continue
        length = {1: 8, 5: 4}.get(wire_type) or varint()
        content = message[at : at + length]
        at += length
        packed = {1: "<d", 5: "<f"}.get(wire_type)
        found.append((number, struct.unpack(packed, content)[0] if packed else content))
    return found


class EventFiles(InFolder):
    def test_are_read_back(self) -> None:
        clock = iter([1000.5, 1000.5, 1001.25, 1002.0])
        events = EventFile(self.folder, clock=lambda: next(clock))
        events.scalars(3, {"loss": 0.5, "späte/rate": -1.25})
        events.scalars(300, {"loss": 0.25})
        events.close()
        first, second, third = (dict(fields(content)) for content in records(events.path.read_bytes()))
        self.assertEqual(first, {1: 1000.5, 2: 0, 3: b"brain.Event:2"})
        self.assertEqual((second[1], second[2], third[2]), (1001.25, 3, 300))
        values = [dict(fields(value)) for _, value in fields(second[5])]
        self.assertEqual([(v[1].decode(), v[2]) for v in values], [("loss", 0.5), ("späte/rate", -1.25)])

    def test_of_a_resumed_run_take_back_what_came_after_the_checkpoint(self) -> None:
        for number in range(2):
            events = EventFile(self.folder, after=40 * number, clock=lambda: 7.0)
            events.close()
        names = sorted(path.name for path in self.folder.iterdir())
        self.assertEqual(names, [f"events.out.tfevents.0000000007.000{number}" for number in range(2)])
        start = dict(fields(records(events.path.read_bytes())[1]))
        self.assertEqual((start[2], fields(start[7])), (41, [(1, 1)]))

    def test_have_the_standards_crc(self) -> None:
        # RFC 3720, appendix B.4, and the usual check value.
        self.assertEqual(crc32c(b"123456789"), 0xE3069283)
        self.assertEqual(crc32c(bytes(32)), 0x8A9136AA)

    def test_in_a_place_that_cannot_be_written_are_an_error(self) -> None:
        (self.folder / "file").write_bytes(b"")
        with self.assertRaisesRegex(Problem, "no event file can be made"):
            EventFile(self.folder / "file")
