"""The world, for testing: the phone network, the speech service, ears and voices. The extra `rehearsal`."""
