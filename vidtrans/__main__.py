"""``python -m vidtrans``: the command line."""

from vidtrans.cli.main import main

main()
