"""``python -m img23d``, and the ``img23d`` command."""

import os


def main() -> None:
    """Run the command line; Ctrl-C while it is still loading ends as it does later on."""
    try:
        from img23d.cli import main as command

        command()
    except KeyboardInterrupt:
        os._exit(130)


if __name__ == "__main__":
    main()
