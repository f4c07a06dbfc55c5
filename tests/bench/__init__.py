"""`make bench`: what Headwater costs and carries, measured."""
