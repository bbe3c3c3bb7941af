"""Types of columns, how a file's type fits a staging column, and how the column has to grow.

A value is never changed silently: what fits every value of a type is cast, what fits only some is
checked value by value, and the rest is a conflict that puts the file into quarantine. So it is with
what a stream declares. Any other part has the join of all types that landed, at worst text, so that
it does not matter which came first.
"""
