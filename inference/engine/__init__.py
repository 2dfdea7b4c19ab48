"""The engine of the inference app: finds and loads the models, and answers requests in one running batch.

`service.py` is where to begin reading: it starts everything in order.
"""
