"""What is kept of calls: one database, written beside the calls, read by the commands and by other processes."""
