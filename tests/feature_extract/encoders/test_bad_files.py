"""What is no encoder, or half of one: each is refused in one line that says what to do."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import AutoImageProcessor, AutoTokenizer, CLIPProcessor

from feature_extract.encoders import weight_files
from feature_extract.encoders.encoder import Encoder
from feature_extract.encoders.errors import EncoderError
from feature_extract.encoders.open import find, open_encoder
from feature_extract.encoders.preparation import of_open_clip
from feature_extract.encoders.source import look_at
from feature_extract.encoders.weight_files import check_room, free_memory, numbers_in
from tests.support.tiny_encoders import tiny_clip, word_tokenizer

Spoil = Callable[[Path], object]
WEIGHTS, INDEX = "model.safetensors", "model.safetensors.index.json"
EVIL = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_clip(tmp_path_factory.mktemp("whole") / "clip")


def says(file: str, part: str = "", **settings: Any) -> Spoil:
    """Settings of a JSON file, or of a table in it, that are others."""

    def spoil(folder: Path) -> None:
        found = json.loads((folder / file).read_text())
        (found[part] if part else found).update(settings)
        (folder / file).write_text(json.dumps(found))

    return spoil


def holds(file: str, content: bytes) -> Spoil:
    """A file with another content."""
    return lambda folder: Path(folder / file).write_bytes(content)


def called(name: str) -> Spoil:
    """The weights by another name."""
    return lambda folder: Path(folder / WEIGHTS).rename(folder / name)


def weighs(change: Callable[[dict[str, torch.Tensor]], object]) -> Spoil:
    """Weights that are others."""

    def spoil(folder: Path) -> None:
        state = load_file(folder / WEIGHTS)
        change(state)
        save_file(state, folder / WEIGHTS, {"format": "pt"})

    return spoil


def spread(index: object) -> Spoil:
    """Weights in several files, by their index."""

    def spoil(folder: Path) -> None:
        (folder / WEIGHTS).unlink()
        (folder / INDEX).write_text(json.dumps({"weight_map": index}))

    return spoil


def code_of_its_own(folder: Path) -> None:
    auto = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    says("config.json", auto_map=auto, model_type="evil")(folder)
    (folder / "evil.py").write_text(EVIL)


def a_pickle_by_another_name(folder: Path) -> None:
    torch.save({"a": torch.ones(2)}, folder / WEIGHTS)


def cut(folder: Path) -> None:
    content = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(content[: len(content) // 2])


def longer(folder: Path) -> None:
    with (folder / WEIGHTS).open("ab") as file:
        file.write(b"\0\0\0")


def other_words(folder: Path) -> None:
    word_tokenizer(["a", "dog"]).save_pretrained(folder)


def more_words(folder: Path) -> None:
    word_tokenizer([f"word{i}" for i in range(1000)]).save_pretrained(folder)


def nothing_of_it(state: dict[str, torch.Tensor]) -> None:
    state.clear()
    state["a"] = torch.ones(3)


def text_half(state: dict[str, torch.Tensor]) -> None:
    for name in [name for name in state if name.startswith("vis")]:
        del state[name]


def table(content: object) -> bytes:
    """A weights file with this table and no numbers."""
    written = json.dumps(content).encode()
    return len(written).to_bytes(8, "little") + written


SHAPE = "preprocessor_config.json"
BAD: dict[str, tuple[Spoil, str]] = {
    "git pointer": (
        holds(WEIGHTS, b"version https://git-lfs.github.com/spec/v1\n"),
        "git lfs pull",
    ),
    "web page": (holds(WEIGHTS, b"<!DOCTYPE html><html>"), "web page and not the weights"),
    "pickle by another name": (a_pickle_by_another_name, "pickle by another name"),
    "something else": (holds(WEIGHTS, b"\xff" * 99), "no safetensors, whatever"),
    "empty": (holds(WEIGHTS, b""), "half a download"),
    "cut": (cut, r"half a download \(119150 of 238300 bytes"),
    "longer": (longer, "3 bytes too many"),
    "no table": (holds(WEIGHTS, (9).to_bytes(8, "little") + b"not JSON."), "its table is none"),
    "a list": (holds(WEIGHTS, table([])), "its table is none"),
    "no places": (holds(WEIGHTS, table({"a": {"shape": [1]}})), "its table is none"),
    "unfinished": (called(f"{WEIGHTS}.incomplete"), "half a download .model.safetensors.incompl"),
    "gguf": (called("model.gguf"), "no weights in it .*; model.gguf is not read"),
    "adapter": (called("adapter_model.safetensors"), "adapter_model.safetensors is not read"),
    "parts missing": (spread({"a": "1.safetensors"}), r"half a download \(1.safetensors is miss"),
    "two missing": (spread({"a": "1.safetensors", "b": "2.safetensors"}), "and 1 more are missing"),
    "parts of nothing": (spread(["a"]), "index.json: damaged"),
    "empty settings": (holds("config.json", b""), "config.json: damaged"),
    "list of settings": (holds("config.json", b"[]"), "not a table of settings"),
    "code of its own": (code_of_its_own, "code of its own .auto_map., which is not run"),
    "unknown kind": (says("config.json", model_type="qqq"), "kind qqq, which transformers"),
    "no kind": (says("config.json", model_type=None), "does not say of which kind"),
    "quantised": (
        says("config.json", quantization_config={"bits": 4}),
        "quantised; take the",
    ),
    "heads": (
        says("config.json", "vision_config", num_attention_heads=3),
        "cannot be loaded",
    ),
    "no pixels": (says("config.json", "vision_config", image_size=0), "0 pixels, not at a square"),
    "less": (says("config.json", "vision_config", image_size=-32), "-32 pixels, not at a square"),
    "oblong": (
        says("config.json", "vision_config", image_size=[32, 64]),
        "64. pixels, not at",
    ),
    "other size": (says("config.json", "vision_config", image_size=64), "of another size"),
    "vast": (says("config.json", "text_config", vocab_size=10**11), "of another size"),
    "resample": (says(SHAPE, resample=99), "resizes pictures by 99"),
    "mean": (says(SHAPE, image_mean="abc"), "not of 3 colours"),
    "one mean": (says(SHAPE, image_mean=0.5), "not of 3 colours"),
    "nan mean": (says(SHAPE, image_mean=[float("nan")] * 3), "not of 3 colours"),
    "no deviation": (says(SHAPE, image_std=[0, 1, 1]), "not of 3 colours"),
    "factor": (says(SHAPE, rescale_factor="x"), "scales pictures by 'x'"),
    "tokenizer": (holds("tokenizer.json", b"{"), "its tokenizer cannot be loaded"),
    "other words": (other_words, "that of another encoder .no sentence ends with token 515"),
    "more words": (more_words, "that of another encoder .1003 tokens for 516 vectors"),
    "nothing of it": (weighs(nothing_of_it), "do not fit its config.json"),
    "text half": (weighs(text_half), "has no picture tower"),
    "infinite": (
        weighs(lambda state: state["visual_projection.weight"].fill_(float("inf"))),
        "visual_projection.weight is not finite",
    ),
    "too large": (
        weighs(lambda state: state["visual_projection.weight"].fill_(3e38)),
        "it gives numbers that are not finite",
    ),
    "zero pictures": (
        weighs(lambda state: state["visual_projection.weight"].zero_()),
        "nothing but zeros",
    ),
    "zero words": (
        weighs(lambda state: state["text_projection.weight"].zero_()),
        "nothing but zeros",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_one_line(clip: Path, tmp_path: Path, case: str) -> None:
    spoil, said = BAD[case]
    folder = shutil.copytree(clip, tmp_path / "bad")
    spoil(folder)
    with pytest.raises(EncoderError, match=said) as error:
        open_encoder(str(folder))
    assert "\n" not in str(error.value)
    assert str(folder) in str(error.value)
    assert not (folder / "ran").exists()


def test_code_beside_an_encoder_that_needs_none_is_not_run(clip: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(clip, tmp_path / "clip")
    auto = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    says("config.json", auto_map=auto)(folder)
    says("tokenizer_config.json", auto_map={"AutoTokenizer": ["evil.Words", None]})(folder)
    (folder / "evil.py").write_text(EVIL)
    own, other = open_encoder(str(folder)), open_encoder(str(clip))
    assert np.array_equal(own.read(["a dog"]), other.read(["a dog"]))
    assert not (folder / "ran").exists()


def test_names_that_are_none(clip: Path) -> None:
    for name, said in (
        ("", "which encoder"),
        (" ", "which encoder"),
        (str(clip / WEIGHTS), "a file; name the folder that it is in"),
        (
            "https://huggingface.co/google/siglip2-base",
            r"name the repository .*.google/siglip2-base.",
        ),
        ("hf://me/clip", r"\(me/clip\)"),
        ("weights/my/clip", "no such folder"),
    ):
        with pytest.raises(EncoderError, match=said):
            find(name)


def test_too_little_memory(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = numbers_in(clip / WEIGHTS)
    assert numbers == sum(value.numel() for value in load_file(clip / WEIGHTS).values())
    assert (free_memory() or 0) > 4 * numbers
    monkeypatch.setattr(weight_files, "free_memory", lambda: 4 * numbers - 1)
    with pytest.raises(EncoderError, match=r"of memory, where .* are free; close other programs"):
        open_encoder(str(clip))
    for free in (4 * numbers, None):
        monkeypatch.setattr(weight_files, "free_memory", lambda free=free: free)
        check_room("clip", [clip / WEIGHTS])


def test_memory_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is left of its limit, and files that are kept in memory count as free."""
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(weight_files, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(weight_files, "_GROUP", tmp_path)
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable: 5000 kB\nSwapFree: 9 kB\n")
    assert free_memory() == 5009 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    assert free_memory() == 5009 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    (tmp_path / "memory.current").write_text("2500000\n")
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 100000\n")
    assert free_memory() == 600_000


def test_a_library_that_is_not_installed(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EncoderError, match="needs the package transformers; pip install"):
        open_encoder(str(clip))


def test_settings_of_open_clip(tmp_path: Path) -> None:
    """What needs no library: all of it is looked at before one is loaded."""
    folder = tmp_path / "open"
    folder.mkdir()
    save_file({"a": torch.ones(3)}, folder / "open_clip_model.safetensors")
    for said, expected in (
        ({}, "no picture tower in model_cfg"),
        ({"model_cfg": "x"}, "no picture tower in model_cfg"),
        ({"model_cfg": {"vision_cfg": {"image_size": [32, 48]}}}, "not at a square"),
    ):
        (folder / "open_clip_config.json").write_text(json.dumps(said))
        with pytest.raises(EncoderError, match=expected):
            open_encoder(str(folder))
    for prepared, expected in (
        ({"interpolation": "random"}, "resizes pictures by 'random'"),
        ({"mean": [1]}, "not of 3 colours"),
        ([], "preprocess_cfg is no table"),
    ):
        (folder / "open_clip_config.json").write_text(json.dumps({"preprocess_cfg": prepared}))
        with pytest.raises(EncoderError, match=expected):
            of_open_clip(look_at(folder), 32)


def test_settings_as_newer_libraries_write_them(clip: Path, tmp_path: Path) -> None:
    """One file for the preparation of pictures and the rest."""
    folder = shutil.copytree(clip, tmp_path / "clip")
    processor = CLIPProcessor(
        AutoImageProcessor.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    )
    (folder / SHAPE).unlink()
    processor.save_pretrained(folder)
    assert not (folder / SHAPE).exists()
    picture = np.array(Image.effect_noise((40, 40), 90).convert("RGB"))
    old, new = Encoder(look_at(clip)), Encoder(look_at(folder))
    assert new.preparation == old.preparation
    assert np.allclose(old.see_picture(picture), new.see_picture(picture), atol=1e-6)


def test_towers_of_two_spaces(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    towers = SimpleNamespace(
        model=torch.nn.Linear(2, 2),
        preparation=Encoder(look_at(clip)).preparation,
        frames=1,
        keep=lambda **_: None,
        read=lambda texts: torch.ones(len(texts), 3),
        see=lambda pictures: torch.ones(len(pictures), 4),
    )
    monkeypatch.setattr("feature_extract.encoders.encoder.load_transformers", lambda _: towers)
    with pytest.raises(EncoderError, match="3 columns for words and of 4 for pictures"):
        open_encoder(str(clip))
