"""What it costs: a list of prices that is data, and what a running replica comes to by it.

No list, no guess: what has no price in the list is told without one.
"""
