"""From the command line to a living driver."""
