"""Servers between a phone network and a speech service, for comparison. Each is run with `--port` and `--service`."""

import argparse


def options(description: str | None) -> argparse.Namespace:
    """What every bridge is told: `port` to listen on, and `service`, the speech service's address."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--service", required=True)
    return parser.parse_args()
