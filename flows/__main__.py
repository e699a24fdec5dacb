"""``python -m flows`` is ``kinprint``."""

from flows.cli import main

if __name__ == "__main__":
    main()
