"""`make deploy`: brings a package and a configuration to boards over ssh, and has each update itself.

What decides about a new version is `headwater-update` on the board (`deploy/board`); this side only brings things,
asks, and tells. It may be cut off at any moment.
"""
