"""AI Toolkit: Deploy for inference, and what is live now.

May import `endpoint`, `azure`, `workspace` and what lies below. Entered by `run.deploy`, `run.preview` and `status`.
"""
