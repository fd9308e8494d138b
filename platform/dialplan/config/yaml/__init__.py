"""YAML as text: read with the place of every value, and written."""
