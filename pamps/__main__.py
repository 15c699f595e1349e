"""The entry point of the command `pamps`."""


def main() -> None:
    """Run the command line.

    It is imported here and not above, as each worker of `pamps serve` imports this module anew.
    """
    from pamps.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
