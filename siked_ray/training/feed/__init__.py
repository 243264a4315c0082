"""From a table of rows to each worker's packed rows."""
