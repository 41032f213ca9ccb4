"""A library with an encoder of its own, the whole way: files, rows, index, search, change."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.open import open_encoder
from feature_extract.extract import Extractor, encode
from tests.support.media import counter_video
from tests.support.tiny_encoders import tiny_clip, tiny_siglip, tiny_xclip
from vmr.__main__ import main
from vmr.cli.choosing import take_encoder
from vmr.library.encoders import chosen, extractor_of, not_read, open_chosen
from vmr.library.store import Library, LibraryError
from vmr.model.encoded import EncodedModel
from vmr.search.mismatch import mismatches
from vmr.search.model import basis_folder, model_of
from vmr.search.picture import PictureReader
from vmr.search.searcher import Searcher

pytestmark = pytest.mark.usefixtures("words_once")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("encoded")
    tiny_clip(folder / "clip")
    tiny_siglip(folder / "siglip")
    (folder / "films").mkdir()
    counter_video(folder / "films" / "a.mp4", seconds=6)
    counter_video(folder / "films" / "b.mp4", seconds=2)
    return folder


@pytest.fixture(scope="module")
def library(place: Path) -> Library:
    """Indexed with the tiny CLIP, through the command line."""
    folder = str(place / "library")
    films, clip = str(place / "films"), str(place / "clip")
    assert main(["index", films, "--library", folder, "--encoder", clip]) == 0
    return Library(place / "library")


def test_the_way_through(library: Library, place: Path) -> None:
    choice, model = chosen(library), model_of(library)
    assert choice is not None
    assert isinstance(model, EncodedModel)
    features = library.features(1)
    assert list(features.blocks)[-2:] == ["motion", choice.block]
    encoder = open_encoder(str(place / "clip"), texts=False)
    again = encode(place / "films" / "a.mp4", encoder)
    assert np.allclose(features.columns([choice.block]), again, atol=0.02)
    plain = Extractor().extract(place / "films" / "a.mp4").features
    assert np.array_equal(features.columns(plain.blocks), plain.rows)

    searcher = Searcher(library, model)
    asked = model.encode_query(model.query("ein Hund am Strand"))
    assert asked.shape == (model.width,)
    looks = features.columns([choice.block]).astype(np.float32)
    cosines = looks @ asked[: choice.width] / np.linalg.norm(looks, axis=1)
    clips = model.encode_clips(features.columns(model.blocks))
    own = model.space.looks(clips) @ model.space.looks(asked)
    assert np.allclose(own, cosines, atol=1e-3)
    for question in ("ein Hund", "a dog AND a cat", "a dog -cat", "a dog THEN a cat"):
        found = searcher.search(question)
        assert found.moments, question
        assert not found.unknown + found.suggestions, question
    assert searcher.search("a dog runs then it jumps").moments
    assert searcher.search("zooms in").query == "zooms in"
    assert searcher.strength_curve("a dog", 1).shape == (len(features.rows),)
    picture = np.zeros((40, 60, 3), np.uint8)
    row = model.see_picture(picture)
    assert searcher.like_picture(row).moments
    assert not searcher.like(1, 2.0, 3.0).query.startswith("a picture")
    assert PictureReader(model)._network is None


def test_another_encoder_and_back(library: Library, place: Path) -> None:
    """The rows of both stay, so that each is read in once."""
    before = chosen(library)
    assert before is not None
    old = Searcher(library, model_of(library))
    answered = old.search("a dog").moments
    assert take_encoder(library, str(place / "siglip")) == []
    after = chosen(library)
    assert after is not None
    assert {before.block, after.block} <= library.features(1).blocks.keys()
    assert old.search("a dog").moments == answered  # of the one before, still open
    assert Searcher(library, model_of(library)).search("a dog").moments
    take_encoder(library, "default")
    assert not isinstance(model_of(library), EncodedModel)
    assert Searcher(library, model_of(library)).search("a man").query == "a man"
    take_encoder(library, str(place / "clip"))
    assert Searcher(library, model_of(library)).search("a dog").moments == answered


def test_an_encoder_of_several_pictures(library: Library, place: Path, tmp_path: Path) -> None:
    before, film = chosen(library), place / "films" / "a.mp4"
    assert before is not None
    tiny_xclip(tmp_path / "xclip")
    assert take_encoder(library, str(tmp_path / "xclip")) == []
    model = model_of(library)
    assert isinstance(model, EncodedModel)
    searcher = Searcher(library, model)
    assert searcher.search("a dog").moments
    assert searcher.like_picture(model.see_picture(np.zeros((40, 60, 3), np.uint8))).moments
    together = Extractor(encoder=open_encoder(str(tmp_path / "xclip"), texts=False)).extract(film)
    (block,) = model.blocks.keys() - {"motion"}
    own = library.features(1).columns([block])
    assert np.allclose(together.features.columns([block]), own, atol=0.02)
    take_encoder(library, before.name)


def test_a_prompt_is_put_around_questions_and_kept(
    library: Library, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = chosen(library)
    assert before is not None
    plain = model_of(library)
    rescan = ["rescan", "--library", str(library.folder)]
    asked = ["--encoder", before.name, "--prompt", "the beach of a {}"]
    assert main([*rescan, *asked]) == 0
    choice, model = chosen(library), model_of(library)
    assert choice is not None
    assert (choice.prompt, choice.digest) == ("the beach of a {}", before.digest)
    encoder = open_encoder(before.name, pictures=False)
    for own, text in ((plain, "dog"), (model, "the beach of a dog")):
        vector = own.encode_query(own.query("dog"))[: choice.width]
        assert np.allclose(vector, encoder.read([text])[0], atol=1e-5)
    assert basis_folder(library, choice) != basis_folder(library, before)
    assert Searcher(library, model).search("dog").moments
    for wrong, said in (
        (["--encoder", before.name, "--prompt", "x"], "needs one {}"),
        (["--prompt", "a {}"], "goes with --encoder"),
    ):
        capsys.readouterr()
        assert main([*rescan, *wrong]) == 1
        assert said in capsys.readouterr().err
        assert chosen(library) == choice
    take_encoder(library, before.name)
    assert chosen(library) == before


def test_a_bad_name_leaves_all_as_it_was(library: Library, place: Path) -> None:
    before = chosen(library)
    for name in ("siglip2-bas", str(place / "none"), str(place / "films")):
        with pytest.raises(EncoderError):
            take_encoder(library, name)
    assert chosen(library) == before


def test_what_is_kept_is_made_anew_when_damaged(library: Library) -> None:
    choice = chosen(library)
    assert choice is not None
    weights = basis_folder(library, choice) / "weights.safetensors"
    fingerprint = model_of(library).fingerprint
    weights.write_bytes(b"nothing")
    assert model_of(library).fingerprint == fingerprint
    assert weights.stat().st_size > 1000


def test_a_damaged_setting_is_set_anew(tmp_path: Path) -> None:
    library = Library(tmp_path / "library")
    library.settings.set("encoder", "{")
    with pytest.raises(LibraryError, match="rescan --encoder NAME"):
        chosen(library)
    assert take_encoder(library, "default") == []
    assert chosen(library) is None


def test_what_could_not_be_read_is_said_and_read_when_it_is_there(
    library: Library, place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, film = chosen(library), place / "films" / "b.mp4"
    assert before is not None
    other = str(tiny_clip(tmp_path / "other", seed=5))
    film.rename(tmp_path / "b.mp4")
    (line,) = take_encoder(library, other)
    assert line.startswith(f"{film}: not read with {other} (")
    rescan = ["rescan", "--library", str(library.folder)]
    with monkeypatch.context() as patch:
        patch.delattr("vmr.library.encoders.open_chosen")  # nothing is there to be read with it
        assert main(rescan) == 0
        assert not_read(library) == []  # it is missing, which is said anyway
    (tmp_path / "b.mp4").rename(film)
    library.check_presence()
    assert [video.path for video in not_read(library)] == [film]
    (note,) = [m for m in mismatches(library, model_of(library)) if m.part == "encoder"]
    assert "b.mp4 could not be read with it, and is not searched" in note.finding
    assert main(rescan) == 0
    assert not_read(library) == []
    searcher = Searcher(library, model_of(library))
    for video in library.videos():
        assert searcher.search("a dog", video=video.id).moments, video.name
    with monkeypatch.context() as patch:
        patch.delattr("vmr.library.encoders.open_chosen")
        assert main(rescan) == 0
    take_encoder(library, before.name)


def test_another_recording_of_the_same_name_is_not_read_for_a_video(
    library: Library, place: Path
) -> None:
    """As long and as large: its pictures would be searched as those of the other."""
    film, kept, before = place / "films" / "b.mp4", place / "b.mp4", chosen(library)
    assert before is not None
    film.rename(kept)
    take_encoder(library, "default")
    content = bytearray(kept.read_bytes())
    content[-1] ^= 1
    film.write_bytes(content)
    os.utime(film, ns=(kept.stat().st_atime_ns, kept.stat().st_mtime_ns))
    tiny_clip(place / "late", seed=9)
    said = "; ".join(take_encoder(library, str(place / "late")) or ())
    assert "b.mp4: not read with" in said
    assert "another recording lies there now; `rescan` reads it" in said
    assert [video.name for video in not_read(library)] == ["b.mp4"]
    kept.replace(film)
    assert take_encoder(library, str(place / "late")) == []
    assert not_read(library) == []
    take_encoder(library, before.name)


def test_a_folder_is_found_again_from_elsewhere(
    library: Library, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(place)
    take_encoder(library, "clip")
    choice = chosen(library)
    assert choice is not None
    assert choice.name == str(place / "clip")


def test_an_encoder_that_is_gone_or_another_is_one_line(
    library: Library,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The library and its choice stay as they were, and all is well when the encoder is back."""
    monkeypatch.setattr("vmr.cli.encoders.FEWEST_ROWS", 1)
    clip, before = place / "clip", chosen(library)
    command = ("--library", str(library.folder))
    clip.rename(place / "elsewhere")
    gone = f"{clip}: no such folder; or `rescan --encoder NAME` takes another one"
    for spoil, said in ((None, gone), (place / "siglip", "another revision than the library was")):
        if spoil:
            shutil.copytree(spoil, clip)
        for asked in (["search", "a bird"], ["calibrate"]):
            capsys.readouterr()
            assert main([*asked, *command]) == 1
            lines = capsys.readouterr().err.splitlines()
            (line,) = (line for line in lines if not line.startswith("note: "))
            assert said in line
        with pytest.raises(EncoderError, match=re.escape(said)):
            extractor_of(library)()
        assert chosen(library) == before
    shutil.rmtree(clip)
    (place / "elsewhere").rename(clip)
    assert main(["search", "a bird", *command]) == 0


def test_pictures_are_seen_on_the_gpu_where_there_is_one_and_questions_read_on_the_processor(
    library: Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    monkeypatch.setattr(
        "feature_extract.encoders.open.open_encoder",
        lambda *_, **told: taken.append(told["device"]),
    )
    choice = chosen(library)
    assert choice is not None
    for pictures in (True, False):
        open_chosen(choice, pictures=pictures, texts=not pictures)
    assert taken == ["auto", "cpu"]
