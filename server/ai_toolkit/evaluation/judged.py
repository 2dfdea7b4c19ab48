"""What gates have let pass, in `.aitk/judged.json` on the share, and which adapters there nobody has judged.

An adapter that fine-tuning writes to the share is loaded by the next replica that starts. While one runs it tells by
itself that its files are others now; while none does, this note tells.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from ai_toolkit.deploy.manifest import Manifest
from ai_toolkit.deploy.models_on_share import models_on_share
from ai_toolkit.evaluation.asking import Answers
from ai_toolkit.evaluation.cases import Case
from ai_toolkit.evaluation.judging import Outcome
from ai_toolkit.workspace.workspace import ADAPTERS

if TYPE_CHECKING:
    from ai_toolkit.azure.file_share import FileShare

log = logging.getLogger(__name__)

JUDGED_PATH: Final = PurePosixPath(".aitk/judged.json")
ADAPTER_CONFIG: Final = "adapter_config.json"
_VERSION: Final = 1

Stamps = Mapping[str, tuple[int, str]]
"""By file name, size and last-write time as the share tells them."""


@dataclass(frozen=True)
class Judgement:
    """What a gate let pass: the adapter's files as they were, which cases (`cases_digest`), and what was found."""

    files: Stamps
    cases_digest: str
    passed: frozenset[str]
    log_likelihood: float | None

    @classmethod
    def of(cls, files: Stamps, answers: Answers) -> "Judgement":
        cases = [each.case for each in answers.answers]
        passed = frozenset(each.case.id for each in answers.answers if each.outcome is Outcome.PASSED)
        return cls(files, digest(cases), passed, answers.log_likelihood)


@dataclass(frozen=True)
class Unjudged:
    """An adapter on the share that no deploy put there as it is now, and that no gate let pass.

    `before` is what a gate found of the one that was there before, `was_deployed` whether a deploy had put one there.
    """

    folder: str
    files: Stamps
    before: Judgement | None
    was_deployed: bool


def digest(cases: Sequence[Case]) -> str:
    """The same for the same cases."""
    text = json.dumps([asdict(each) for each in cases], sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()


async def read_judged(share: "FileShare") -> dict[str, Judgement]:
    """The judgements by the adapter's folder; a note that cannot be read counts for none."""
    content = await share.read(JUDGED_PATH)
    if content is None:
        return {}
    try:
        document = json.loads(content)
        if document["version"] != _VERSION:
            return {}
        return {str(folder): _read(entry) for folder, entry in document["adapters"].items()}
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        log.warning("%s is not read: %s", JUDGED_PATH, error)
        return {}


async def note_judged(share: "FileShare", judged: Mapping[str, Judgement]) -> None:
    """Adds the judgements to those that are known."""
    known = {**await read_judged(share), **judged}
    adapters = {folder: _plain(one) for folder, one in sorted(known.items())}
    await share.write(JUDGED_PATH, json.dumps({"version": _VERSION, "adapters": adapters}).encode() + b"\n")


async def unjudged_adapters(share: "FileShare", manifest: Manifest) -> tuple[Unjudged, ...]:
    """The adapters on the share that are neither as a deploy put them there nor as a gate let them pass."""
    marks = [PurePosixPath(path) for path in await models_on_share(share)]
    folders = sorted(str(one.parent) for one in marks if one.name == ADAPTER_CONFIG and one.parts[0] == ADAPTERS)
    listed = await asyncio.gather(*(stamps(share, folder) for folder in folders))
    judged = await read_judged(share)
    found = []
    for folder, files in zip(folders, listed, strict=True):
        deployed = {path.rpartition("/")[2]: one for path, one in manifest.files.items() if _is_in(path, folder)}
        before = judged.get(folder)
        is_deployed = {name: (one.size, one.written) for name, one in deployed.items()} == files
        if not is_deployed and (before is None or before.files != files):
            found.append(Unjudged(folder, files, before, bool(deployed)))
    return tuple(found)


async def stamps(share: "FileShare", folder: str) -> Stamps:
    """The files of a folder of the share."""
    entries = await share.list_directory(PurePosixPath(folder))
    return {name: (one.size, one.written) for name, one in entries.items() if one is not None}


def _is_in(path: str, folder: str) -> bool:
    return path.rpartition("/")[0] == folder


def _read(entry: Mapping[str, Any]) -> Judgement:
    files = {str(name): (int(size), str(written)) for name, (size, written) in entry["files"].items()}
    likelihood = entry.get("logLikelihood")
    return Judgement(
        files,
        str(entry["cases"]),
        frozenset(map(str, entry["passed"])),
        None if likelihood is None else float(likelihood),
    )


def _plain(one: Judgement) -> dict[str, Any]:
    return {
        "files": {name: list(stamp) for name, stamp in sorted(one.files.items())},
        "cases": one.cases_digest,
        "passed": sorted(one.passed),
        "logLikelihood": one.log_likelihood,
    }
