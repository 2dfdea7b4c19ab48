"""How models write calls of tools and their reasoning, read out of an answer as it grows, and enforced.

May import `web`'s bodies and the engine's grammars; `answering.py` uses it.
"""
