"""The lake's upkeep: fewer and larger files, and letting go of what nobody needs any more.

Every step commits by itself, so it may be killed at any moment; the next run goes on. The order is
that in which each step leaves less for the next, and nothing is deleted before everything else is
done (docs/maintenance.md).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import duckdb

from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.wording import counted

_CATALOG = f"__ducklake_metadata_{ALIAS}"
# Only ever grow; what else is in schema meta is changed by every build.
_HISTORY = ("invocations", "node_results")
_LINE = "{:<9}{:<44}{:>7}{:>18}{:>22}{:>8}"
HEADER = _LINE.format("step", "what", "tables", "files", "MB", "seconds")


@dataclass(frozen=True)
class Settings:
    """What there is to do.

    Args:
        history_days: Run history older than this is deleted.
        snapshot_days: How far time travel reaches back.
        cleanup_delay_days: How long a file stays after its last use.
        maintain_max_files: Most files to rewrite, and most to merge; one table may have more.
        branches: Names of the branches for which nothing expires and nothing is deleted.
        least_files: A table with fewer small files is left alone. Above 2, steps that are not worth
            while yet are left out, too.
        keep_landed: Whether landed files that wait for deletion are taken off the list.
        dry_run: Whether nothing is changed.
    """

    history_days: int
    snapshot_days: int
    cleanup_delay_days: int
    maintain_max_files: int
    branches: Sequence[str] = ()
    least_files: int = 2
    keep_landed: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class Step:
    """What a step has done, or would do: files and bytes before and after it."""

    name: str
    what: str
    tables: int | None = None
    files: tuple[int, int] | None = None
    size: tuple[int, int] | None = None
    seconds: float | None = None

    def __str__(self) -> str:
        return _LINE.format(
            self.name,
            self.what,
            "-" if self.tables is None else self.tables,
            "{:,} -> {:,}".format(*self.files) if self.files else "-",
            "{:,.1f} -> {:,.1f}".format(*(size / 1e6 for size in self.size)) if self.size else "-",
            "-" if self.seconds is None else f"{self.seconds:.1f}",
        )


def maintain(connection: duckdb.DuckDBPyConnection, **given: Any) -> Iterator[Step]:
    """Do the upkeep.

    Args:
        connection: Connection of its own with the lake attached; no transaction open.
        given: What there is to do: see Settings.

    Yields:
        Each step, when it is done.

    Raises:
        LakeError: A file that is not the lake's own waits for deletion; nothing was deleted.
    """
    settings = Settings(**given)
    upkeep = _Upkeep(connection, settings)
    upkeep.check_deletions(settings.keep_landed and not settings.dry_run)
    for step in (upkeep.prune, upkeep.flush, upkeep.rewrite, upkeep.merge):
        yield _timed(step)
    if settings.branches:
        held = f"held: branch {', '.join(settings.branches)} may need it"
        yield Step("expire", held)
        yield Step("clean up", held)
    else:
        yield _timed(upkeep.expire)
        upkeep.check_deletions(False)
        yield _timed(upkeep.clean_up)


def keep_up(connection: duckdb.DuckDBPyConnection, **given: Any) -> list[Step]:
    """Do what is worth while after a build: of a few tables, so that no build waits for it.

    Returns:
        The steps that did something.
    """
    settings = Settings(**given)
    upkeep = _Upkeep(connection, settings)
    steps = [upkeep.flush] if upkeep.inlined_rows() > 2000 else []
    steps += [upkeep.rewrite, upkeep.merge]
    if not settings.branches:
        # A day late, so that this happens once a day and not in each build.
        if upkeep.expirable(settings.snapshot_days + 1):
            steps.append(upkeep.expire)
        if upkeep.deletable(settings.cleanup_delay_days + 1):
            upkeep.check_deletions(False)
            steps.append(upkeep.clean_up)
    done = [_timed(step) for step in steps]
    return [step for step in done if step.tables != 0]


def remove_orphans(connection: duckdb.DuckDBPyConnection, days: int, dry_run: bool) -> list[str]:
    """Delete files below the data path that the catalog does not know, older than some days.

    Younger files are left alone, because a running build writes files before it commits them.

    Returns:
        The files' paths.
    """
    _Upkeep(connection, Settings(0, 0, 0, 0)).check_deletions(False)
    found = connection.execute(
        f"from ducklake_delete_orphaned_files('{ALIAS}', dry_run => {dry_run},"
        f" older_than => now() - to_days({days}))"
    ).fetchall()
    return [path for (path,) in found]


def _timed(step: Callable[[], Step]) -> Step:
    started = time.monotonic()
    return replace(step(), seconds=time.monotonic() - started)


@dataclass(frozen=True)
class _Upkeep:
    connection: duckdb.DuckDBPyConnection
    settings: Settings

    def _value(self, sql: str) -> Any:
        # All rows: DuckDB commits when the last one was fetched.
        return self.connection.execute(sql).fetchall()[0][0]

    def check_deletions(self, keep_landed: bool) -> None:
        """DuckLake deletes whatever its list names. A registered file whose table was dropped is on
        it, and so would be another lake's files, in a copy of its catalog."""
        attached, known = self.connection.execute(
            "select settings.data_path, options.value"
            f" from ducklake_settings('{ALIAS}') as settings"
            f" cross join {_CATALOG}.ducklake_metadata as options"
            " where options.key = 'data_path' and options.scope is null"
        ).fetchall()[0]
        if attached != known:
            raise LakeError(
                f"The lake is attached with the data path {attached}, but its catalog says {known}."
                " Nothing was changed. Set LAKE_DATA_URL to the catalog's own."
            )
        foreign = (
            f"from {_CATALOG}.ducklake_files_scheduled_for_deletion"
            " where not path_is_relative::boolean and not starts_with(path, '"
            + known.replace("'", "''")
            + "')"
        )
        if keep_landed:
            self.connection.execute(f"delete {foreign}")
        found = self.connection.execute(f"select path {foreign} order by path").fetchall()
        if found:
            raise LakeError(
                "Files wait for deletion that are not the lake's own: "
                f"{counted(len(found), 'file')}, the first {found[0][0]}. Nothing was "
                "deleted. If they have to stay, which landed files do, run: lake maintain "
                "--keep-landed"
            )

    def prune(self) -> Step:
        old = f" where finished_at < now() - to_days({self.settings.history_days})"
        runs = self._value(f"select count(*) from {ALIAS}.meta.invocations{old}")
        if runs and not self.settings.dry_run:
            deletes = "; ".join(f"delete from {ALIAS}.meta.{table}{old}" for table in _HISTORY)
            self.connection.execute(f"begin; {deletes}; commit")
        return Step("prune", counted(runs, "recorded run"))

    def inlined_rows(self) -> int:
        """Rows of schema meta that live in the catalog."""
        tables = self.connection.execute(
            f"select table_name from {_CATALOG}.ducklake_inlined_data_tables"
        ).fetchall()
        return sum(self._value(f'select count(*) from {_CATALOG}."{table}"') for (table,) in tables)

    def flush(self) -> Step:
        before = self._live_files()
        if self.settings.dry_run:
            return self._written("flush", "rows of meta out of the catalog", None, before)
        flushed = self.connection.execute(
            "select rows_flushed from"
            f" ducklake_flush_inlined_data('{ALIAS}', schema_name => 'meta')"
        ).fetchall()
        rows = sum(count for (count,) in flushed)
        what = f"{counted(rows, 'row')} of meta out of the catalog"
        return self._written("flush", what, len(flushed), before)

    def rewrite(self) -> Step:
        """Files with deleted rows are not merged, so those of which a fifth is deleted, and small
        ones, are written again; of what builds change in schema meta also all small files.

        DuckLake's own rewrite_data_files is not used for that: in this version older snapshots of a
        rewritten table read wrong values, newer ones prune nested columns wrongly, and in schema
        meta a deletion that is committed meanwhile is lost (docs/decisions/0010). The rows of these
        files are taken out and put in again, in one transaction: two operations on which every
        build rests. Models that had read all changes of the table have read these, too: no row is
        another.
        """
        before = self._live_files()
        tables, _ = self._bounded(f"""
            select schema_name, table_name, table_id, count(*) as number,
                string_agg(parse_filename(path), ',') as names
            from ({_FILES})
            where
                ({_IS_BOOKKEEPING} and file_size_bytes < 100000000)
                or (schema_name <> 'staging' and (
                    deleted >= record_count * 0.2
                    or (deleted > 0 and file_size_bytes < 10000000)
                ))
            group by all
            having
                bool_and(path_is_relative::boolean)
                and (count(deleted) > 0 or count(*) > 1)
                and number >= {self.settings.least_files if self.settings.least_files > 2 else 1}
        """)
        if not self.settings.dry_run:
            for schema, table, table_id, _, names in tables:
                self._rewrite(schema, table, table_id, names)
        files = counted(sum(table[3] for table in tables), "file")
        return self._written("rewrite", f"{files} with deleted rows", len(tables), before)

    def _rewrite(self, schema: str, table: str, table_id: int, names: str) -> None:
        relation = f'{ALIAS}.{schema}."{table}"'
        is_history = schema == "meta" and table in _HISTORY
        if not is_history:
            those = "parse_filename(filename) in ('" + names.replace(",", "', '") + "')"
            self.connection.execute(f"""
                begin;
                create or replace temp table kept_rows as select * from {relation} where {those};
                delete from {relation} where {those};
                insert into {relation} select * from kept_rows;
                commit;
                drop table kept_rows;
            """)
            commit = self._value(f"from ducklake_last_committed_snapshot('{ALIAS}')")
            self.connection.execute(f"""
                update {ALIAS}.meta.model_cursors set snapshot_id = {commit}
                where upstream = '{table}' and snapshot_id >= coalesce((
                    select max(snapshot_id) from ducklake_snapshots('{ALIAS}')
                    where snapshot_id <> {commit} and '{table_id}' in list_concat(
                        changes['tables_inserted_into'], changes['tables_deleted_from']
                    )
                ), 0)
            """)
        if schema == "meta":
            # A flush also writes versions of rows that are gone already: files of which nothing is
            # left, and that no deletion can end. With a threshold of 1 only those are touched.
            self.connection.execute(
                f"call ducklake_rewrite_data_files('{ALIAS}', '{table}', schema => 'meta',"
                f" delete_threshold => {0.2 if is_history else 1})"
            )

    def merge(self) -> Step:
        """Put small files together. DuckLake merges no files with deletions.

        A table with a file from elsewhere is left alone: that is a landed file, which registering
        has put there, or in a branch a file of the lake that it came from. What builds change in
        schema meta is rewritten instead: there DuckLake would lose a deletion that is committed
        meanwhile.
        """
        before = self._live_files()
        tables, waiting = self._bounded(f"""
            select schema_name, table_name, table_id,
                count(*) filter (deleted is null and file_size_bytes < 100000000) as number
            from ({_FILES})
            where not {_IS_BOOKKEEPING}
            group by all
            having number >= {self.settings.least_files} and bool_and(path_is_relative::boolean)
        """)
        if not self.settings.dry_run:
            for schema, table, *_ in tables:
                self.connection.execute(
                    f"call ducklake_merge_adjacent_files('{ALIAS}', '{table}',"
                    f" schema => '{schema}', max_compacted_files => 10)"
                )
        what = f"up to {counted(sum(table[3] for table in tables), 'small file')}"
        if waiting:
            what += f", {counted(waiting, 'table')} next time"
        return self._written("merge", what, len(tables), before)

    def _bounded(self, sql: str) -> tuple[list[tuple[Any, ...]], int]:
        """The tables with the most files, until there are enough; and how many are left."""
        found = self.connection.execute(
            f"from ({sql}) order by number desc, schema_name, table_name"
        ).fetchall()
        chosen: list[tuple[Any, ...]] = []
        files = 0
        for table in found:
            if chosen and files + table[3] > self.settings.maintain_max_files:
                continue
            chosen.append(table)
            files += table[3]
        return chosen, len(found) - len(chosen)

    def expirable(self, days: int) -> bool:
        """Whether a snapshot is older than some days."""
        return bool(
            self._value(
                f"select min(snapshot_time)::timestamptz < now() - to_days({days})"
                f" from {_CATALOG}.ducklake_snapshot"
            )
        )

    def expire(self) -> Step:
        """Expire a run of oldest snapshots, without gaps: numbers decide, because clocks are set
        back."""
        # First the newest that may go, then who is there: whoever comes later begins after it.
        newest = self._value(f"select max(snapshot_id) from {_CATALOG}.ducklake_snapshot")
        keep_since = f"now() - to_days({self.settings.snapshot_days})"
        oldest_transaction = self._oldest_transaction()
        if oldest_transaction:
            keep_since = f"least({keep_since}, '{oldest_transaction}'::timestamptz)"
        keep_from = self._value(
            "select coalesce(min(snapshot_id) filter"
            f" (snapshot_time::timestamptz >= {keep_since}), {newest})"
            f" from {_CATALOG}.ducklake_snapshot where snapshot_id <= {newest}"
        )
        before = self._stored_files()
        old = f"from {_CATALOG}.ducklake_snapshot where snapshot_id < {keep_from}"
        expired = self._value(f"select count(*) {old}")
        if expired and not self.settings.dry_run:
            self.connection.execute(f"set variable expired = (select list(snapshot_id) {old})")
            self.connection.execute(
                f"call ducklake_expire_snapshots('{ALIAS}', versions => getvariable('expired'))"
            )
        what = counted(expired, "snapshot")
        if oldest_transaction:
            what += f"; none since {oldest_transaction[:16]}, for an open transaction"
        after = self._stored_files()
        return Step("expire", what, None, (before[0], after[0]), (before[1], after[1]))

    def _oldest_transaction(self) -> str | None:
        """When the oldest transaction began that is still open in the catalog's database, less an
        hour for clocks that differ. A commit is checked against the snapshots after its beginning,
        so without them it would go through unchecked. SQLite itself refuses such a commit."""
        kind = self._value(f"select catalog_type from ducklake_settings('{ALIAS}')")
        if kind != "postgres":
            return None
        began: str | None = self._value(f"""
            select began::varchar from postgres_query('{_CATALOG}', $$
                select pg_catalog.min(xact_start) - interval '1 hour' as began
                from pg_catalog.pg_stat_activity
                where datname = pg_catalog.current_database() and pid <> pg_catalog.pg_backend_pid()
            $$)
        """)
        return began

    def deletable(self, days: int) -> bool:
        """Whether a file has waited for its deletion for some days."""
        return bool(
            self._value(
                f"select min(schedule_start)::timestamptz < now() - to_days({days})"
                f" from {_CATALOG}.ducklake_files_scheduled_for_deletion"
            )
        )

    def clean_up(self) -> Step:
        waiting = f"select count(*) from {_CATALOG}.ducklake_files_scheduled_for_deletion"
        before = self._value(waiting)
        deleted = self._value(
            f"select count(*) from ducklake_cleanup_old_files('{ALIAS}',"
            f" dry_run => {self.settings.dry_run},"
            f" older_than => now() - to_days({self.settings.cleanup_delay_days}))"
        )
        files = (before, self._value(waiting))
        return Step("clean up", f"{counted(deleted, 'file')} that nothing uses", files=files)

    def _written(self, name: str, what: str, tables: int | None, before: tuple[int, int]) -> Step:
        after = self._live_files()
        return Step(name, what, tables, (before[0], after[0]), (before[1], after[1]))

    def _live_files(self) -> tuple[int, int]:
        """Files and bytes that readers of the newest snapshot open."""
        return self._count("where end_snapshot is null")

    def _stored_files(self) -> tuple[int, int]:
        """Files and bytes that any snapshot uses."""
        return self._count("")

    def _count(self, condition: str) -> tuple[int, int]:
        files, size = self.connection.execute(f"""
            select count(*), coalesce(sum(file_size_bytes), 0)::bigint
            from (
                select file_size_bytes, end_snapshot from {_CATALOG}.ducklake_data_file
                union all
                select file_size_bytes, end_snapshot from {_CATALOG}.ducklake_delete_file
            )
            {condition}
        """).fetchall()[0]
        return files, size


# A table of schema meta whose rows builds change.
_IS_BOOKKEEPING = f"(schema_name = 'meta' and table_name not in {_HISTORY})"
# The files of the newest snapshot, with the number of rows that are deleted from them, or null.
_FILES = f"""
    select schemas.schema_name, tables.table_name, tables.table_id, files.path,
        files.path_is_relative, files.file_size_bytes, files.record_count,
        deletes.delete_count as deleted
    from {_CATALOG}.ducklake_data_file as files
    inner join {_CATALOG}.ducklake_table as tables
        on files.table_id = tables.table_id and tables.end_snapshot is null
    inner join {_CATALOG}.ducklake_schema as schemas
        on tables.schema_id = schemas.schema_id and schemas.end_snapshot is null
    left join (from {_CATALOG}.ducklake_delete_file where end_snapshot is null) as deletes
        on files.data_file_id = deletes.data_file_id
    where files.end_snapshot is null
"""
