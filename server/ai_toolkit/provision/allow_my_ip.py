"""Asks for the one address that may reach the endpoint, and writes it to the parameters file."""

import re
from typing import Final

from ai_toolkit.command_titles import Title
from ai_toolkit.provision.write_parameter import write_parameter
from ai_toolkit.ui import Input, Ui
from ai_toolkit.workspace.workspace import Parameters

_NAME: Final = "allowedIpRanges"
_PATTERN: Final = r"((25[0-5]|2[0-4]\d|1?\d?\d)(\.|(?=$|/))){4}(/(3[0-2]|[12]?\d))?"


async def only_my_address(given: Parameters, ui: Ui) -> Parameters:
    """The parameters with the address, which cannot be known from here: the person types it.

    It is written to the parameters file, so that the next run keeps it; the rest of the file stays as it is.
    """
    question = Input(
        Title.PROVISION,
        "Your public IPv4 address or range, as the internet sees it. It cannot be found out from here: "
        "ask your network's administrator, or open a page that shows it",
        pattern=_PATTERN,
        hint="An IPv4 address or range, such as 203.0.113.7 or 203.0.113.0/24",
        option="allowedIpRanges in infra/provision/inference.parameters.json",
    )
    address = (await ui.input(question)).strip()
    if not re.fullmatch(_PATTERN, address):
        return await only_my_address(given, ui)
    written = write_parameter(given, _NAME, [address])
    ui.announce(f"{given.path} now allows {address} only.")
    return written
