"""`python -m vagus.daemon` is `vagus`."""

from vagus.daemon.cli import main

if __name__ == "__main__":
    main()
