"""docs/FILES.md: every file of the repository, with the first sentence that it says of itself.

    python -m tests.support.file_map          # writes it anew

tests/project/test_readme.py holds the page against the repository.
"""

import ast
import re
import subprocess
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGE: Final = ROOT / "docs" / "FILES.md"
# These speak for themselves, or are described where they lie (assets/weights/MODEL_CARD.md).
SILENT: Final = (
    "assets/weights/",
    "assets/screenshots/",
    "assets/presets/",
    "assets/samples/",
    "tests/library/before/",
)
HEAD: Final = """# Files

Made by `python -m tests.support.file_map` from the first line of each file; a test holds it.
[ARCHITECTURE.md](ARCHITECTURE.md) explains the rooms.
"""


def tracked() -> list[str]:
    """The files that belong to the repository, without weights, pictures and package markers."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return sorted(
        file
        for file in set(listed.split("\n"))
        if file
        and (ROOT / file).is_file()
        and not file.startswith(SILENT)
        and not file.endswith("__init__.py")
    )


def says(file: str) -> str:
    """The first sentence of what a file says of itself; empty where it says nothing."""
    text = (ROOT / file).read_text()
    if file.endswith(".py"):
        docstring = ast.get_docstring(ast.parse(text)) or ""
        return docstring.split("\n\n")[0].replace("\n", " ")
    if file.endswith(".md"):
        return text.split("\n")[0].lstrip("# ")
    comment = []
    for line in text.removeprefix("#!").split("\n")[text.startswith("#!") :]:
        if not line.startswith(("// ", "/* ", "# ")):
            break
        comment.append(line.split(" ", 1)[1].removesuffix(" */"))
    return re.split(r"(?<=\w)\. ", " ".join(comment))[0]


def page() -> str:
    """The whole of docs/FILES.md."""
    lines, folder = [HEAD], None
    for file in sorted(tracked(), key=lambda file: (str(Path(file).parent), file)):
        if str(Path(file).parent) != folder:
            folder = str(Path(file).parent)
            lines.append(f"\n## {'.' if folder == '.' else folder + '/'}\n")
        sentence = says(file)
        lines.append(f"- `{Path(file).name}`{': ' + sentence if sentence else ''}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page())
