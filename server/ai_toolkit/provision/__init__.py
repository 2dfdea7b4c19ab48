"""AI Toolkit: Provision Azure Container Apps for inference.

May import `endpoint`, `azure`, `workspace` and what lies below. Entered by `run.provision` and `run.what_if`.
"""
