"""What a system says of its disks is told apart from what a file holds."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from feature_extract.video.faults import in_words, is_fault
from feature_extract.video.frames import NotNowError, VideoError, refusal
from feature_extract.video.source import RefusedError, packets


def of_libav(number: int) -> av.FFmpegError:
    try:
        av.error.err_check(-number, "film.mp4")
    except av.FFmpegError as error:
        return error
    raise AssertionError("libav knows no such error")


@pytest.mark.parametrize("name", ["ESTALE", "EACCES", "ENOTCONN", "ETIMEDOUT", "EHOSTDOWN"])
def test_reading_that_a_system_breaks_off_is_no_damage(name: str) -> None:
    error = of_libav(getattr(errno, name))
    assert error.errno is not None

    class Container:
        def demux(self) -> Iterator[str]:
            yield "a packet"
            raise error

    found: list[object] = []
    with pytest.raises(RefusedError, match=os.strerror(error.errno).lower()) as caught:
        found.extend(packets(Container()))
    assert found == ["a packet"]
    assert caught.value.passing


@pytest.mark.parametrize("error", [of_libav(errno.EIO), of_libav(errno.EINVAL)])
def test_what_libav_says_of_cut_files_too_may_be_damage(error: av.FFmpegError) -> None:
    class Container:
        def demux(self) -> Iterator[object]:
            raise error
            yield

    assert list(packets(Container())) == [None]
    assert not is_fault(error, of_libav=True)


def test_only_systems_say_faults() -> None:
    assert is_fault(OSError(errno.EIO, "Input/output error"))
    assert not is_fault(FileNotFoundError(errno.ENOENT, "No such file"))
    assert not is_fault(MemoryError())  # a hostile header asks for much
    assert not is_fault(OSError("image file is truncated"))
    assert in_words(OSError(errno.ESTALE, "whatever")) == os.strerror(errno.ESTALE).lower()


def test_a_refusal_that_passes_is_an_error_of_its_own(tmp_path: Path) -> None:
    assert type(refusal(tmp_path / "a.mp4", reason="no", passing=True)) is NotNowError
    assert type(refusal(tmp_path / "a.mp4", reason="no", passing=False)) is VideoError
