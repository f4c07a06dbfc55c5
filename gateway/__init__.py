"""Headwater: every sample is delivered or declared lost."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("headwater")
except PackageNotFoundError:  # run from a checkout that was not installed
    __version__ = "0.0.0"
