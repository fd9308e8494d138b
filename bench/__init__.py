"""What a call costs: Dialplan beside a textbook bridge, and beside the least that Python can do. `python -m bench`."""
