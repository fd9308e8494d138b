"""`dialplan doctor`: whether everything between a caller and an agent is as it should be. Begin with examination.py."""
