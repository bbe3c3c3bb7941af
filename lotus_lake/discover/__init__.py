"""Compares landed files with the declared sources, and makes a new stream out of landed files."""
