"""What a feed has to record as a change of the stream's schema."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lotus_lake.feeder.fitting import Group
from lotus_lake.schema.growth import differences, join
from lotus_lake.schema.types import Type, dotted, part_at


def growths(
    before: Mapping[str, Type], columns: Mapping[str, Type], groups: Sequence[Group]
) -> list[dict[str, str | None]]:
    """How the staging table grows, and by which file first, as rows of meta.schema_changes."""
    found = []
    for name, type_ in columns.items():
        for path, old, new in differences(before.get(name), type_):
            # What was text has been declared since.
            if old is not None and join(old, new) == old:
                continue
            parts = [
                (part, probe.file)
                for group in groups
                if (part := _part(group, name, path)) is not None
                for probe in group.probes
            ]
            # Where no file has another type, it was a value that did not fit.
            bringers = [
                file
                for part, file in parts
                if old is None or (join(old, part) != old and join(part, new) == new)
            ] or [file for _, file in parts]
            # A column that was declared since then may be in no file.
            if bringers:
                first = min(bringers, key=lambda file: file.order)
                found.append(
                    {
                        "column_name": dotted(name, path),
                        "change": "widened" if old else "added",
                        "type_before": old.sql() if old else None,
                        "type_after": new.sql(),
                        "path": first.path,
                    }
                )
    return found


def _part(group: Group, column: str, path: tuple[str, ...]) -> Type | None:
    """What files of a group have at a place of a column; None when it is nothing but nulls."""
    whole = next(
        (type_ for name, type_ in group.schema.items() if name.lower() == column.lower()), None
    )
    part = part_at(whole, path) if whole else None
    return None if part is None or part.unknown else part
