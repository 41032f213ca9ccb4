"""The order of the rooms, no circle within one, and the one home of each dependency."""

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# From the bottom up. Rooms of one floor do not know each other; a room imports from floors below.
FLOORS = (
    ("feature_extract/files.py", "feature_extract/logs.py"),
    ("feature_extract/video",),
    ("feature_extract/networks",),
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
HOMES = {
    "decord": {"feature_extract/video/decord_reader.py"},
    "av": {
        "feature_extract/video/source.py",
        "feature_extract/video/av_reader.py",
        "feature_extract/video/span_reader.py",
        "feature_extract/video/facts.py",
        "feature_extract/video/sound_reader.py",
        "feature_extract/video/shown.py",
        "vmr/media/encode.py",
    },
    "torchvision": {"feature_extract/networks/backbones.py"},
    "gensim": {"vmr/model/text.py"},
    "faiss": {"vmr/search/quantised.py"},
    "gradio": {"vmr/page/server.py"},
    "filelock": {"feature_extract/files.py"},
    "platformdirs": {"feature_extract/files.py"},
}


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
    if module.split(".")[0] not in (
        "feature_extract",
        "vmr",
        "app",
        "tests",
        "benchmarks",
        "experiments",
    ):
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


def test_one_home_per_dependency() -> None:
    wrong = [
        f"{file}:{line} imports {module}"
        for file in FILES
        for line, module, _ in imports(file)
        if file not in HOMES.get(module.split(".")[0], {file})
    ]
    assert wrong == []


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
