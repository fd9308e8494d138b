"""What stands between this project and a phone call, found out without placing one."""
