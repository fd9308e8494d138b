"""Other people's message formats: one file per vendor, pure, without I/O."""
