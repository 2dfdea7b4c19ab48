"""What every service of the local cloud speaks: ids, errors, shapes of bodies, the state on disk, processes.

It imports no other room.
"""
