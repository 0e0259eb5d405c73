"""``python -m harness`` is the command `harness`."""

from .commands.main import main

main()
