"""The library as the page lists it: every video, and every file on its way in.

find_video(library, 3)                                  # or a NotFoundError
video_view(video, queued=False, access=Access(), uploads=uploads)["playable"]
"""

from collections.abc import Collection
from typing import Final

from feature_extract.transcript import SENSES, Sense
from feature_extract.video.recording import Recording
from vmr.library.catalogue import readable
from vmr.library.jobs import Job, Progress
from vmr.library.store import Library, LibraryError, Video
from vmr.page.access import Access, NotFoundError
from vmr.page.uploads import Uploads
from vmr.page.views import JobView, TranscriptView, VideoView

# What every current browser plays by itself.
_PLAYED_CODECS: Final = frozenset(("h264", "vp8", "vp9", "av1"))
_ISO_SUFFIXES: Final = frozenset((".mp4", ".m4v", ".mov"))
_PLAYED_SUFFIXES: Final = _ISO_SUFFIXES | {".webm"}
_LATEST_ISO_CLOCK: Final = 0.5  # seconds


def find_video(library: Library, id: int) -> Video:
    """The video with this id.

    Raises:
        NotFoundError: there is none.
    """
    try:
        return library.video(id)
    except LibraryError as error:
        raise NotFoundError(f"there is no video {id}") from error


def video_view(
    video: Video,
    *,
    queued: bool,
    access: Access,
    uploads: Uploads,
    senses: Collection[Sense] = (),
) -> VideoView:
    """One video as the page lists it; where it lies only for those who may see paths."""
    view: VideoView = {
        "id": video.id,
        "name": video.name,
        "state": video.state,
        "queued": queued,
        "reason": access.reason(video.reason),
        "progress": video.progress,
        "searchable": video.searchable,
        "duration": video.duration,
        "width": video.width,
        "height": video.height,
        "fps": video.fps,
        "codec": video.codec,
        "origin": max(0.0, video.origin),  # below zero, browsers begin at 0 as we do
        "rows": video.rows,
        "copied": bool(uploads.copies(video)),
        "added": video.added,
        "modified": video.modified,
        "playable": access.originals and plays_in_browsers(video),
        "senses": list(senses),
        "recorded": video.recording.time,
        "offset": video.recording.offset,
        "camera": video.recording.camera,
    }
    if access.paths:  # not "path": Gradio's client would try to download that
        view["file"] = readable(video.path)
        view["folder"] = readable(video.path.parent)
        view["place"] = place_view(video.recording)
    return view


def transcript_view(library: Library, video: int) -> TranscriptView:
    """What is said and written in a video, line by line."""
    found = [library.transcripts.of(video, sense) for sense in SENSES]
    return {
        "tracks": [
            {
                "sense": transcript.sense,
                "origin": transcript.origin,
                "language": transcript.language,
                "lines": [
                    {"start": round(span.start, 3), "end": round(span.end, 3), "text": span.text}
                    for span in transcript.spans
                ],
            }
            for transcript in found
            if transcript is not None and transcript.spans
        ]
    }


def place_view(recording: Recording) -> list[float] | None:
    """Latitude and longitude; who may not see paths is not shown where somebody filmed, either."""
    return None if recording.place is None else [*recording.place]


def job_view(job: Job, progress: Progress, access: Access) -> JobView:
    """One file on its way in, with the time left at the speed of now."""
    speed = progress.bytes_per_second
    left = job.size_bytes * (1 - job.fraction) / speed if speed and job.open else None
    return {
        "id": job.video,
        "name": readable(job.path.name),
        "state": job.state,
        "reason": access.reason(job.reason),
        "fraction": job.fraction,
        "seconds_left": left,
    }


def is_shown(job: Job) -> bool:
    """What is done or was there before needs no line; what was refused does."""
    return job.open or job.state in ("refused", "waiting")


def plays_in_browsers(video: Video) -> bool:
    """Whether browsers play this file without help; the page asks for a preview otherwise.

    Chromium takes the end of an MP4 whose clock starts late to be that much too early, and seeks no
    further.
    """
    suffix = video.path.suffix.lower()
    if suffix in _ISO_SUFFIXES and video.origin > _LATEST_ISO_CLOCK:
        return False
    return video.codec in _PLAYED_CODECS and suffix in _PLAYED_SUFFIXES
