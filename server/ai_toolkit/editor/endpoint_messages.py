"""The messages of the editor's view "Endpoint": what `aitk status` knows, as rows with the actions beside each."""

from dataclasses import dataclass


@dataclass(frozen=True)
class EndpointRow:
    """One row: an icon's name as VS Code writes it, and what it says.

    `actions` are the ids of commands, without their prefix, that the editor puts beside it. `file` is the file (a URI)
    that the row stands for, or null. `rows` are those below it.
    """

    id: str
    label: str
    description: str
    tooltip: str
    icon: str
    actions: tuple[str, ...]
    file: str | None
    rows: tuple["EndpointRow", ...]


ENDPOINT_MESSAGES = (EndpointRow,)
