"""Updates of Headwater on a board, with automatic fall-back. Needs Python 3.11, dpkg, systemd and ssh-keygen only.

It runs from a copy of its own, beside the package that it replaces, and decides by itself: neither the network nor
whoever asked for the update has to be there for a version that does not work to be rolled back.
"""
