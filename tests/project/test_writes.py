"""Files are written whole or not at all: by feature_extract/files.py, or into what it gives.

A write is in order where its file was given by `replacing`, `scratch_folder` or the like in the
same function. Another says why in its own line: `# written in place: ...`.
"""

import ast
import re
from collections.abc import Iterator

import pytest

from tests.project.test_layers import FILES, HOMES, ROOT

EXCUSE = "# written in place: "
GIVEN_BY = {"replacing", "scratch_folder", "written", "TemporaryDirectory", "BytesIO", "StringIO"}
METHODS = {"write_text", "write_bytes", "touch", "tofile", "open"}
"""These write the file that they are methods of; `open` by its mode."""
FUNCTIONS = {  # the place of the file among the arguments
    "open": 0,
    "av.open": 0,
    "np.save": 0,
    "np.savez": 0,
    "np.savez_compressed": 0,
    "np.savetxt": 0,
    "savefig": 0,
    "save": 0,
    "torch.save": 1,
    "save_file": 1,
    "json.dump": 1,
    "shutil.copyfile": 1,
    "shutil.copy": 1,
    "shutil.copy2": 1,
    "shutil.copytree": 1,
    "shutil.move": 1,
}


def writes(tree: ast.AST, *, pictures: bool = True) -> Iterator[tuple[int, str]]:
    """Every write in place: its line, and the expression of its file.

    Args:
        pictures: `save` is that of a picture; elsewhere it is our own, which writes whole.
    """
    for function in [*ast.walk(tree)]:
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            given = _given(function)
            for call in _calls(function):
                file = _written(call, pictures)
                if file is not None and not _names(file) & given:
                    yield call.lineno, ast.unparse(file)


def _calls(function: ast.AST) -> Iterator[ast.Call]:
    """The calls of a function, those of functions inside it left to them."""
    for child in ast.iter_child_nodes(function):
        if isinstance(child, ast.Call):
            yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _calls(child)


def _given(function: ast.AST) -> set[str]:
    """The names that hold a draft, or a file inside a folder of drafts."""
    given: set[str] = set()
    for node in ast.walk(function):
        if isinstance(node, ast.withitem) and node.optional_vars is not None:
            drafts = _called(node.context_expr) & GIVEN_BY or _names(node.context_expr) & given
            if drafts:
                given |= _names(node.optional_vars)
        elif isinstance(node, ast.Assign) and (
            _called(node.value) & GIVEN_BY or _names(node.value) & given
        ):
            given.update(*map(_names, node.targets))
    return given


def _written(call: ast.Call, pictures: bool) -> ast.expr | None:
    """The file that a call writes; None where it writes none."""
    name = ast.unparse(call.func)
    last = name.rpartition(".")[2]
    if last == "open" and not _to_write(call, at=1 if name in FUNCTIONS else 0):
        return None
    if last == "save" and not (pictures or name in FUNCTIONS):
        return None
    if name not in FUNCTIONS and isinstance(call.func, ast.Attribute) and last in METHODS:
        return call.func.value
    at = FUNCTIONS.get(name, FUNCTIONS.get(last) if last in ("save", "savefig") else None)
    return call.args[at] if at is not None and len(call.args) > at else None


def _to_write(call: ast.Call, at: int) -> bool:
    """Whether a call opens a file to write; `at` is the place of the mode among its arguments."""
    given = [*call.args[at:], *(word.value for word in call.keywords if word.arg == "mode")]
    words = [str(part.value) for mode in given for part in ast.walk(mode) if hasattr(part, "value")]
    return any(re.fullmatch(r"[rwaxbt+]{1,3}", word) and set(word) & set("wax+") for word in words)


def _names(node: ast.AST) -> set[str]:
    return {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}


def _called(node: ast.AST) -> set[str]:
    return {
        ast.unparse(part.func).rpartition(".")[2]
        for part in ast.walk(node)
        if isinstance(part, ast.Call)
    }


def test_every_file_is_written_whole_or_says_why_not() -> None:
    wrong, excused = [], 0
    for file in FILES:
        if file == "feature_extract/files.py":
            continue
        text = (ROOT / file).read_text(encoding="utf-8")
        lines = text.splitlines()
        for line, written in writes(ast.parse(text, file), pictures=file in HOMES["PIL"]):
            if EXCUSE in lines[line - 1]:
                excused += 1
            else:
                wrong.append(f"{file}:{line} writes {written} in place")
    assert wrong == []
    everywhere = sum((ROOT / file).read_text(encoding="utf-8").count(EXCUSE) for file in FILES)
    assert excused == everywhere  # no excuse outlives what it was for


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("def f(a):\n    a.write_text('x')", ["a"]),
        ("def f(a):\n    (a / 'b').write_bytes(b'x')", ["a / 'b'"]),
        ("def f(a):\n    with a.open('w') as b: b.write('x')", ["a"]),
        ("def f(a):\n    with open(a, mode='ab') as b: b.write('x')", ["a"]),
        ("def f(a):\n    with a.open() as b: b.read()", []),
        ("def f(a):\n    with a.open('rb') as b: b.read()", []),
        ("def f(a, x):\n    np.save(a, x)", ["a"]),
        ("def f(a, x):\n    torch.save(x, a)", ["a"]),
        ("def f(a, x):\n    x.save(a, 'PNG')", ["a"]),
        ("def f(a, x):\n    with replacing(a) as b: torch.save(x, b)", []),
        ("def f(a, x):\n    with replacing(a) as b: torch.save(x, a)", ["a"]),
        ("def f(x):\n    with scratch_folder() as b:\n        c = b / 'c'\n        g.save(c)", []),
        ("def f(a):\n    with a.open('ab' if a else 'rb') as b: b.write('x')", ["a"]),
        ("def f(x):\n    b = io.BytesIO()\n    x.save(b, 'PNG')", []),
        ("def f(a):\n    def g(b):\n        b.write_text('x')\n    return g", ["b"]),
    ],
)
def test_this_test_sees_what_it_is_for(code: str, found: list[str]) -> None:
    assert [file for _, file in writes(ast.parse(code))] == found
