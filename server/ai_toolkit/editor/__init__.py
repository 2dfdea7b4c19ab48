"""The language server: the editor's commands, diagnostics, status bar and dialogs, over JSON-RPC on stdio.

May import every room but `cli`. Entered by `main.run`; `protocol` is the source of extension/src/protocol.ts.
"""
