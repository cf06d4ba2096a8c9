from visreason.cli import main

if __name__ == "__main__":  # processes that are started afresh import this file under another name
    raise SystemExit(main())
