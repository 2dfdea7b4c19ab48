"""What the chat page needs besides Gradio: its conversation, its address behind a proxy, and waking a sleeping app.

May import `web/answering.py` and the engine; nothing imports it but the page.
"""
