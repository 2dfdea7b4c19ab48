from hypothesis import settings

# Two runs try the same values: a failure is met again, and a slow machine is no failure.
settings.register_profile("same every time", derandomize=True, database=None, deadline=None)
settings.load_profile("same every time")
