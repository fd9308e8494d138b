"""`python -m dialplan` is `dialplan`."""

from dialplan.cli import main

main()
