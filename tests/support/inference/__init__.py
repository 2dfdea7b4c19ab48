"""What the tests of inference/ share: the app as a process, tiny models, and a browser."""
