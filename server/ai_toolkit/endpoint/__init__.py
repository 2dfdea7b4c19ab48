"""The running app: its address and key, its revisions and logs, a question to the model.

May import `azure`, `workspace` and what lies below; never a use-case of another room.
"""
