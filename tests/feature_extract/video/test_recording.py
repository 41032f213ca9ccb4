"""When, where and with what: from tags as cameras write them, and from real files."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import imageio_ffmpeg
import pytest

from feature_extract.video.child import Child, LostError, Message
from feature_extract.video.frames import probe
from feature_extract.video.recording import Recording, kilometres, read_recordings, recording_of
from tests.support.media import counter_video

APPLE = "com.apple.quicktime"
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MAY = datetime(2023, 5, 14, 10, 34, 56, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("tags", "time", "offset"),
    [
        ({f"{APPLE}.creationdate": "2023-05-14T12:34:56+0200"}, MAY, 120),
        ({f"{APPLE}.creationdate": "2023-05-14T12:34:56+02:00"}, MAY, 120),
        ({"creation_time": "2023-05-14T10:34:56.000000Z"}, MAY, None),
        ({"creation_time": "2023-05-14 10:34:56"}, MAY, None),
        ({"DATE_RECORDED": "2023-05-14T05:04:56-05:30"}, MAY, -330),
        # The zone is worth more than the rest, and is written by the camera.
        (
            {
                "creation_time": "2024-01-01T00:00:00.000000Z",
                f"{APPLE}.creationdate": "2023-05-14T12:34:56+0200",
            },
            MAY,
            120,
        ),
        # A clock that was never set, and one that runs ahead; the next best is taken.
        ({"creation_time": "1904-01-01T00:00:00.000000Z"}, None, None),
        ({"creation_time": "1970-01-01T00:00:00.000000Z"}, None, None),
        ({"creation_time": "1970-01-17T03:00:00.000000Z"}, None, None),
        ({"creation_time": "2026-12-02T00:00:00.000000Z"}, None, None),
        ({"creation_time": "2040-02-06T06:28:15.000000Z"}, None, None),
        ({"creation_time": "0000-00-00T00:00:00Z", "date": "2023-05-14T10:34:56Z"}, MAY, None),
        ({"creation_time": "2023-13-44T10:34:56Z"}, None, None),
        ({"creation_time": "2023-05-14T10:34:56+99:00"}, None, None),
        ({"date": "2019"}, None, None),  # of a release
        ({"date": "20190504"}, None, None),
        ({"creation_time": "yesterday"}, None, None),
        ({"creation_time": ""}, None, None),
        ({}, None, None),
    ],
)
def test_times_as_files_write_them(
    tags: dict[str, str], time: float | None, offset: int | None
) -> None:
    said = recording_of(tags, now=NOW)
    assert (said.time, said.offset) == (time, offset)


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+52.5200+013.4050/", (52.52, 13.405)),
        ("+52.5200+013.4050+034.000/", (52.52, 13.405)),
        ("-33.9249+018.4241CRSWGS_84/", None),
        ("-33.9249+018.4241", (-33.9249, 18.4241)),
        ("+5231.2+01324.3/", (52.52, 13.405)),
        ("+523112+0132418/", (52.52, 13.405)),
        ("+00.0000+000.0000/", None),
        ("+99.0000+013.4050/", None),
        ("Berlin", None),
        ("", None),
    ],
)
def test_places_as_files_write_them(text: str, place: tuple[float, float] | None) -> None:
    for name in (f"{APPLE}.location.ISO6709", "location", "location-eng"):
        found = recording_of({name: text}).place
        assert (found is None) == (place is None)
        assert place is None or found == pytest.approx(place, abs=1e-4)


@pytest.mark.parametrize(
    ("tags", "camera"),
    [
        ({f"{APPLE}.make": "Apple", f"{APPLE}.model": "iPhone 13 Pro"}, "Apple iPhone 13 Pro"),
        ({"make": "Canon", "model": "Canon EOS R5"}, "Canon EOS R5"),
        ({"com.android.manufacturer": "Google", "com.android.model": "Pixel 7"}, "Google Pixel 7"),
        ({"handler_name": "GoPro AVC  "}, "GoPro"),
        ({"handler_name": "\x10DJI.AVC"}, "DJI"),
        ({"handler_name": "VideoHandler"}, ""),
        ({"make": "Sony", "handler_name": "GoPro AVC"}, "Sony"),
    ],
)
def test_cameras_as_files_write_them(tags: dict[str, str], camera: str) -> None:
    assert recording_of(tags).camera == camera


def test_the_text_of_a_time_has_its_zone() -> None:
    assert Recording(MAY, 120).text == "2023-05-14T12:34:56+02:00"
    assert Recording(MAY).text == "2023-05-14T10:34:56+00:00"
    assert Recording().text is None
    assert Recording(-1e9, -330).text == "1938-04-24T16:43:20-05:30"


def test_distances_along_the_earth() -> None:
    """Berlin to Potsdam, and across the date line; by the table of a degree, 111.2 km."""
    assert kilometres(52.52, 13.405, 52.39, 13.065) == pytest.approx(27.2, abs=0.2)
    assert kilometres(0, 179.5, 0, -179.5) == pytest.approx(111.2, abs=0.1)
    assert kilometres(10, 20, 10, 20) == 0


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With tags as a phone writes them, by ffmpeg."""
    folder = tmp_path_factory.mktemp("recorded")
    counter_video(folder / "plain.mp4", 1, 10)
    tags = {
        f"{APPLE}.creationdate": "2023-05-14T12:34:56+0200",
        f"{APPLE}.location.ISO6709": "+52.5200+013.4050+034.000/",
        f"{APPLE}.make": "Apple",
        f"{APPLE}.model": "iPhone 13 Pro",
        "creation_time": "2023-05-14T10:40:00Z",
    }
    given = [part for name, text in tags.items() for part in ("-metadata", f"{name}={text}")]
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(folder / "plain.mp4")]
    kept = ["-c", "copy", "-movflags", "use_metadata_tags", str(folder / "phone.mp4")]
    subprocess.run([*command, *given, *kept], check=True)
    return folder / "phone.mp4"


def test_a_real_file_says_it_when_it_is_read_and_by_its_header_alone(film: Path) -> None:
    expected = Recording(MAY, 120, 52.52, 13.405, "Apple", "iPhone 13 Pro")
    assert recording_of(probe(film).tags) == expected
    broken = film.with_name("broken.mp4")
    broken.write_bytes(b"no video")
    gone = film.with_name("gone.mp4")
    plain = film.with_name("plain.mp4")
    found = dict(read_recordings([broken, film, gone, plain]))
    assert found == {film: expected, plain: Recording()}


def test_one_file_that_ends_the_process_costs_no_other(
    film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The child is lost at the second file of each three."""

    class Dying(Child):
        asked = 0

        def next(self, seconds: float, on_wait: Callable[[], None] | None = None) -> Message:
            self.asked += 1
            if self.asked == 2:
                raise LostError("the decoder crashed")
            return super().next(seconds, on_wait)

    monkeypatch.setattr("feature_extract.video.recording.Child", Dying)
    names = [film.with_name(f"{number}.mp4") for number in range(4)]
    for name in names:
        name.write_bytes(film.read_bytes())
    assert [path.name for path, _ in read_recordings(names)] == ["0.mp4", "2.mp4"]
