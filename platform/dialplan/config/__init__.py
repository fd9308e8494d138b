"""From YAML files to checked, frozen values."""
