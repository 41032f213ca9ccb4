"""What a system says of its disks is told apart from what a file holds."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import av
import pytest

from feature_extract.video.faults import DiskFile, in_words, is_fault
from feature_extract.video.frames import NotNowError, VideoError, refusal
from feature_extract.video.source import RefusedError, open_video, packets
from tests.support.media import ffmpeg


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


@pytest.mark.parametrize("ending", ["mp4", "mkv", "webm", "avi", "flv", "ts", "mpg", "ogv"])
@pytest.mark.parametrize("often", ["once", "always"])
def test_a_read_that_fails_within_a_film_is_not_taken_for_its_end_in_any_container(
    ending: str, often: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    film, failed = tmp_path / f"film.{ending}", list[int]()
    codec = {"webm": "libvpx", "mpg": "mpeg2video", "ogv": "libtheora"}.get(ending, "libx264")
    noise = "nullsrc=s=160x90:r=25:d=4,geq=random(1)*255:128:128"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:v", codec, "-b:v", "2M", "-threads", "1", film)
    half = film.stat().st_size // 2

    class Failing(DiskFile):
        def read(self, size: int | None = -1, /) -> bytes:
            if self.tell() >= half and (often == "always" or not failed):
                failed.append(1)
                raise OSError(errno.EIO, os.strerror(errno.EIO))
            return super().read(size) or b""

    def read_through() -> None:
        container, stream = open_video(str(film))
        with container:
            for packet in packets(container, stream):
                assert packet is not None

    read_through()
    monkeypatch.setattr("feature_extract.video.source.DiskFile", Failing)
    with pytest.raises(RefusedError, match="input/output error") as caught:
        read_through()
    assert caught.value.passing


def test_a_place_that_a_file_does_not_have_is_no_fault_of_the_disk(tmp_path: Path) -> None:
    """Injured files name such places, and libav tries them."""
    (tmp_path / "a").write_bytes(b"12345678")
    with DiskFile(tmp_path / "a") as file:
        assert file.seek(-1) == -errno.EINVAL
        assert file.seek(-2, os.SEEK_END) == 6
        assert file.read(9) == b"78"
