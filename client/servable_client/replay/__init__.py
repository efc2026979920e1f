"""The command replay: recorded requests sent again, and their answers compared with the recorded ones."""
