"""The Bicep CLI: where it is looked for, and what it compiles."""

import asyncio
import os
import shutil
from pathlib import Path
from typing import Final

from ai_toolkit.errors import ToolMissing, ValueImpossible

VARIABLE: Final = "AITK_BICEP"
"""Environment variable that names the CLI."""
_COMPILE_SECONDS: Final = 120


async def compile_bicep(bicep: Path) -> bytes:
    """The template as ARM JSON. Raises ToolMissing, and ValueImpossible with the compiler's first error."""
    process = await asyncio.create_subprocess_exec(
        str(_bicep_cli(bicep)),
        "build",
        "--stdout",
        str(bicep),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        output, problems = await asyncio.wait_for(process.communicate(), _COMPILE_SECONDS)
    except TimeoutError as error:
        raise ValueImpossible(bicep, "bicep build", f"no result after {_COMPILE_SECONDS} s") from error
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise ValueImpossible(bicep, "bicep build", _first_error(problems) or f"exit code {process.returncode}")
    return output


def _first_error(problems: bytes) -> str:
    """The compiler's first error, `FILE(LINE,COLUMN) : Error CODE: TEXT`; warnings of the same form may precede it."""
    lines = problems.decode(errors="replace").strip().splitlines()
    return next((line for line in lines if ") : Error " in line), lines[0] if lines else "")


def _bicep_cli(bicep: Path) -> Path:
    """The CLI that AITK_BICEP names, else the one on PATH, in the Azure CLI's folder or in azd's."""
    named = os.environ.get(VARIABLE)
    if named:
        if _runs(Path(named)):
            return Path(named)
        raise ToolMissing(
            f"{bicep} must be compiled, and {VARIABLE} names {named}, which is no program that can be run.",
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
        f"{bicep} was changed, and compiling it needs the Bicep CLI, which is neither on PATH nor at {azure} or {azd}.",
        f'Install it with "az bicep install", name it in the environment variable {VARIABLE}, or undo the change.',
    )


def _runs(program: Path) -> bool:
    return program.is_file() and os.access(program, os.X_OK)
