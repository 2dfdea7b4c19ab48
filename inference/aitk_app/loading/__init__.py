"""Finds base model and adapters on the share or a hub, and brings them to the device.

May import the engine; knows no HTTP but the hub's.
"""
