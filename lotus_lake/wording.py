"""Words that messages share."""

from __future__ import annotations

# The same as a macro of SQL, ``counted(number, noun)``.
COUNTED_SQL = (
    "create or replace temp macro counted(number, noun) as"
    " format('{:,d} {}', number::bigint, if(number = 1, noun, noun || 's'))"
)


def counted(number: int, one: str, others: str = "") -> str:
    """A number with its noun, which agrees with it: ``1 file``, ``2,000 files``.

    Args:
        number: The number.
        one: What one thing is called.
        others: What any other number of them is called; the noun with an s unless told otherwise.
    """
    return f"{number:,} {one if number == 1 else others or f'{one}s'}"
