"""Which fields of what landed the models read, out of their SQL.

dbt-colibri follows columns. The fields inside them are followed here, through structs, lists,
lambdas and subqueries, since a field is what Airbyte has to deliver. Each query becomes the columns
that it gives, with the parts of a stream that they stand for. Every part that is named on the way
is a read, whether anything comes of it or not: without it DuckDB would refuse the query.

Whether a value is a part, a list of it or one of a list makes no difference to the names in it, so
lists are not told apart, and what a function gives may be whatever it was given. SQL of which that
does not tell what it reads is refused, and so is Python over what landed.

The block of ``recompute`` is run by the macro; it stands as a comment in what dbt compiles.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter
from typing import Any, NoReturn

import sqlglot
from sqlglot import exp

from lotus_lake.airbyte.declared import Manifest
from lotus_lake.config import LakeError
from lotus_lake.schema import Type
from lotus_lake.streams import LINEAGE_COLUMNS, Stream

# What a staging table has besides the columns that landed.
_OWN_COLUMNS = {*LINEAGE_COLUMNS, "rowid", "snapshot_id", "filename"}

# What the macro recompute leaves of its block.
_KEYS = re.compile(r"/\* recompute: (.*?) \*/", re.DOTALL)

# Functions that give a field or an element, and those that give an object with more fields.
_EXTRACT = {"struct_extract", "array_extract", "list_extract", "list_element"}
_ADD_FIELDS = {"struct_insert", "struct_update", "struct_concat"}
_JSON = (exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONBExtractScalar)


@dataclass(frozen=True)
class Part:
    """A part of a stream's records.

    Args:
        stream: The stream.
        path: The column, then fields; empty for a whole record.
    """

    stream: Stream
    path: tuple[str, ...]

    def field(self, name: str) -> Part:
        """A field of it."""
        return replace(self, path=(*self.path, name))

    @property
    def type(self) -> Type | None:
        """What it is declared as, of a list what its elements are; None when it is not declared."""
        *_, last = _types(self.stream, self.path)
        return _innermost(last)

    @property
    def has_fields(self) -> bool:
        """Whether something in it can be named."""
        return not self.is_own and (self.type is None or self.type.kind == "struct")

    @property
    def is_own(self) -> bool:
        """Whether it is the lake's own, and did not land."""
        return self.path[:1] != () and self.path[0] in _OWN_COLUMNS

    def __hash__(self) -> int:
        return hash((self.stream.label, self.path))


Parts = frozenset["Part | _Relation"]
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
        part = Part(self.stream, self.path)
        return part.is_own or part.type is not None

    @property
    def field(self) -> str:
        """The path as it is written: ``line_items[].price``."""
        text = self.path[0]
        types = _types(self.stream, self.path)
        for type_, name in zip(list(types)[1:], self.path[1:], strict=False):
            text += f"{'[]' if type_ and type_.kind == 'list' else ''}.{name}"
        return text

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
                record = Part(staging[node["name"]], ())
                tables[_table(node)] = _Relation(whole=frozenset([record]))
            else:
                inputs = (nodes[one] for one in _inputs(node) if one in nodes)
                _check_python(node, (tables.get(_table(one)) for one in inputs))
            continue
        if node["resource_type"] in ("model", "snapshot") and not node.get("compiled_code"):
            raise LakeError(
                f"The manifest has no compiled SQL of {node['name']}: run "
                "make airbyte-catalog CHECK=1, which has dbt compile."
            )
        if node.get("compiled_code") and node["resource_type"] != "seed":
            follower = _Follower(node["name"], tables, found)
            code = node["compiled_code"]
            try:
                for sql in (*_KEYS.findall(code), code):
                    query = sqlglot.parse_one(sql, dialect="duckdb")
                    relation = follower.relation(query, {}, None)
            except (sqlglot.errors.SqlglotError, RecursionError) as error:
                raise LakeError(
                    f"The SQL of {node['name']} cannot be followed: {str(error).splitlines()[0]}"
                ) from error
            if node.get("relation_name"):
                tables[_table(node)] = relation
    return list(found)


def _check_python(node: Mapping[str, Any], inputs: Iterable[_Relation | None]) -> None:
    """Refuse Python over what landed: nothing tells what it reads.

    Raises:
        LakeError: The model is such a one.
    """
    landed = sorted({part.stream.label for one in inputs if one for part in one.whole})
    if landed:
        raise LakeError(
            f"Model {node['name']} is Python, and what it reads of {', '.join(landed)} cannot be "
            "followed. Select those columns in a model in SQL, and read that one."
        )


def _inputs(node: Mapping[str, Any]) -> list[str]:
    inputs: list[str] = node.get("depends_on", {}).get("nodes", [])
    return inputs


def _table(node: Mapping[str, Any]) -> str:
    """A node's table, as :meth:`_Follower.table` looks it up."""
    return str(node["relation_name"]).replace('"', "").lower()


def _innermost(type_: Type | None) -> Type | None:
    """The type of a list's elements, of anything else the type itself."""
    while type_ and type_.element:
        type_ = type_.element
    return type_


def _types(stream: Stream, path: tuple[str, ...]) -> Iterator[Type | None]:
    """The declared type of a record, then of each step of a path in it."""
    part: Type | None = Type.struct(list(stream.columns.items()))
    yield part
    for name in path:
        inner = _innermost(part)
        part = inner.child(name) if inner else None
        yield part


@dataclass(frozen=True, eq=False)
class _Relation:
    """What a table or query gives, or an object that a query makes.

    Args:
        columns: Columns by name, in their order, each with what it stands for.
        whole: Parts of which it has every field as well, as a column.
    """

    columns: Mapping[str, Parts] = field(default_factory=dict)
    whole: frozenset[Part] = frozenset()

    @classmethod
    def of(cls, parts: Parts) -> _Relation:
        """The fields of an object as columns."""
        found = cls(whole=frozenset(part for part in parts if isinstance(part, Part)))
        for part in parts:
            found = found.both(part) if isinstance(part, _Relation) else found
        return found

    def known(self, name: str) -> Parts | None:
        """A column that it has for certain, else None."""
        if name in self.columns:
            return self.columns[name]
        having = [part.field(name) for part in self.whole]
        return frozenset(one for one in having if one.is_own or one.type) or None

    def get(self, name: str) -> Parts:
        """A column that it has, or would have if it landed."""
        found = self.known(name)
        return frozenset(part.field(name) for part in self.whole) if found is None else found

    def without(self, names: set[str]) -> _Relation:
        """It without some columns. Those of a whole part stay: nobody asks for them."""
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
        return _Relation({**other.columns, **self.columns}, self.whole | other.whole)

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
            if name in scope.tables:
                return frozenset([scope.tables[name]])
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
        if isinstance(query, exp.Pivot):
            self.source(query.this, scope)
            self.all((one for one in _arguments(query) if one is not query.this), scope)
            return next(iter(scope.tables.values()))
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
            if source.method == "NATURAL" and any(one.whole for one in scope.tables.values()):
                self.refuse("a natural join compares whatever landed. Name the columns with using")
            for name in source.args.get("using") or []:
                for relation in scope.tables.values():
                    self.saw(relation.get(name.name.lower()), scope)
            if source.args.get("on"):
                self.parts(source.args["on"], scope)
            return
        inner = source.this if isinstance(source, exp.Lateral) else source
        if isinstance(inner, exp.Unnest | exp.Explode):
            arguments = inner.expressions if isinstance(inner, exp.Unnest) else [inner.this]
            elements = [self.parts(argument, scope) for argument in arguments]
            self.check_unnest(inner, frozenset().union(*elements))
            relation = _Relation(
                {f"unnest{place or ''}": one for place, one in enumerate(elements)}
            )
        elif isinstance(inner, exp.Table) and isinstance(inner.this, exp.Identifier):
            relation = self.table(inner, scope)
        elif isinstance(inner, exp.Table) and isinstance(inner.this, exp.Anonymous):
            relation = self.table_function(inner.this, scope)
        elif isinstance(inner, exp.Query | exp.Pivot):
            relation = self.relation(inner, scope.ctes, scope)
        else:
            self.inside(inner, scope)
            relation = _Relation()
        if _names(source) and relation.whole:
            self.refuse("it names columns by their place in what landed. Name them in a select")
        relation = relation.named(_names(source))
        scope.tables[(source.alias_or_name or f"#{len(scope.tables)}").lower()] = relation
        for pivot in inner.args.get("pivots") or []:
            self.all(_arguments(pivot), replace(scope, tables={"": relation}))
        for join in inner.args.get("joins") or []:
            self.source(join, scope)

    def table(self, table: exp.Table, scope: _Scope) -> _Relation:
        """A common table expression or a table of the lake; others have nothing that landed."""
        parts = [part.name.lower() for part in table.parts]
        if len(parts) == 1 and parts[0] in scope.ctes:
            return scope.ctes[parts[0]]
        return self.tables.get(".".join(parts), _Relation())

    def table_function(self, function: exp.Anonymous, scope: _Scope) -> _Relation:
        """The changes of a table have its columns; what ran SQL of its own would hide it."""
        name = function.name.lower()
        if name in ("query", "query_table"):
            self.refuse(f"{name}() runs SQL that only the run knows. Write it out")
        self.inside(function, scope)
        if name.startswith("ducklake_table_"):
            parts = [one.name.lower() for one in function.expressions[:3]]
            return self.tables.get(".".join(parts), _Relation())
        return _Relation()

    def projection(self, projection: exp.Expr, scope: _Scope) -> _Relation:
        """The columns that an expression of the select list gives: one, or those of a star."""
        star = projection.this if isinstance(projection, exp.Column) else projection
        if isinstance(star, exp.Star):
            return self.star(star, projection, scope)
        name = projection.alias_or_name.lower()
        scope.column = projection.alias_or_name
        parts = self.parts(projection, scope)
        if isinstance(projection, exp.Explode | exp.Unnest):
            # Without a name of its own: an object becomes as many columns as it has fields.
            return _Relation({"unnest": parts}).both(_Relation.of(parts))
        scope.aliases.setdefault(name, parts)
        return _Relation({name: parts})

    def star(self, star: exp.Star, projection: exp.Expr, scope: _Scope) -> _Relation:
        """All columns of what is selected from, of one table, or all fields of an object."""
        whole = _Relation()
        if isinstance(projection, exp.Column):
            name = projection.table.lower()
            table = scope.table(name)
            whole = table or _Relation.of(self.saw(scope.name(name), scope))
        else:
            for table in scope.tables.values():
                whole = whole.both(table)
        left_out = {one.name.lower() for one in star.args.get("except_") or []}
        for one in star.args.get("except_") or []:
            if isinstance(one, exp.Column) and one.table:
                self.parts(one, scope)
        renamed = {
            one.alias.lower(): self.saw(whole.get(one.this.name.lower()), scope)
            for one in star.args.get("rename") or []
        }
        left_out |= {one.this.name.lower() for one in star.args.get("rename") or []}
        changed = [self.projection(one, scope) for one in star.args.get("replace") or []]
        whole = _Relation(renamed).both(whole.without(left_out))
        for one in changed:
            whole = one.both(whole)
        return whole

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
            case exp.Dot(expression=exp.Anonymous() as method):
                call = exp.Anonymous(
                    this=method.name, expressions=[expression.this, *method.expressions]
                )
                return self.parts(call.copy(), scope)
            case exp.StructExtract(expression=exp.Literal()):
                return self.fields(
                    self.parts(expression.this, scope), [expression.expression.name], scope
                )
            case exp.Bracket():
                return self.bracket(expression, scope)
            case exp.ArrayFilter(expression=exp.Lambda()) | exp.Transform(expression=exp.Lambda()):
                arguments = [expression.this, expression.expression]
                return self.with_lambda(expression.sql_name().lower(), arguments, scope)
            case exp.Anonymous(expressions=[_, exp.Lambda(), *_]):
                return self.with_lambda(expression.name.lower(), expression.expressions, scope)
            case exp.Anonymous():
                return self.function(expression.name.lower(), expression, scope)
            case exp.Comprehension():
                return self.comprehension(expression, scope)
            case exp.Struct():
                return frozenset([self.made(expression.expressions, scope)])
            case exp.If() | exp.Case():
                return self.branches(expression, scope)
            case exp.Columns():
                if any(table.whole for table in scope.tables.values()):
                    self.refuse("columns() takes whatever landed. Name the columns")
            case exp.Query():
                return next(
                    iter(self.relation(expression, scope.ctes, scope).columns.values()), _NONE
                )
        found = self.given(expression, scope)
        if isinstance(expression, _JSON):
            self.check_object(found, "it reads {} as JSON. Name its fields with dots")
        elif isinstance(expression, exp.Explode):
            self.check_unnest(expression, found)
        elif isinstance(expression, exp.Cast):
            self.cast(found, expression.to, scope)
        return found

    def function(self, name: str, call: exp.Anonymous, scope: _Scope) -> Parts:
        """A function that the parser knows by its name only."""
        if name in _EXTRACT and isinstance(call.expressions[-1], exp.Literal):
            first, key = call.expressions[0], call.expressions[-1]
            return self.fields(self.parts(first, scope), [key.name] * key.is_string, scope)
        if name in _ADD_FIELDS:
            made = self.made([one for one in call.expressions if _is_named(one)], scope)
            for one in call.expressions:
                if not _is_named(one):
                    made = made.both(_Relation.of(self.parts(one, scope)))
            return frozenset([made])
        found = self.given(call, scope)
        if name == "struct_extract_at":
            self.check_object(found, "it takes a field of {} by its place. Name it with a dot")
        return found

    def given(self, expression: exp.Expr, scope: _Scope) -> Parts:
        """What an expression was given, as far as it has fields: it may give any of that."""
        found = self.all(_arguments(expression), scope)
        if isinstance(expression, exp.Alias | exp.Paren):
            return found
        return frozenset(one for one in found if isinstance(one, _Relation) or one.has_fields)

    def made(self, fields: Iterable[exp.Expr], scope: _Scope) -> _Relation:
        """An object with these fields: ``{'a': x}``, ``struct_pack(a := x)``."""
        return _Relation(
            {one.this.name.lower(): self.parts(one.expression, scope) for one in fields}
        )

    def cast(self, parts: Parts, to: exp.Expr | None, scope: _Scope) -> None:
        """A cast to an object names its fields."""
        for one in to.expressions if to else []:
            if isinstance(one, exp.ColumnDef):
                self.cast(self.fields(parts, [one.name], scope), one.kind, scope)
            elif isinstance(one, exp.DataType):
                self.cast(parts, one, scope)

    def check_unnest(self, unnest: exp.Expr, parts: Parts) -> None:
        """Refuse to unnest what is inside as well: those columns have no names here."""
        if any(isinstance(one, exp.PropertyEQ) for one in unnest.expressions):
            self.check_object(parts, "it unnests {} to its depth. Unnest it once, and name fields")

    def check_object(self, parts: Parts, why: str) -> None:
        """Refuse what reads fields of an object without naming them."""
        for part in parts:
            if isinstance(part, Part) and part.has_fields:
                self.refuse(why.format(Read("", "", part.stream, part.path).field))

    def refuse(self, why: str) -> NoReturn:
        """Say that nothing tells what the SQL reads."""
        raise LakeError(f"The SQL of {self.model} cannot be followed: {why}.")

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
        for name in map(str.lower, names):
            inner = [
                part.get(name) if isinstance(part, _Relation) else frozenset([part.field(name)])
                for part in parts
            ]
            parts = self.saw(frozenset().union(*inner), scope)
        return parts

    def bracket(self, expression: exp.Bracket, scope: _Scope) -> Parts:
        """A field of an object, an element of a list, or some of its elements."""
        parts = self.parts(expression.this, scope)
        (index, *_) = expression.expressions
        self.all(expression.expressions, scope)
        if isinstance(index, exp.Literal) and index.is_string:
            return self.fields(parts, [index.name], scope)
        return parts

    def with_lambda(self, name: str, arguments: list[exp.Expr], scope: _Scope) -> Parts:
        """A filter gives some of the list, a reduction anything, others what the lambda gives."""
        list_, function, *rest = arguments
        lists, more = self.parts(list_, scope), self.all(rest, scope)
        # A second parameter is another element, or a place in the list, which has no fields.
        names = [one.name.lower() for one in function.expressions]
        given = self.bound(function.this, dict.fromkeys(names, lists | more), scope)
        if "filter" in name:
            return lists
        return lists | more | given if "reduce" in name else given

    def comprehension(self, expression: exp.Comprehension, scope: _Scope) -> Parts:
        """``[x.a for x in list if x.b]``; the brackets around it are an array's own."""
        elements = self.parts(expression.args["iterator"], scope)
        bound = {expression.expression.name.lower(): elements}
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
            if isinstance(part, Part):
                self.found[Read(self.model, scope.column, part.stream, part.path)] = None
        return parts


def _is_named(argument: exp.Expr) -> bool:
    """Whether it is an argument like ``a := x``."""
    return isinstance(argument, exp.PropertyEQ)


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
