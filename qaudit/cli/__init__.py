"""The command line: one file a command, each a thin listener on the rooms."""
