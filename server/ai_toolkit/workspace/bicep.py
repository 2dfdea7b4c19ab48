"""The Bicep CLI: where it is looked for, what it compiles, and what it finds wrong."""

import asyncio
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ai_toolkit.errors import ToolMissing, ValueImpossible

VARIABLE: Final = "AITK_BICEP"
"""Environment variable that names the CLI."""
_COMPILE_SECONDS: Final = 120
_PROBLEM: Final = re.compile(
    r"(?P<file>.+)\((?P<line>\d+),(?P<column>\d+)\) : (?P<weight>\w+) (?P<code>[\w-]+): (?P<text>.*)", re.ASCII
)
_LINK: Final = re.compile(r"\s*\[https?://\S+\]$")
# .NET without the library for languages of the system (ICU) ends at once, unless it is told to do without.
_NO_LANGUAGES: Final = b"Couldn't find a valid ICU package"
_WITHOUT_LANGUAGES: Final = {"DOTNET_SYSTEM_GLOBALIZATION_INVARIANT": "1"}


@dataclass(frozen=True)
class _Problem:
    """One line of what the CLI writes about a file; line and column count from 1."""

    file: Path
    place: tuple[int, int]
    weight: str
    code: str
    text: str

    def __str__(self) -> str:
        return f"{self.file}, line {self.place[0]}, column {self.place[1]}: {self.code}: {self.text}"


async def compile_bicep(bicep: Path) -> bytes:
    """The template as ARM JSON. Raises ToolMissing, and ValueImpossible with the compiler's errors."""
    return await _run("build", bicep, f"{bicep} was changed, and compiling it needs the Bicep CLI", "undo the change")


async def compile_parameters(bicepparam: Path) -> bytes:
    """What `bicep build-params` makes of a parameters file. Raises ToolMissing, and ValueImpossible with its errors."""
    needs = f"{bicepparam} is read by the Bicep CLI"
    return await _run("build-params", bicepparam, needs, "give the values in inference.parameters.json instead")


async def _run(command: str, file: Path, needs: str, way_out: str) -> bytes:
    """What the CLI prints for a file, asked in the file's folder, where its modules are looked for."""
    program = _bicep_cli(file, needs, way_out)
    code, output, problems = await _ask(program, command, file, {})
    if code != 0 and _NO_LANGUAGES in problems:
        code, output, problems = await _ask(program, command, file, _WITHOUT_LANGUAGES)
    if code != 0:
        raise _refusal(command, file, problems.decode(errors="replace").strip(), code)
    return output


async def _ask(program: Path, command: str, file: Path, variables: dict[str, str]) -> tuple[int, bytes, bytes]:
    process = await asyncio.create_subprocess_exec(
        str(program),
        command,
        "--stdout",
        str(file),
        cwd=file.parent,
        env={**os.environ, **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, problems = await asyncio.wait_for(process.communicate(), _COMPILE_SECONDS)
    except TimeoutError as error:
        raise ValueImpossible(file, f"bicep {command}", f"no result after {_COMPILE_SECONDS} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return process.returncode or 0, output, problems


def _refusal(command: str, file: Path, written: str, code: int) -> ValueImpossible:
    """The CLI's errors: the first, where it is, and the others below it. Its warnings are left out."""
    errors = [problem for line in written.splitlines() if (problem := _read(line, file)) and problem.weight == "Error"]
    if not errors:
        first = next(iter(written.splitlines()), "") or f"exit code {code}"
        return ValueImpossible(file, f"bicep {command}", first)
    first_error, *others = errors
    return ValueImpossible(
        first_error.file, first_error.code, first_error.text, first_error.place, details=map(str, others)
    )


def _read(line: str, asked: Path) -> _Problem | None:
    """A line in the form `FILE(LINE,COLUMN) : Error CODE: TEXT [LINK]`; None for any other."""
    found = _PROBLEM.fullmatch(line.strip())
    if found is None:
        return None
    place = int(found["line"]), int(found["column"])
    file = asked.parent / found["file"]  # an absolute one stays as it is
    return _Problem(file, place, found["weight"], found["code"], _LINK.sub("", found["text"]))


def _bicep_cli(file: Path, needs: str, way_out: str) -> Path:
    """The CLI that AITK_BICEP names, else the one on PATH, in the Azure CLI's folder or in azd's."""
    named = os.environ.get(VARIABLE)
    if named:
        if _runs(Path(named)):
            return Path(named)
        raise ToolMissing(
            f"{file} must be compiled, and {VARIABLE} names {named}, which is no program that can be run.",
            f"Correct {VARIABLE}, or remove it so that the Bicep CLI is looked for.",
        )
    on_path = shutil.which("bicep")
    azure = Path(os.environ.get("AZURE_CONFIG_DIR") or Path.home() / ".azure") / "bin" / "bicep"
    azd = Path.home() / ".azd" / "bin" / "bicep"
    for candidate in ([Path(on_path)] if on_path else []) + [azure, azd]:
        for program in (candidate, candidate.with_suffix(".exe")):
            if _runs(program):
                return program
    raise ToolMissing(
        f"{needs}, which is neither on PATH nor at {azure} or {azd}.",
        f'Install it with "az bicep install", name it in the environment variable {VARIABLE}, or {way_out}.',
    )


def _runs(program: Path) -> bool:
    return program.is_file() and os.access(program, os.X_OK)
