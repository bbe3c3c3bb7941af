"""Words that messages share, and where a run of dbt says them."""

from __future__ import annotations

from lotus_lake.escaping import printable

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


def say(line: str) -> None:
    """Say something in a run of dbt, in the format of its own lines."""
    # Not all who count import dbt.
    from dbt_common.events.functions import fire_event
    from dbt_common.events.types import Note

    fire_event(Note(msg=printable(line)))
