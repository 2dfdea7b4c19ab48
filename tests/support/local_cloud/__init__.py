"""What tests of the local cloud share: apps for replicas to run, and Azure's published schemas."""

from pathlib import Path

WEB_APP = Path(__file__).with_name("web_app.py")
SOCKET_APP = Path(__file__).with_name("socket_app.py")
