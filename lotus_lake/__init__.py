"""The Python side of the lake: what SQL cannot do well."""
