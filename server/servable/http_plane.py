"""The HTTP side put together: which handler answers which path."""
