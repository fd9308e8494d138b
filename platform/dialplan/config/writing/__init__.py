"""Files for people: a new agent, an agent as it counts, the schema for editors."""
