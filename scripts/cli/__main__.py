"""`python -m scripts.cli`: the command, also where nothing is installed."""

from scripts.cli.main import main

main()
