"""AI Toolkit: Take down inference.

May import `provision`, `endpoint`, `azure`, `workspace` and what lies below. Entered by `run.take_down`.
"""
