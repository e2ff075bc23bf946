"""``python -m img23d`` is the same as the ``img23d`` command."""

from img23d.cli import main

if __name__ == "__main__":
    main()
