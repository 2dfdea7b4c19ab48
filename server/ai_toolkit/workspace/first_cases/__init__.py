"""The cases that `aitk init` adds to begin with: one of each kind."""

from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent
