"""Leaves on the share what an hour of a replica costs, for the chat page: the app itself can look up no price."""

import json
import logging
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from azure.core.exceptions import AzureError

from ai_toolkit.prices.running_cost import hourly_of

if TYPE_CHECKING:
    from ai_toolkit.azure.container_app import ContainerApp
    from ai_toolkit.azure.file_share import FileShare

log = logging.getLogger(__name__)

PRICE_PATH: Final = PurePosixPath(".aitk/price.json")
"""Read by `inference/aitk_app/chat/running_cost.py`."""


async def leave_price(share: "FileShare", app: "ContainerApp", profile_type: str) -> None:
    """The price of a replica of the app's latest revision, as the list says it; none where the list says nothing.

    Where it cannot be left the chat page tells no price, which is no reason for a deploy to fail.
    """
    hourly = hourly_of(profile_type, app.location, app.template)
    try:
        there = await share.read(PRICE_PATH)
        if hourly is None:
            if there is not None:
                await share.delete(PRICE_PATH)
            return
        note = {
            "revision": app.latest_revision,
            "hourly": hourly.amount,
            "currency": hourly.currency,
            "listDate": hourly.date,
        }
        content = json.dumps(note).encode() + b"\n"
        if content != there:
            await share.write(PRICE_PATH, content)
    except AzureError as error:
        log.warning("%s is not written: %s", PRICE_PATH, type(error).__name__)
