"""What may stand in an agent file, what it means, and what is wrong with it."""
