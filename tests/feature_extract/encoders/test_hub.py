"""Encoders fetched from a hub: a small server of our own, asked by the hub's own client."""

import os
import subprocess
import sys
from pathlib import Path

from tests.support.tiny_encoders import tiny_clip

SCENES = """
import os, shutil, sys
from pathlib import Path
from tests.support.tiny_hub import serving
place = Path(sys.argv[1])
with serving({}) as hub:
    os.environ |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(place / "home")}
    from huggingface_hub import constants, file_download
    file_download.time.sleep = lambda _: None
    constants.DOWNLOAD_CHUNK_SIZE = 4096
    from feature_extract.encoders import hub as ours
    from feature_extract.encoders.errors import EncoderError
    from feature_extract.encoders.source import look_at

    def fails(name, revision="main"):
        try:
            ours.fetch(name, revision)
        except EncoderError as error:
            print("said:", error)
        else:
            raise SystemExit(f"{name} was fetched")

    hub.folders["me/clip"] = place / "clip"
    hub.folders["me/pickled"] = place / "pickled"
    (place / "pickled").mkdir()
    (place / "pickled" / "config.json").write_text('{"model_type": "clip"}')
    (place / "pickled" / "pytorch_model.bin").write_bytes(b"x")
    fails("me/none")
    fails("me/clip", "no-such-branch")
    fails("me/pickled")
    fails("not a name/x")
    hub.gated = True
    fails("me/clip")
    hub.gated, hub.damaged = False, True
    fails("me/clip")
    hub.damaged, usage = False, shutil.disk_usage
    ours.shutil.disk_usage = lambda place: usage(place)._replace(free=1)
    fails("me/clip")
    ours.shutil.disk_usage = usage
    hub.ranges.clear()
    hub.stop_after = 20_000
    folder = ours.fetch("me/clip")
    print("ranges:", hub.ranges)
    assert look_at(folder).digest == look_at(place / "clip").digest
    asked = hub.asked
ours.fetch("me/clip")
print("again:", hub.asked - asked)
fails("me/other")
print("done")
"""


def test_fetching(tmp_path: Path) -> None:
    tiny_clip(tmp_path / "clip")
    done = subprocess.run(
        [sys.executable, "-c", SCENES, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env=os.environ | {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_TELEMETRY": "1"},
    )
    assert "done" in done.stdout, done.stdout + done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("said:")]
    expected = [
        "me/none: no such folder here, and no such repository",
        "me/clip: no revision no-such-branch",
        "only pickled ones (pytorch_model.bin)",
        "not a name/x: not the name of a repository",
        "me/clip: gated; accept its licence",
        "model.safetensors came damaged and is deleted; try again",
        "make room, or set HF_HOME",
        "where there is none, put its .json files",
    ]
    for line, part in zip(said, expected, strict=True):
        assert part in line
    assert "me/clip: 0 MB from http://127.0.0.1" in done.stderr
    assert "licence mit" in done.stderr
    # A break is taken up where it was, and what was fetched is not asked for again.
    first, second = done.stdout.split("ranges: ")[1].splitlines()[0].strip("[]").split(", ")
    assert first == "''"
    assert second.startswith("'bytes=")
    assert not second.startswith("'bytes=0-")
    assert "again: 0" in done.stdout
