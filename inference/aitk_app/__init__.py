"""The inference app's own code, in one package, so that no file of yours beside it can be taken for a part of it.

`engine/` computes tokens from tokens, `loading/` brings models from their files, `web/` speaks HTTP, `chat/` is what
the chat page needs. `web/service.py` is where to begin reading: it starts everything in order.
"""
