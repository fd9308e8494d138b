"""A very short day; `make soak HOURS=…` lives through one that is as long as it is told."""
