"""The program `leccr`, also as `python -m leccr`."""

from .interrupts import run_interruptible


def main() -> None:
    """Run the command line, whose import is not to be in the way of Ctrl-C."""

    def run() -> None:
        from .cli import main

        main()

    run_interruptible(run)


if __name__ == "__main__":
    main()
