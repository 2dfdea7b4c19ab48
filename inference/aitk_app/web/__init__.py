"""The app over HTTP: who may enter, the OpenAI-compatible API, and the service that starts everything.

May import the engine and loading. `access.py` and `pages.py` use the standard library only: `start.py` needs them
before any package is installed.
"""
