"""Safetensors files looked at by their headers, before a library reads them.

    check_whole(path)                       # EncoderError: half a download, a pointer, a pickle ...
    numbers_in(path)                        # 151_277_313
    check_room("clip-b32", paths)           # EncoderError: it does not fit into the memory

The format is one length, one table of names, types, shapes and places, and then the numbers.
"""

import ctypes
import json
import math
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from feature_extract.encoders.errors import EncoderError

_LENGTH: Final = 8
"""Bytes at the beginning that say how long the table is."""
_LONGEST_TABLE: Final = 100 << 20
"""What the format allows; more is no length, but the beginning of another kind of file."""
_BYTES: Final = 4
"""Of a number in memory: encoders are loaded in float32."""
_OTHERS: Final = (
    (b"version https://git-lfs", "a pointer of git LFS and not the weights; `git lfs pull`"),
    (b"PK", "a pickle by another name, which can run code; take the same weights as safetensors"),
    (b"\x80", "a pickle by another name, which can run code; take the same weights as safetensors"),
    (b"<", "a web page and not the weights; download the file itself"),
)
"""How files begin that are called weights and are none, and what they are."""
_MEMINFO: Final = Path("/proc/meminfo")
_GROUP: Final = Path("/sys/fs/cgroup")
"""Where Linux says what a container may use."""


def check_whole(path: Path) -> None:
    """See that a file is safetensors from its first byte to its last.

    Raises:
        EncoderError: it is not, and what it is instead.
    """
    table = _table(path)
    spans = [entry["data_offsets"] for entry in table.values()]
    size = path.stat().st_size
    whole = _LENGTH + _table_bytes(path) + max((end for _, end in spans), default=0)
    if size < whole:
        raise _half(path, size, whole)
    if size > whole:
        raise EncoderError(f"{path}: damaged ({size - whole} bytes too many); fetch it again")


def numbers_in(path: Path) -> int:
    """How many numbers a file of weights holds. Raises as `check_whole`."""
    return sum(math.prod(entry["shape"]) for entry in _table(path).values())


def check_room(name: str, paths: Sequence[Path]) -> None:
    """See that an encoder's weights fit into the memory that is free.

    Raises:
        EncoderError: they do not: the system would end the process without a word.
    """
    free = free_memory()
    needed = _BYTES * sum(map(numbers_in, paths))
    if free is not None and needed > free:
        raise EncoderError(
            f"{name}: needs {needed / 1e6:.0f} MB of memory, where {free / 1e6:.0f} MB are free; "
            "close other programs, or take a smaller one, such as clip-b32"
        )


def free_memory() -> int | None:
    """Bytes that this process may still ask for, swapping included; None where nobody says.

    macOS does not say what is free in a way that Python reads; there it is all that is built in.
    """
    if sys.platform == "win32":
        return _free_on_windows()
    if _MEMINFO.is_file():
        lines = (line.split() for line in _MEMINFO.read_text().splitlines())
        said = {words[0].rstrip(":"): 1024 * int(words[1]) for words in lines if len(words) > 1}
        if "MemAvailable" in said:
            free = said["MemAvailable"] + said.get("SwapFree", 0)
            return min(free, _free_in_container(free))
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, OSError):
        return None


def _free_in_container(otherwise: int) -> int:
    """What the limits of a Linux container leave, without files that are only kept in memory."""
    try:
        most = (_GROUP / "memory.max").read_text().strip()
        if most == "max":
            return otherwise
        stat = (_GROUP / "memory.stat").read_text().split()
        used = int((_GROUP / "memory.current").read_text())
        files = int(stat[stat.index("inactive_file") + 1])
        return max(0, int(most) - used + files)
    except (OSError, ValueError, IndexError):
        return otherwise


def _free_on_windows() -> int | None:
    if sys.platform != "win32":  # for the type checker
        return None

    class Status(ctypes.Structure):
        _fields_ = (
            ("length", ctypes.c_ulong),
            ("load", ctypes.c_ulong),
            *((f"bytes_{i}", ctypes.c_ulonglong) for i in range(7)),
        )

    status = Status(length=ctypes.sizeof(Status))
    if not ctypes.windll.kernel32.GlobalMemoryStatusEx(ctypes.byref(status)):
        return None
    return int(status.bytes_3)  # all physical memory, free of it, all with swap, free of that


def _table_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(file.read(_LENGTH), "little")


def _table(path: Path) -> dict[str, Any]:
    """Type, shape and place of each tensor by its name."""
    size = path.stat().st_size
    with path.open("rb") as file:
        begin = file.read(64)
        length = int.from_bytes(begin[:_LENGTH], "little")
        for mark, what in _OTHERS:
            if begin.startswith(mark) and length > _LONGEST_TABLE:
                raise EncoderError(f"{path}: {what}")
        if length > _LONGEST_TABLE:
            raise EncoderError(f"{path}: no safetensors, whatever it is called")
        if size < _LENGTH + max(length, 2):  # the shortest table is {}
            raise _half(path, size, _LENGTH + length)
        file.seek(_LENGTH)
        content = file.read(length)
    try:
        table = json.loads(content)
        table.pop("__metadata__", None)
        for entry in table.values():
            if not all(isinstance(n, int) for n in (*entry["shape"], *entry["data_offsets"])):
                raise ValueError("places are not numbers")
            _, _ = entry["data_offsets"]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise EncoderError(f"{path}: damaged (its table is none); fetch it again") from error
    return dict(table)


def _half(path: Path, size: int, whole: int) -> EncoderError:
    return EncoderError(
        f"{path}: half a download ({size} of {whole} bytes or more are there); fetch it again"
    )
