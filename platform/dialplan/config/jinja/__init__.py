"""Templates: a sandbox, and every mistake in them with its place."""
