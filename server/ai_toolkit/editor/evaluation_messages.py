"""The messages of the editor's test explorer: its tests are the cases of an evaluation."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CaseFilesParams:
    """The folder (a URI) whose cases are wanted."""

    workspace_folder: str


@dataclass(frozen=True)
class CaseItem:
    """A line of a file of cases: its number from 0, and what is wrong with it where it is no case."""

    id: str
    label: str
    line: int
    problem: str


@dataclass(frozen=True)
class CaseFile:
    """A file of cases (a URI), and its lines that hold something."""

    uri: str
    name: str
    cases: tuple[CaseItem, ...]


@dataclass(frozen=True)
class CaseFiles:
    """The files of a folder; nobody was asked in order to tell."""

    files: tuple[CaseFile, ...]


@dataclass(frozen=True)
class RunCasesParams:
    """Cases by their ids, to be asked of what answers by default. What comes is told by notifications that name `run`.

    With `debug` they are asked one by one, and each tells the request, the prompt as the model gets it, and what the
    base model says.
    """

    run: str
    workspace_folder: str
    cases: tuple[str, ...]
    debug: bool


@dataclass(frozen=True)
class CaseResult:
    """What became of a case: `outcome` is `started`, `passed`, `failed` or `measured`.

    `expected` and `said` are shown side by side where it failed; `output` is for whoever reads on.
    """

    run: str
    id: str
    outcome: str
    message: str
    expected: str
    said: str
    milliseconds: int
    output: str


@dataclass(frozen=True)
class CancelCases:
    """Nobody waits for the run any more."""

    run: str


@dataclass(frozen=True)
class PageParams:
    """A page on disk (a path) that is to be shown in the editor."""

    title: str
    path: str


EVALUATION_MESSAGES = (
    CaseFilesParams,
    CaseItem,
    CaseFile,
    CaseFiles,
    RunCasesParams,
    CaseResult,
    CancelCases,
    PageParams,
)
