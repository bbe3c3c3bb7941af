"""Which fields of what landed the models read, out of their SQL.

dbt-colibri follows columns. The fields inside them are followed here, through structs, lists,
lambdas and subqueries, since a field is what Airbyte has to deliver. Each query becomes the columns
that it gives, with the parts of a stream that they stand for. Every part that is named on the way
is a read, whether anything comes of it or not: without it DuckDB would refuse the query.

SQL that a macro runs by itself, such as the block of ``recompute``, is in no compiled model.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Any

import sqlglot
from sqlglot import exp

from lotus_lake.airbyte.declared import Manifest
from lotus_lake.config import LakeError
from lotus_lake.schema import Type
from lotus_lake.streams import LINEAGE_COLUMNS, Stream

# What a staging table has besides the columns that landed.
_OWN_COLUMNS = {*LINEAGE_COLUMNS, "rowid", "snapshot_id", "filename"}

# What gives its first argument as it was, what gives one of several, an element, or a list of them.
_PASSES_FIRST = (
    *(exp.Alias, exp.Paren, exp.Cast, exp.Distinct, exp.IgnoreNulls, exp.RespectNulls, exp.Nullif),
    *(exp.AnyValue, exp.First, exp.Last, exp.ArgMax, exp.ArgMin, exp.Max, exp.Min),
    *(exp.ArraySort, exp.ArrayDistinct, exp.Window),
)
_PASSES_ANY = (exp.Coalesce, exp.ArrayConcat)
_TAKES_ELEMENT = (exp.Flatten, exp.Explode, exp.Unnest)
_MAKES_LIST = (exp.Array, exp.ArrayAgg)
# The same of functions that the parser knows by name only.
_PASSES_BY_NAME = {"list_slice", "list_reverse", "list_reverse_sort", "list_resize"}
_ELEMENT_BY_NAME = {"list_extract", "list_first", "list_last", "list_any_value"}


@dataclass(frozen=True)
class Part:
    """A part of a stream's records.

    Args:
        stream: The stream.
        path: The column, then fields; ``[]`` for the elements of a list.
        lists: In so many lists it was put by the query.
    """

    stream: Stream
    path: tuple[str, ...]
    lists: int = 0

    def field(self, name: str) -> Part:
        """A field of it."""
        return replace(self, path=(*self.path, name))

    def element(self) -> Part:
        """An element of it."""
        if self.lists:
            return replace(self, lists=self.lists - 1)
        return replace(self, path=(*self.path, "[]"))

    def listed(self) -> Part:
        """A list of it."""
        return replace(self, lists=self.lists + 1)

    def __hash__(self) -> int:
        return hash((self.stream.label, self.path, self.lists))


Parts = frozenset[Part]
_NONE: Parts = frozenset()


@dataclass(frozen=True)
class Read:
    """A model names a part of a stream's records.

    Args:
        model: Name of the model, snapshot, test or analysis.
        column: The column of the query in which it stands; empty outside of the select list.
        stream: The stream.
        path: As in :class:`Part`.
    """

    model: str
    column: str
    stream: Stream
    path: tuple[str, ...]

    @property
    def is_declared(self) -> bool:
        """Whether the stream declares it, so that it is selected in the catalog."""
        return _has(self.stream, self.path)

    @property
    def field(self) -> str:
        """The path as it is written."""
        return ".".join(self.path).replace(".[]", "[]")

    def __str__(self) -> str:
        where = f"column {self.column}" if self.column else "a condition"
        return (
            f"{self.model} ({where}) reads {self.field} of {self.stream.label}, which is not "
            f"declared, so that Airbyte does not deliver it. Declare it in the source's YAML, then "
            "run: make airbyte-catalog"
        )

    def __hash__(self) -> int:
        return hash((self.model, self.column, self.stream.label, self.path))


def undeclared(manifest: Manifest, streams: Iterable[Stream]) -> list[Read]:
    """What is read and not declared, of each the outermost part that is missing.

    Raises:
        LakeError: As :func:`reads`.
    """
    missing = [read for read in reads(manifest, streams) if not read.is_declared]
    return [
        read
        for read in missing
        if not any(
            (other.model, other.stream.label) == (read.model, read.stream.label)
            and other.path != read.path
            and other.path == read.path[: len(other.path)]
            for other in missing
        )
    ]


def reads(manifest: Manifest, streams: Iterable[Stream]) -> list[Read]:
    """What the models, and whatever else was compiled, read of these streams.

    Raises:
        LakeError: The models were not compiled, or the SQL of one cannot be followed.
    """
    staging = {f"stg_{stream.source}__{stream.name}": stream for stream in streams}
    nodes: Mapping[str, Any] = manifest["nodes"]
    tables: dict[str, _Relation] = {}
    found: dict[Read, None] = {}
    order = TopologicalSorter(
        {name: [one for one in _inputs(node) if one in nodes] for name, node in nodes.items()}
    )
    for name in order.static_order():
        node = nodes[name]
        if node["resource_type"] == "model" and node["language"] == "python":
            if node["name"] in staging:
                tables[_table(node)] = _Relation(streams=(staging[node["name"]],))
            continue
        if node["resource_type"] in ("model", "snapshot") and not node.get("compiled_code"):
            raise LakeError(
                f"The manifest has no compiled SQL of {node['name']}: run "
                "make airbyte-catalog CHECK=1, which has dbt compile."
            )
        if node.get("compiled_code") and node["resource_type"] != "seed":
            follower = _Follower(node["name"], tables, found)
            try:
                query = sqlglot.parse_one(node["compiled_code"], dialect="duckdb")
                relation = follower.relation(query, {}, None)
            except (sqlglot.errors.SqlglotError, RecursionError) as error:
                raise LakeError(
                    f"The SQL of {node['name']} cannot be followed: {str(error).splitlines()[0]}"
                ) from error
            if node.get("relation_name"):
                tables[_table(node)] = relation
    return list(found)


def _inputs(node: Mapping[str, Any]) -> list[str]:
    inputs: list[str] = node.get("depends_on", {}).get("nodes", [])
    return inputs


def _table(node: Mapping[str, Any]) -> str:
    """A node's table, as :meth:`_Follower.table` looks it up."""
    return str(node["relation_name"]).replace('"', "").lower()


def _has(stream: Stream, path: tuple[str, ...]) -> bool:
    name, *steps = path
    if name in _OWN_COLUMNS:
        return True
    columns = {column.lower(): type_ for column, type_ in stream.columns.items()}
    part: Type | None = columns.get(name)
    for step in steps:
        if part is None:
            return False
        if step == "[]":
            # Of a text it is a letter.
            part = part.element if part.kind == "list" else part if not part.nested else None
        else:
            part = part.child(step)
    return part is not None


@dataclass(frozen=True)
class _Relation:
    """What a table or query gives.

    Args:
        columns: Columns by name, in their order, each with what it stands for.
        streams: Streams of which it has every column as well.
    """

    columns: Mapping[str, Parts] = field(default_factory=dict)
    streams: tuple[Stream, ...] = ()

    def known(self, name: str) -> Parts | None:
        """A column that it has for certain, else None."""
        if name in self.columns:
            return self.columns[name]
        having = [Part(stream, (name,)) for stream in self.streams if _has(stream, (name,))]
        return frozenset(having) if having else None

    def get(self, name: str) -> Parts:
        """A column that it has, or would have if it landed."""
        found = self.known(name)
        if found is None:
            found = frozenset(Part(stream, (name,)) for stream in self.streams)
        return found

    def without(self, names: set[str]) -> _Relation:
        """It without some columns. Those of streams stay: nobody asks for them."""
        kept = {name: parts for name, parts in self.columns.items() if name not in names}
        return replace(self, columns=kept)

    def named(self, names: list[str]) -> _Relation:
        """It with the first columns named anew, as in ``as t (a, b)``."""
        parts = list(self.columns.values())
        renamed = {
            name: parts[place] if place < len(parts) else _NONE for place, name in enumerate(names)
        }
        return replace(self, columns=renamed) if names else self

    def both(self, other: _Relation) -> _Relation:
        """The columns of the two side by side."""
        return _Relation(
            {**other.columns, **self.columns},
            tuple({one.label: one for one in (*self.streams, *other.streams)}.values()),
        )

    def stacked(self, other: _Relation, *, by_name: bool) -> _Relation:
        """The rows of the two, one after the other."""
        theirs = list(other.columns.values())
        columns = {
            name: parts
            | (
                other.columns.get(name, _NONE)
                if by_name
                else theirs[place]
                if place < len(theirs)
                else _NONE
            )
            for place, (name, parts) in enumerate(self.columns.items())
        }
        return replace(
            self.both(other), columns={**other.columns, **columns} if by_name else columns
        )


@dataclass
class _Scope:
    """What names mean in a query.

    Args:
        ctes: Its common table expressions.
        outer: The query around it.
        tables: What it selects from, by alias.
        aliases: Its own columns, as far as they were read.
        variables: Parameters of the lambdas around an expression.
        column: The column whose expression is read.
    """

    ctes: Mapping[str, _Relation]
    outer: _Scope | None
    tables: dict[str, _Relation] = field(default_factory=dict)
    aliases: dict[str, Parts] = field(default_factory=dict)
    variables: dict[str, Parts] = field(default_factory=dict)
    column: str = ""

    def name(self, name: str) -> Parts:
        """What a name without a table means: the nearest thing that has it for certain."""
        scope: _Scope | None = self
        while scope:
            if name in scope.variables:
                return scope.variables[name]
            sure = [
                parts for one in scope.tables.values() if (parts := one.known(name)) is not None
            ]
            if sure:
                return frozenset().union(*sure)
            if name in scope.aliases:
                return scope.aliases[name]
            scope = scope.outer
        return frozenset().union(*(one.get(name) for one in self.tables.values()))

    def table(self, name: str) -> _Relation | None:
        """A table of this query or of one around it."""
        scope: _Scope | None = self
        while scope:
            if name in scope.variables:
                return None
            if name in scope.tables:
                return scope.tables[name]
            scope = scope.outer
        return None


@dataclass
class _Follower:
    """Reads the SQL of one model.

    Args:
        model: Its name.
        tables: What the tables give that it may read.
        found: Where reads are put.
    """

    model: str
    tables: Mapping[str, _Relation]
    found: dict[Read, None]

    # -- queries -----------------------------------------------------------------------------------

    def relation(
        self, query: exp.Expr, ctes: Mapping[str, _Relation], outer: _Scope | None
    ) -> _Relation:
        """What a query gives."""
        known = dict(ctes)
        for cte in getattr(query, "ctes", []):
            name = cte.alias.lower()
            known.pop(name, None)
            known[name] = self.relation(cte.this, known, outer).named(_names(cte))
        if isinstance(query, exp.Subquery):
            return self.relation(query.this, known, outer)
        if isinstance(query, exp.SetOperation):
            left = self.relation(query.this, known, outer)
            right = self.relation(query.expression, known, outer)
            return left.stacked(right, by_name=bool(query.args.get("by_name")))
        around = outer.column if outer else ""
        scope = _Scope(known, outer, column=around)
        if not isinstance(query, exp.Select):
            self.inside(query, scope)
            return _Relation()
        for source in _sources(query):
            self.source(source, scope)
        result = _Relation()
        for projection in query.expressions:
            result = result.both(self.projection(projection, scope))
        scope.column = around
        for name, clause in query.args.items():
            if name not in ("expressions", "from_", "joins", "laterals", "with_"):
                for expression in clause if isinstance(clause, list) else [clause]:
                    if isinstance(expression, exp.Expr):
                        self.parts(expression, scope)
        return result

    def source(self, source: exp.Expr, scope: _Scope) -> None:
        """Add to the scope what stands in FROM or JOIN."""
        if isinstance(source, exp.Join):
            self.source(source.this, scope)
            for name in source.args.get("using") or []:
                for relation in scope.tables.values():
                    self.saw(relation.get(name.name.lower()), scope)
            if source.args.get("on"):
                self.parts(source.args["on"], scope)
            return
        inner = source.this if isinstance(source, exp.Lateral) else source
        if isinstance(inner, exp.Unnest | exp.Explode):
            arguments = inner.expressions or [inner.this]
            elements = [_elements(self.parts(argument, scope)) for argument in arguments]
            relation = _Relation(
                {f"unnest{place or ''}": one for place, one in enumerate(elements)}
            )
        elif isinstance(inner, exp.Table) and isinstance(inner.this, exp.Identifier):
            relation = self.table(inner, scope)
        elif isinstance(inner, exp.Query):
            relation = self.relation(inner, scope.ctes, scope)
        else:
            self.inside(inner, scope)
            relation = _Relation()
        scope.tables[(source.alias_or_name or f"#{len(scope.tables)}").lower()] = relation.named(
            _names(source)
        )
        for join in inner.args.get("joins") or []:
            self.source(join, scope)

    def table(self, table: exp.Table, scope: _Scope) -> _Relation:
        """A common table expression or a table of the lake; others have nothing that landed."""
        parts = [part.name.lower() for part in table.parts]
        if len(parts) == 1 and parts[0] in scope.ctes:
            return scope.ctes[parts[0]]
        return self.tables.get(".".join(parts), _Relation())

    def projection(self, projection: exp.Expr, scope: _Scope) -> _Relation:
        """The column that an expression of the select list gives, or those of a star."""
        star = projection.this if isinstance(projection, exp.Column) else projection
        if isinstance(star, exp.Star):
            whole = _Relation()
            if isinstance(projection, exp.Column):
                whole = scope.table(projection.table.lower()) or whole
            else:
                for table in scope.tables.values():
                    whole = whole.both(table)
            left_out = {one.name.lower() for one in star.args.get("except_") or []}
            changed = [self.projection(one, scope) for one in star.args.get("replace") or []]
            whole = whole.without(left_out)
            for one in changed:
                whole = one.both(whole)
            return whole
        name = projection.alias_or_name.lower()
        scope.column = projection.alias_or_name
        parts = self.parts(projection, scope)
        scope.aliases.setdefault(name, parts)
        return _Relation({name: parts})

    # -- expressions -------------------------------------------------------------------------------

    def parts(self, expression: exp.Expr, scope: _Scope) -> Parts:
        """What an expression stands for, if it is a part of a record; notes what it names."""
        match expression:
            case exp.Column():
                return self.column(expression, scope)
            case exp.Identifier():
                return self.saw(scope.name(expression.name.lower()), scope)
            case exp.Dot(expression=exp.Identifier()):
                return self.fields(
                    self.parts(expression.this, scope), [expression.expression.name], scope
                )
            case exp.StructExtract(expression=exp.Literal()):
                return self.fields(
                    self.parts(expression.this, scope), [expression.expression.name], scope
                )
            case exp.Bracket():
                return self.bracket(expression, scope)
            case exp.ArrayFilter(expression=exp.Lambda()) | exp.Transform(expression=exp.Lambda()):
                return self.with_lambda(expression, expression.this, expression.expression, scope)
            case exp.Anonymous(expressions=[lists, exp.Lambda() as function, *_]):
                return self.with_lambda(expression, lists, function, scope)
            case exp.Comprehension():
                return self.comprehension(expression, scope)
            case exp.If() | exp.Case():
                return self.branches(expression, scope)
            case exp.Query():
                return next(
                    iter(self.relation(expression, scope.ctes, scope).columns.values()), _NONE
                )
        by_name = expression.name.lower() if isinstance(expression, exp.Anonymous) else ""
        arguments = list(_arguments(expression))
        given = [self.parts(one, scope) for one in arguments]
        first = given[0] if given else _NONE
        if isinstance(expression, _PASSES_FIRST) or by_name in _PASSES_BY_NAME:
            return first
        if isinstance(expression, _PASSES_ANY):
            return frozenset().union(*given)
        if isinstance(expression, _TAKES_ELEMENT) or by_name in _ELEMENT_BY_NAME:
            return self.saw(_elements(first), scope)
        if isinstance(expression, _MAKES_LIST):
            return frozenset(part.listed() for part in frozenset().union(*given))
        return _NONE

    def inside(self, expression: exp.Expr, scope: _Scope) -> None:
        """Note what the parts of an expression name that is itself no part of a record."""
        self.all(_arguments(expression), scope)

    def all(self, expressions: Iterable[exp.Expr], scope: _Scope) -> Parts:
        """What any of these expressions stands for."""
        return frozenset().union(*(self.parts(one, scope) for one in expressions))

    def column(self, column: exp.Column, scope: _Scope) -> Parts:
        """A column with the fields that are named after it; the first name may be a table's."""
        first, *rest = [part.name for part in column.parts]
        relation = scope.table(first.lower()) if rest else None
        if relation is not None:
            found = relation.get(rest.pop(0).lower())
        else:
            found = scope.name(first.lower())
        return self.fields(self.saw(found, scope), rest, scope)

    def fields(self, parts: Parts, names: Iterable[str], scope: _Scope) -> Parts:
        """A field of a field of these."""
        for name in names:
            parts = self.saw(frozenset(part.field(name.lower()) for part in parts), scope)
        return parts

    def bracket(self, expression: exp.Bracket, scope: _Scope) -> Parts:
        """A field of an object, an element of a list, or some of its elements."""
        parts = self.parts(expression.this, scope)
        (index, *_) = expression.expressions
        self.all(expression.expressions, scope)
        if isinstance(index, exp.Slice):
            return parts
        if isinstance(index, exp.Literal) and index.is_string:
            return self.fields(parts, [index.name], scope)
        return self.saw(_elements(parts), scope)

    def with_lambda(
        self,
        call: exp.Expr,
        list_: exp.Expr,
        function: exp.Lambda,
        scope: _Scope,
    ) -> Parts:
        """``list_filter`` gives the list itself, others a list of what the lambda gives."""
        lists = self.parts(list_, scope)
        elements = self.saw(_elements(lists), scope)
        # A second parameter is another element, or a place in the list, which has no fields.
        names = [one.name.lower() for one in function.expressions]
        given = self.bound(function.this, dict.fromkeys(names, elements), scope)
        if isinstance(call, exp.ArrayFilter):
            return lists
        return frozenset(part.listed() for part in given)

    def comprehension(self, expression: exp.Comprehension, scope: _Scope) -> Parts:
        """``[x.a for x in list if x.b]``; the brackets around it are an array's own."""
        elements = _elements(self.parts(expression.args["iterator"], scope))
        bound = {expression.expression.name.lower(): self.saw(elements, scope)}
        if expression.args.get("condition"):
            self.bound(expression.args["condition"], bound, scope)
        return self.bound(expression.this, bound, scope)

    def bound(self, body: exp.Expr, variables: dict[str, Parts], scope: _Scope) -> Parts:
        """A lambda's body."""
        inner = replace(scope, variables={**scope.variables, **variables})
        return self.parts(body, inner)

    def branches(self, expression: exp.Expr, scope: _Scope) -> Parts:
        """What the branches of a condition give."""
        found = _NONE
        for name, value in expression.args.items():
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, exp.Expr):
                    given = self.parts(one, scope)
                    is_branch = name in ("true", "false", "default", "ifs")
                    found |= given if is_branch else _NONE
        return found

    def saw(self, parts: Parts, scope: _Scope) -> Parts:
        """Note that these were named."""
        for part in parts:
            if not part.lists:
                self.found[Read(self.model, scope.column, part.stream, part.path)] = None
        return parts


def _elements(parts: Parts) -> Parts:
    return frozenset(part.element() for part in parts)


def _names(source: exp.Expr) -> list[str]:
    """The names in ``as t (a, b)``."""
    return [name.lower() for name in source.alias_column_names]


def _sources(query: exp.Select) -> Iterator[exp.Expr]:
    """What a query selects from, in the order in which one may refer to another."""
    if query.args.get("from_"):
        yield query.args["from_"].this
    yield from query.args.get("joins") or []
    yield from query.args.get("laterals") or []


def _arguments(expression: exp.Expr) -> Iterator[exp.Expr]:
    """The expressions right inside of one, but for names that are no columns."""
    for name, value in expression.args.items():
        for one in value if isinstance(value, list) else [value]:
            # An identifier that is an argument is the name of an alias, a function or a parameter.
            if isinstance(one, exp.Expr) and not (
                isinstance(one, exp.Identifier) and name != "expressions"
            ):
                yield one
