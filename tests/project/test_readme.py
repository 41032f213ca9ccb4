"""What the README says is what the repository holds."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support import file_map

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()


def test_the_list_of_files_is_the_repository() -> None:
    assert file_map.PAGE.read_text() == file_map.page()


def test_make_targets_of_the_readme_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_commands_of_the_readme_exist() -> None:
    commands = set(re.findall(r"^vmr (\w+)", README, re.MULTILINE))
    assert len(commands) >= 5
    help_text = subprocess.run(
        [sys.executable, "-m", "vmr", "--help"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for command in commands:
        assert re.search(rf"\b{command}\b", help_text), command


def test_the_readme_is_two_screens() -> None:
    assert len(README.splitlines()) <= 140


def test_links_between_documents_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("assets/**/*.md")]
    assert len(pages) > 10
    for page in pages:
        for target in re.findall(r"\]\(([^)\s#]+)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page}: {target}"


def test_benchmarks_that_documents_name_exist() -> None:
    for page in (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("assets/**/*.md")):
        for module in re.findall(r"python -m ((?:benchmarks|experiments)[.\w]*)", page.read_text()):
            path = ROOT / module.rstrip(".").replace(".", "/")
            assert path.with_suffix(".py").is_file() or (path / "__main__.py").is_file(), module


def test_every_requirement_is_pinned_and_has_a_reason() -> None:
    for name in ("requirements.txt", "requirements-gpu.txt", "requirements-dev.txt"):
        for line in (ROOT / name).read_text().splitlines():
            if line and not line.startswith(("#", "-r")):
                assert re.fullmatch(r"[\w.-]+==[\w.]+ +# \S.*", line), line
    cpu = set((ROOT / "requirements.txt").read_text().splitlines())
    gpu = set((ROOT / "requirements-gpu.txt").read_text().splitlines())
    assert {line.split("=")[0] for line in cpu ^ gpu} == {"faiss-cpu", "faiss-gpu"}
