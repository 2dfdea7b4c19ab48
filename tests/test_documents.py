"""Every file and folder that the documents for whoever works on this name in backticks is there."""

import os
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = ("ARCHITECTURE.md", "CONTRIBUTING.md")
NOT_OURS = {".venv", ".cache", ".git", "node_modules", "dist", "__pycache__"}
ENDINGS = r"(?:bicep|ini|json|lock|md|py|sh|toml|ts|txt|yml)"
A_PATH = re.compile(rf"(?:\.?[\w-]+/)+[\w.-]*|[\w.-]*\w\.{ENDINGS}")

# What is named and is not in the repository, each with where it is instead.
ELSEWHERE = {
    ".aitk/": "on the file share",
    ".aitk/candidates/": "on the file share",
    "models/": "in a user's workspace",
    "model-cache/": "in a user's workspace",
    "inference.config.json": "in a user's workspace",
    "infra/inference.config.json": "in a user's workspace",
    "logs/": "in the local cloud's folder",
}
MADE_BY_SCRIPTS = (".venv/", ".cache/", "extension/dist/")


def named(document):
    """The paths in backticks, also those within a command line."""
    code = re.findall(r"`([^`\n]+)`", (ROOT / document).read_text("utf-8"))
    words = {word.removeprefix("./") for one in code for word in one.split() if "://" not in word}
    return sorted(word for word in words if A_PATH.fullmatch(word) and not word.startswith(MADE_BY_SCRIPTS))


@pytest.fixture(scope="module")
def there():
    """Every file and folder of the repository, by each way to end its path: `a/b.py` and `b.py`; a folder ends in /."""
    found = set()
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in NOT_OURS]
        way = Path(folder).relative_to(ROOT).parts
        for path in [*((*way, name) for name in files), *((*way, name, "") for name in folders)]:
            found |= {"/".join(path[start:]) for start in range(len(path))}
    return found


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_path_that_it_names_exists(document, there):
    """From the repository's root, or, where a road or a drawing has named the folder before, the end of one."""
    tops = {path.name for path in ROOT.iterdir()}
    missing = []
    for path in named(document):
        is_whole = path.partition("/")[0] in tops
        exists = (ROOT / path).exists() if is_whole else path in there or f"{path}/" in there
        if not exists and path not in ELSEWHERE:
            missing.append(path)

    assert len(named(document)) > 10
    assert missing == []


def test_what_is_said_to_be_elsewhere_is_named_and_not_here():
    """The exceptions are no longer than they must be."""
    words = {word for document in DOCUMENTS for word in named(document)}

    assert [path for path in ELSEWHERE if path not in words or (ROOT / path).exists()] == []
