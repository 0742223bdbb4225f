"""The ``cmg`` command: thin; every subcommand calls a recipe."""
