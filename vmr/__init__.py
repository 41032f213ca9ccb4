"""Moments: search your own videos by what happens in them."""

__version__ = "0.2.0"
