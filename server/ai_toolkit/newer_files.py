"""What differs between a workspace and what was deployed from it."""

from pathlib import Path

from ai_toolkit.local_files import CODE, local_files
from ai_toolkit.manifest import Manifest


def newer_files(folder: Path, deployed: Manifest) -> list[str]:
    """Files whose content is not what was deployed, and code that only one side has. Raises ValueImpossible."""
    here = local_files(folder)
    newer = [path for path, file in here.items() if path in deployed.files and deployed.files[path] != file.entry]
    code = [path for path in {*here} ^ {*deployed.files} if path.startswith(f"{CODE}/")]
    return sorted(newer + code)
