"""The command line as a module: ``python -m vidtrans``."""

from vidtrans.cli.main import main

main()
