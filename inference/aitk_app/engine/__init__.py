"""Tokens in, tokens out: the models on their device, and one running batch that answers requests.

Imports no other room of the app (only its settings), and knows no HTTP.
"""
