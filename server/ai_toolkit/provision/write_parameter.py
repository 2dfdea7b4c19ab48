"""Writes one parameter into the parameters file, where a person agreed to a value; the rest of it stays as it is."""

import json

from ai_toolkit.errors import WorkspaceError
from ai_toolkit.workspace.json_positions import members
from ai_toolkit.workspace.text_file import read_text
from ai_toolkit.workspace.workspace import Parameters, read_parameters, write_atomically


def write_parameter(given: Parameters, name: str, value: object) -> Parameters:
    """The parameters with that value, which is in the file. Raises WorkspaceError for a `.bicepparam` file."""
    path = given.path
    if path.suffix != ".json":
        raise WorkspaceError(
            f"{path} is yours to write: {name} is not put into it.",
            f"Add the line: param {name} = {json.dumps(value).replace(chr(34), chr(39))}",
        )
    text = read_text(path)
    entry = json.dumps({"value": value})
    places = members(text)
    written = next((place for place in places if place[:1] == ("parameters",) and _is(place, name)), None)
    if written is not None:
        span = places[written].value
        text = f"{text[: span.start]}{entry}{text[span.end :]}"
    else:
        first = places["parameters",].value.start + 1
        comma = "," if any(place[:1] == ("parameters",) and len(place) > 1 for place in places) else ""
        text = f'{text[:first]}\n    "{name}": {entry}{comma}{text[first:]}'
    write_atomically(path, text)
    return read_parameters(path)


def _is(place: tuple[str, ...], name: str) -> bool:
    """Whether it is the parameter of that name: Azure does not look at the case."""
    return len(place) == 2 and place[1].lower() == name.lower()  # noqa: PLR2004  ("parameters", its name)
