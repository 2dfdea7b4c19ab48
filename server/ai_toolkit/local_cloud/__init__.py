"""A stand-in for the few Azure services that this product uses, on 127.0.0.1.

Its door is `control`; tests may also use `faults.FaultInjection`. It imports nothing from the rest of `ai_toolkit`,
so that a signature made by one side is verified independently by the other.
"""
