"""Room: to be written."""
