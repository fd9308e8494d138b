"""Strangers' Python: loaded, read, and never trusted."""
