"""The Python side of the lake: what SQL cannot do well."""

__version__ = "0.1.0"
