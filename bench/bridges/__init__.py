"""Servers between a phone network and a speech service, for comparison. Each is run with `--port` and `--service`."""
