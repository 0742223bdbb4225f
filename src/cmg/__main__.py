"""``python -m cmg`` is the ``cmg`` command."""

from cmg.cli.main import main

if __name__ == "__main__":
    main()
