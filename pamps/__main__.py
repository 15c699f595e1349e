"""The entry point of the command `pamps`."""


def main() -> None:
    # Imported here, as each worker of `pamps serve` imports this module, and needs no commands.
    from pamps.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
