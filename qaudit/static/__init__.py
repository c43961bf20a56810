"""Static rules over a download: nothing in it is run, loaded or unpickled, and nothing heavy is imported."""
