"""Which files of a workspace go to the share, under which names, and what their content is."""

import hashlib
import json
import os
import re
import time
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pathspec
import platformdirs

from ai_toolkit.deploy.manifest import Entry
from ai_toolkit.deploy.patterns import patterns
from ai_toolkit.errors import ValueImpossible
from ai_toolkit.operating_system import path_problem
from ai_toolkit.workspace.workspace import ADAPTERS, BASE_MODELS, CODE, MODELS, write_atomically

INCLUDE_FILE: Final = ".aitkinclude"
IGNORE_FILE: Final = ".aitkignore"

NEVER: Final = (".git", "/.aitk/", "/infra/", f"/{INCLUDE_FILE}", f"/{IGNORE_FILE}")
"""Left out whatever `.aitkignore` says."""
DEFAULT_IGNORES: Final = (
    *("__pycache__/", "*.pyc", ".ipynb_checkpoints/", ".pytest_cache/", ".mypy_cache/", ".ruff_cache/", ".cache/"),
    *(".venv/", "venv/", "node_modules/", ".vscode/", ".idea/", ".DS_Store", "Thumbs.db", "*.swp", "*~"),
    *(f"/{BASE_MODELS}/**/models--*/{name}/" for name in ("blobs", ".no_exist")),  # its snapshots/ link to blobs/
    f"/{BASE_MODELS}/**/.locks/",
    *(".env", ".env.*", "*.pem", "*.key", "*.pfx", "*.p12", "id_rsa*", "id_ed25519*", ".netrc", ".ssh/"),
)
"""Left out unless `.aitkignore` takes one back with `!`."""
_OF_TRAINING: Final = (
    *("optimizer.*", "optimizer_*/", "scheduler.pt", "scheduler.bin", "scaler.pt", "rng_state*", "random_states_*.pkl"),
    *("training_args.bin", "*.pt", "*.pth", "*.ckpt", "*.distcp", "global_step*/", "pytorch_model_fsdp*/", "wandb/"),
    *("events.out.tfevents.*", "*.gguf"),
)
"""What only serves to go on training, or is another form of a model: nothing that is served. Left out of the models,
unless `.aitkignore` takes one back."""

# Source: Microsoft Learn, "Naming and referencing shares, directories, files, and metadata".
_FORBIDDEN: Final = frozenset('"\\:|<>*?\ufffe\uffff')
_FORBIDDEN_KINDS: Final = frozenset({"Cc", "Cs", "Co"})
"""Unicode's categories of control characters, halves of a pair, and characters of private use."""
_RESERVED: Final = re.compile(r"(lpt[1-9]|com[1-9]|prn|aux|nul|con|clock\$)", re.IGNORECASE)
_NAME_UNITS: Final = 255
_PATH_UNITS: Final = 2048
_DEPTH: Final = 250
_SETTLED_NANOSECONDS: Final = 2_000_000_000


@dataclass(frozen=True)
class Stamp:
    """What tells without reading whether a file has changed."""

    size: int
    modified: int
    inode: int

    @classmethod
    def of(cls, source: Path) -> "Stamp":
        found = source.stat()
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


@dataclass(frozen=True)
class LocalFile:
    """A file of the workspace that belongs on the share, at the same relative path."""

    source: Path
    stamp: Stamp
    entry: Entry

    @property
    def unchanged(self) -> bool:
        """Whether the file is still the one that was hashed."""
        try:
            return Stamp.of(self.source) == self.stamp
        except OSError:
            return False


def local_files(folder: Path) -> dict[str, LocalFile]:
    """The workspace's files that go to the share, hashed, by their path there.

    `inference/`, the adapters and whole models in `models/`, the base models in `model-cache/` and what `.aitkinclude`
    lists, minus `.aitkignore` and the defaults. Of a model's weights only one form is sent. Raises ValueImpossible for
    a name that the share cannot hold and for a link that leads out of the workspace.
    """
    sources = {source.relative_to(folder).as_posix(): source for source in _selected(folder)}
    _check_names(folder, sources)
    hashes = _HashCache(folder)
    files = {path: hashes.file(path, source) for path, source in sources.items()}
    hashes.save()
    return files


def _selected(folder: Path) -> Iterator[Path]:
    of_training = [f"/{root}**/{pattern}" for root in MODELS for pattern in _OF_TRAINING]
    ignored = patterns(folder / IGNORE_FILE, before=(*DEFAULT_IGNORES, *of_training), after=NEVER)
    included = patterns(folder / INCLUDE_FILE)
    models = [each.relative_to(folder).as_posix() for each in _fine_tuned(folder)]
    roots = (f"{CODE}/", f"{BASE_MODELS}/", *(f"{model}/" for model in models))
    for source in _walk(folder, folder, ignored):
        path = source.relative_to(folder).as_posix()
        if included.match_file(path) or (path.startswith(roots) and not _is_second_copy(path, source)):
            yield source


def _is_second_copy(path: str, source: Path) -> bool:
    """Whether a model's file holds what the safetensors files beside it hold: Mistral's consolidated ones, pickles."""
    if not path.startswith(MODELS):
        return False
    if not source.name.startswith("consolidated.") and not re.fullmatch(
        r"pytorch_model.*\.bin(\.index\.json)?", source.name
    ):
        return False
    return any(re.fullmatch(r"model(-\d+-of-\d+)?\.safetensors", each.name) for each in source.parent.iterdir())


def _fine_tuned(folder: Path) -> list[Path]:
    """The folders below `models/` that hold an adapter, or a whole model."""
    models = folder / ADAPTERS
    adapters = {each.parent for each in models.rglob("adapter_config.json") if each.is_file()}
    whole = {each.parent for each in models.rglob("config.json") if any(each.parent.glob("*.safetensors"))}
    return sorted(adapters | whole)


def _walk(folder: Path, root: Path, ignored: pathspec.GitIgnoreSpec, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """The files below `folder` that are not ignored.

    A link is judged before it is followed: one may lead to the whole disk, or around in circles.
    """
    here = _resolved(folder, root)
    if here in above:
        raise ValueImpossible(folder, "symbolic link", "it is a link to a folder that contains it")
    prefix = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    with os.scandir(folder) as found:
        items = sorted(found, key=lambda item: item.name)
    for item in items:
        path = prefix + item.name
        problem = path_problem(folder / item.name)  # else it looks as if it were not there
        if problem and not ignored.match_file(path) and not ignored.match_file(f"{path}/"):
            raise ValueImpossible(folder / item.name, "file name", problem)
        followed = Path(item) if item.is_symlink() else item  # which knows a link that leads to itself
        if followed.is_dir():
            if not ignored.match_file(f"{path}/"):
                yield from _walk(folder / item.name, root, ignored, (*above, here))
        elif followed.is_file() and not ignored.match_file(path):
            if item.is_symlink():
                _resolved(folder / item.name, root)
            yield folder / item.name


def _resolved(path: Path, root: Path) -> Path:
    real = path.resolve()
    if not real.is_relative_to(root.resolve()):
        raise ValueImpossible(path, "symbolic link", "it leads out of the workspace, which a deploy never follows")
    return real


def _check_names(folder: Path, paths: Iterable[str]) -> None:
    """Raises ValueImpossible for the first path that an Azure file share cannot hold, or not beside another."""
    seen: dict[str, str] = {}
    for path in paths:
        problem = _name_problem(path)
        if problem:
            raise ValueImpossible(folder / path, "file name", f"{problem}; rename it, or list it in {IGNORE_FILE}")
        parts = path.split("/")
        for length in range(1, len(parts) + 1):
            part = "/".join(parts[:length])
            other = seen.setdefault(part.casefold(), part)
            if other != part:
                raise ValueImpossible(
                    folder / part,
                    "file name",
                    f"a file share takes it for the same name as {other}; rename one of them",
                )


def _name_problem(path: str) -> str:
    parts = path.split("/")
    try:
        units = [len(part.encode("utf-16-le")) // 2 for part in parts]
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    bad = sorted({one for one in path if one in _FORBIDDEN or unicodedata.category(one) in _FORBIDDEN_KINDS})
    reserved = [part for part in parts if _RESERVED.fullmatch(part)]
    if bad or reserved:
        kept = f"keeps the name {reserved[0]} for itself" if reserved else f"forbids {' '.join(map(repr, bad))}"
        return f"a file share {kept}"
    if any(part != part.rstrip(". ") for part in parts):
        return "it ends with a dot or a space, which Windows clients of the share cannot open"
    if max(units) > _NAME_UNITS:
        return f"a name has {max(units)} characters, and {_NAME_UNITS} are allowed"
    if sum(units) + len(parts) - 1 > _PATH_UNITS or len(parts) > _DEPTH:
        return f"the path is longer than {_PATH_UNITS} characters or deeper than {_DEPTH} folders"
    return ""


class _HashCache:
    """SHA-256 by size, modification time and inode, in the user's cache folder; losing it costs only time."""

    def __init__(self, folder: Path) -> None:
        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:24]
        self._path = platformdirs.user_cache_path("ai-toolkit") / "hashes" / f"{name}.json"
        self._known = self._read()
        self._used: dict[str, list[int | str]] = {}

    def file(self, path: str, source: Path) -> LocalFile:
        """The file with its hash. Raises ValueImpossible when it vanishes or cannot be read."""
        try:
            stamp = Stamp.of(source)
            key: list[int | str] = [stamp.size, stamp.modified, stamp.inode]
            known = self._known.get(path)
            if isinstance(known, list) and known[:3] == key:
                sha256 = str(known[3])
            else:
                with source.open("rb") as stream:
                    sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
        except OSError as error:
            raise ValueImpossible(source, "content", f"it could not be read ({error.strerror})") from error
        # A file that changes within the clock's grain keeps its stamp: what is that young is hashed again next time.
        if time.time_ns() - stamp.modified > _SETTLED_NANOSECONDS:
            self._used[path] = [*key, sha256]
        return LocalFile(source, stamp, Entry(stamp.size, sha256))

    def save(self) -> None:
        if self._used != self._known:
            write_atomically(self._path, json.dumps(self._used))

    def _read(self) -> Mapping[str, object]:
        try:
            known = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return known if isinstance(known, dict) else {}
