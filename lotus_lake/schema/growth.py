"""How a column's type grows so that it holds a file's too."""

from __future__ import annotations

from collections.abc import Iterator

from lotus_lake.schema.types import FLOATS, INTEGERS, UNSIGNED, Type, quote


def merge(target: Type, source: Type, declared: Type | None = None, *, top: bool = True) -> Type:
    """The type that a staging column needs so that it can hold a file's type too.

    Fields are added to structs, also inside lists, and the number of a whole column (``top``) is
    widened within its family; the rest is left to :func:`convert`. Parts that are not declared are
    joined; declared is the target's type unless told otherwise.
    """
    declared = declared or target
    if source.kind == "json" and source.element is not None:
        return merge(target, source.element, declared, top=top)
    if target.kind == "struct" and source.kind == "struct":
        return _with_fields(target, source, declared)
    if target.kind == "list" and source.kind == "list" and target.element and source.element:
        return Type.list_of(_merge_part(target.element, source.element, declared.element))
    source = source.known()
    # DuckLake cannot change the type of a nested field.
    return source if top and widens(target, source) else target


def _merge_part(target: Type, source: Type, declared: Type | None) -> Type:
    return merge(target, source, declared, top=False) if declared else join(target, source)


def join(one: Type, other: Type) -> Type:
    """The type of a part that no stream declares, of which some files have one type, some another.

    In whatever order types are joined, the result is the same. Integers among doubles, and unsigned
    ones among others, may turn out not to fit: then it is text, see :func:`carry`.
    """
    if other.unknown:
        return one
    if one.kind == "struct" and other.kind == "struct":
        return _with_fields(one, other, None)
    if one.element and other.element:
        return Type.list_of(join(one.element, other.element))
    other = other.known()
    if one == other:
        return one
    numbers = [one.name, other.name]
    if all(name in UNSIGNED for name in numbers):
        return Type.scalar(max(numbers, key=UNSIGNED.index))
    if all(name in (*INTEGERS, *UNSIGNED) for name in numbers):
        # DuckLake has nothing wider than BIGINT that keeps every integer.
        return Type.scalar(INTEGERS[min(max(map(_signed, numbers)), 3)])
    if all(name in (*INTEGERS, *UNSIGNED, *FLOATS) for name in numbers):
        return Type.scalar("DOUBLE")
    return Type.scalar("VARCHAR")


def _signed(name: str) -> int:
    return INTEGERS.index(name) if name in INTEGERS else UNSIGNED.index(name) + 1


def _with_fields(target: Type, source: Type, declared: Type | None) -> Type:
    fields = []
    for name, child in target.fields:
        other = source.child(name)
        known = declared and declared.child(name)
        fields.append((name, _merge_part(child, other, known) if other else child))
    for name, child in source.fields:
        if target.child(name) is None and not child.unknown:
            known = declared and declared.child(name)
            new = child.known()
            fields.append((name, _merge_part(known, new, known) if known else new))
    return Type.struct(fields)


def widens(old: Type, new: Type) -> bool:
    """Whether DuckLake can change a column's type from one to the other."""
    signed = INTEGERS[:4]
    return (old.name, new.name) == ("FLOAT", "DOUBLE") or (
        old.name in signed
        and new.name in signed
        and signed.index(new.name) > signed.index(old.name)
    )


def redeclared(old: Type, declared: Type) -> Type:
    """A staging column's type, with the declared type where it is text and was declared since."""
    if old.name == "VARCHAR":
        return declared
    if old.kind == "struct":
        return Type.struct(
            [
                (name, redeclared(child, known) if (known := declared.child(name)) else child)
                for name, child in old.fields
            ]
        )
    if old.element and declared.element:
        return Type.list_of(redeclared(old.element, declared.element))
    return old


def differences(
    old: Type | None, new: Type, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Type | None, Type]]:
    """Every part of a type that is not as it was: its path, its type before and after.

    A step of a path is a field's name, or ``[]`` for the elements of a list. A part that is new has
    no type before, and its own parts are not told apart.
    """
    if old is not None and old.kind == "struct" and new.kind == "struct":
        for name, child in new.fields:
            yield from differences(old.child(name), child, (*path, name))
    elif old is not None and old.element and new.element:
        yield from differences(old.element, new.element, (*path, "[]"))
    elif old != new:
        yield path, old, new


def differs_in_list(one: Type, other: Type) -> bool:
    """Whether some list that both have is one of other elements.

    DuckDB 1.5.5 writes beyond the end of its memory where DuckLake reads the elements of such a
    list from a file as those of the table (docs/decisions/0013): never let it.
    """
    if one.kind == "list" and other.kind == "list":
        return one.sql() != other.sql()
    return any(
        differs_in_list(child, counterpart)
        for name, child in one.fields
        if (counterpart := other.child(name))
    )


def needs_writing(old: Type, new: Type) -> bool:
    """Whether values have to be written anew: DuckLake adds fields and widens whole columns only.

    For lists see :func:`differs_in_list`.
    """
    return any(
        "[]" in path or (before and (path or not widens(before, after)))
        for path, before, after in differences(old, new)
    )


def growth(table: str, column: str, old: Type | None, new: Type) -> list[str]:
    """The ALTER statements for a column's next type, unless it :func:`needs_writing`."""
    statements = []
    for path, before, after in differences(old, new):
        name = ".".join(map(quote, (column, *path)))
        change = f"alter column {name} set data type" if before else f"add column {name}"
        statements.append(f"alter table {table} {change} {after.sql()}")
    return statements
