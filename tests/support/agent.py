"""An agent's program, as PyPI's `mcp` makes it, connected to `aitk mcp`."""

import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from mcp import StdioServerParameters
from mcp.client import Client
from mcp.client.stdio import stdio_client
from mcp.types import CallToolResult, TextContent


@asynccontextmanager
async def agent(folder: Path, environment: Mapping[str, str]) -> AsyncIterator[Client]:
    arguments = ["-m", "ai_toolkit.cli.commands", "mcp", "--workspace", str(folder)]
    server = StdioServerParameters(command=sys.executable, args=arguments, env=dict(environment))
    async with Client(stdio_client(server)) as client:
        yield client


def said(result: CallToolResult) -> str:
    """What the model reads of a tool's result."""
    return " ".join(one.text for one in result.content if isinstance(one, TextContent))
