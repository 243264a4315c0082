"""The commands of the command line, one module each; heavy imports stand inside the functions that need them."""
