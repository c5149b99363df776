from vidtrans.cli.main import main

main()
