"""`aitk`: the use-cases from a terminal, their questions there, and the demo.

May import every room. Entered by `commands.main`.
"""
