"""The import order and the one home of each dependency, as docs/ARCHITECTURE.md states them."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "ARCHITECTURE.md").read_text()
FILES = sorted(
    path.relative_to(ROOT).as_posix()
    for part in ("feature_extract", "vmr", "app.py")
    for path in ([ROOT / part] if part.endswith(".py") else (ROOT / part).rglob("*.py"))
    if path.name != "__init__.py"
)


def stated_order():
    """The files of the numbered list; a name without a folder is in the last one named."""
    section = PAGE.split("## Import order")[1].split("\n## ")[0].split("One home")[0]
    order, folder = [], ""
    for item in re.findall(r"^\d\. .*(?:\n   .*)*", section, re.MULTILINE):
        folder = ""
        for name in re.findall(r"`([\w/]+\.py)`", item):
            folder = name.rpartition("/")[0] or folder
            order.append(name if "/" in name or not folder else f"{folder}/{name}")
    return order


def imports(file):
    """Every module that a file imports, anywhere in it: (line, module, is it relative)."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(), file)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name, False) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", node.level > 0


def as_file(module):
    """The file of our own module; None for others; a package's name for its root."""
    if module.split(".")[0] not in ("feature_extract", "vmr", "app", "tests", "benchmarks"):
        return None
    path = module.replace(".", "/") + ".py"
    return path if (ROOT / path).exists() else module


def test_the_page_lists_every_file_once():
    order = stated_order()
    assert len(order) == len(set(order))
    assert set(order) == set(FILES)


def test_files_import_only_from_above():
    order = stated_order()
    wrong = [
        f"{file}:{line} imports {module}"
        for file in FILES
        for line, module, relative in imports(file)
        if relative
        or (
            (target := as_file(module)) is not None
            and (target not in order or order.index(target) >= order.index(file))
        )
    ]
    assert wrong == []


def test_one_home_per_dependency():
    homes = dict(re.findall(r"`(\w+)` in ((?:`[\w/]+\.py`(?: and )?)+)", PAGE))
    assert {"decord", "av", "gensim", "faiss", "gradio"} <= homes.keys()
    wrong = [
        f"{file}:{line} imports {module}"
        for file in FILES
        for line, module, _ in imports(file)
        if module.split(".")[0] in homes and f"`{file}`" not in homes[module.split(".")[0]]
    ]
    assert wrong == []


def test_this_test_sees_what_it_is_for(tmp_path):
    order = stated_order()
    assert order.index("vmr/moments.py") < order.index("vmr/search.py") < order.index("app.py")
    assert [module for _, module, _ in imports("vmr/sketch.py")].count("faiss") == 1
    assert as_file("vmr.store") == "vmr/store.py"
    assert as_file("vmr") == "vmr"  # a package's root is nobody's to import
    assert as_file("numpy") is None


def calls(file):
    """Every call in a file: (line, what is called, as written, its keyword arguments)."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(), file)):
        if isinstance(node, ast.Call):
            keywords = {word.arg: ast.unparse(word.value) for word in node.keywords}
            yield node.lineno, ast.unparse(node.func), keywords


def test_nothing_that_is_read_can_run_code():
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
