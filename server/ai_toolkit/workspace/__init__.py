"""The user's folder: its files, the Bicep template, the rules of its parameters, what fine-tuning left, the sample.

May import `ui` and `errors` only: it knows no cloud.
"""
