"""The lake's upkeep: fewer and larger files, and letting go of what nobody needs any more.

Every step commits by itself, so it may be killed at any moment; the next run goes on. The order is
that in which each step leaves less for the next, and nothing is deleted before everything else is
done (docs/maintenance.md).
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lotus_lake import branches, settings
from lotus_lake.config import LakeError
from lotus_lake.connection import ALIAS
from lotus_lake.escaping import printable
from lotus_lake.operations.lake import Lake
from lotus_lake.schema.types import literal
from lotus_lake.wording import counted

_CATALOG = f"__ducklake_metadata_{ALIAS}"
# Views of what upkeep looks at.
_VIEWS = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
# Only ever grow; what else is in schema meta is changed by every build.
_HISTORY = ("invocations", "node_results")
# What a step is measured by, in files and bytes.
_LIVE = "select live_files, live_bytes from stored"
_STORED = "select files, bytes from stored"
_WAITING = f"select count(*), null from {_CATALOG}.ducklake_files_scheduled_for_deletion"
_RECORD = f"""
    insert into {ALIAS}.meta.invocations by name
    select $id as invocation_id, nullif($tick, '') as tick_id, 'maintain' as command,
        $target as target, nullif($code, '') as code_version, $started as started_at,
        now() as finished_at, 'success' as status, 0 as error_count, 0 as warn_count,
        0 as built_count, 0 as rows_affected,
        (select max(snapshot_id) from {_CATALOG}.ducklake_snapshot) as snapshot_id
"""

_LINE = "{:<9}{:<44}{:>7}{:>18}{:>22}{:>8}"
HEADER = _LINE.format("step", "what", "tables", "files", "MB", "seconds")


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


def maintain(
    lake: Lake,
    given: Mapping[str, int],
    warn: Callable[[str], None],
    dry_run: bool = False,
    keep_landed: bool = False,
) -> Iterator[Step]:
    """Prune run history, flush, rewrite and merge files, expire snapshots and delete files, as
    ``settings.of_project`` says; it is recorded in meta.invocations, beside dbt's runs.

    ``keep_landed``: files that are not the lake's own are taken off the list of files to delete.

    Raises:
        LakeError: A file that is not the lake's own waits for deletion; nothing was deleted.
    """
    (started,) = lake.fetch("select now()")[0]
    held = _holding(lake, given["branch_hold_days"], warn)
    upkeep = _Upkeep(lake, given, dry_run=dry_run)
    check_deletions(lake, keep_landed and not dry_run)
    for name in _STEPS:
        if held and name in ("expire", "clean up"):
            yield Step(name, f"held: branch {', '.join(held)} may need it")
        else:
            yield upkeep.take(name)
    if not dry_run and lake.run:
        values = {
            "id": lake.run.invocation_id,
            "tick": os.environ.get("LAKE_TICK_ID") or "",
            "target": lake.config.target,
            "code": os.environ.get("LAKE_CODE_VERSION") or "",
            "started": started,
        }
        lake.connection.execute(_RECORD, values)


def keep_up(lake: Lake, **given: int) -> None:
    """Do what is worth while after a build, of a few tables, so that no build waits for it and what
    one costs does not grow with the builds before it."""
    given = settings.DEFAULTS | given
    settings.check(given)
    held = _holding(lake, given["branch_hold_days"], lambda line: print(line, flush=True))
    upkeep = _Upkeep(lake, given | {"maintain_max_files": 200}, least_files=16)
    names = ["flush"] if upkeep.inlined_rows() > 2000 else []
    names += ["rewrite", "merge"]
    # A day late, so that this happens once a day and not in each build.
    if not held and upkeep.is_overdue("snapshot_time", "ducklake_snapshot", "snapshot_days"):
        names.append("expire")
    waiting = "ducklake_files_scheduled_for_deletion"
    if not held and upkeep.is_overdue("schedule_start", waiting, "cleanup_delay_days"):
        names.append("clean up")
    for name in names:
        step = upkeep.take(name)
        if step.tables != 0:
            print(printable(str(step)), flush=True)


def remove_orphans(
    lake: Lake, days: int, branch_hold_days: int, warn: Callable[[str], None], dry_run: bool
) -> list[str]:
    """Delete files below the data path that the catalog does not know, and return their paths:
    what a killed run left, or what was written after a backup that was restored. Younger ones stay:
    a running build writes files before it commits them.

    Raises:
        LakeError: A branch may use such files, or a file that is not the lake's own waits for
            deletion.
    """
    if held := _holding(lake, branch_hold_days, warn):
        raise LakeError(
            f"Branch {', '.join(held)} may use files that this catalog does not know. Nothing was"
            " deleted. Drop the branch first."
        )
    check_deletions(lake)
    found = lake.fetch(
        f"from ducklake_delete_orphaned_files('{ALIAS}', dry_run => {dry_run},"
        f" older_than => now() - to_days({days}))"
    )
    return [path for (path,) in found]


def _holding(lake: Lake, branch_hold_days: int, warn: Callable[[str], None]) -> list[str]:
    """The branches for which nothing may be deleted."""
    # A branch's own clean-up can reach nothing that another branch, or the lake, may need.
    if lake.config.branch:
        return []
    found, odd = branches.branches(lake.config)
    for problem in odd:
        warn(printable(f"WARNING {problem}"))
    return [one.name for one in found if one.age.days < branch_hold_days]


def check_deletions(lake: Lake, keep_landed: bool = False) -> None:
    """DuckLake deletes whatever its list names. A registered file whose table was dropped is on
    it, and so would be another lake's files, in a copy of its catalog."""
    attached, known = lake.fetch(
        "select settings.data_path, options.value"
        f" from ducklake_settings('{ALIAS}') as settings"
        f" cross join {_CATALOG}.ducklake_metadata as options"
        " where options.key = 'data_path' and options.scope is null"
    )[0]
    if attached != known:
        raise LakeError(
            f"The lake is attached with the data path {attached}, but its catalog says {known}."
            " Nothing was changed. Set LAKE_DATA_URL to the catalog's own."
        )
    foreign = (
        f"from {_CATALOG}.ducklake_files_scheduled_for_deletion"
        f" where not path_is_relative::boolean and not starts_with(path, {literal(known)})"
    )
    if keep_landed:
        lake.connection.execute(f"delete {foreign}")
    found = lake.fetch(f"select path {foreign} order by path")
    if found:
        raise LakeError(
            "Files wait for deletion that are not the lake's own: "
            f"{counted(len(found), 'file')}, the first {found[0][0]}. Nothing was "
            "deleted. If they have to stay, which landed files do, run: lake maintain "
            "--keep-landed"
        )


@dataclass(frozen=True)
class _Upkeep:
    lake: Lake
    given: Mapping[str, int]
    dry_run: bool = False
    # A table with fewer files to merge is left alone; above 2, also one with fewer to rewrite.
    least_files: int = 2

    def __post_init__(self) -> None:
        self._execute(_VIEWS)

    def _value(self, sql: str) -> Any:
        # All rows: DuckDB commits when the last one was fetched.
        return self.lake.fetch(sql)[0][0]

    def _execute(self, sql: str) -> None:
        self.lake.connection.execute(sql)

    def take(self, name: str) -> Step:
        """Take a step, and measure what it did."""
        work, measure = _STEPS[name]
        started = time.monotonic()
        before = self.lake.fetch(measure)[0]
        what, tables = work(self)
        pairs = zip(before, self.lake.fetch(measure)[0], strict=True)
        files, size = (None if None in pair else pair for pair in pairs)
        return Step(name, what, tables, files, size, time.monotonic() - started)

    def prune(self) -> tuple[str, int | None]:
        old = f" where finished_at < now() - to_days({self.given['history_days']})"
        runs = self._value(f"select count(*) from {ALIAS}.meta.invocations{old}")
        if runs and not self.dry_run:
            deletes = "; ".join(f"delete from {ALIAS}.meta.{table}{old}" for table in _HISTORY)
            self._execute(f"begin; {deletes}; commit")
        return counted(runs, "recorded run"), None

    def inlined_rows(self) -> int:
        """Rows of schema meta that live in the catalog."""
        tables = self.lake.fetch(f"select table_name from {_CATALOG}.ducklake_inlined_data_tables")
        return sum(self._value(f'select count(*) from {_CATALOG}."{table}"') for (table,) in tables)

    def flush(self) -> tuple[str, int | None]:
        if self.dry_run:
            return "rows of meta out of the catalog", None
        flushed = self.lake.fetch(
            "select rows_flushed from"
            f" ducklake_flush_inlined_data('{ALIAS}', schema_name => 'meta')"
        )
        rows = sum(count for (count,) in flushed)
        return f"{counted(rows, 'row')} of meta out of the catalog", len(flushed)

    def rewrite(self) -> tuple[str, int | None]:
        """Write files with deleted rows again, which are not merged otherwise.

        DuckLake's own rewrite_data_files is not used for that: in this version older snapshots of a
        rewritten table read wrong values, newer ones prune nested columns wrongly, and in schema
        meta a deletion that is committed meanwhile is lost (docs/decisions/0010). The rows are
        taken out and put in again, in one transaction: two operations on which every build rests.
        Models that had read all changes of the table have read these, too: no row is another.
        """
        least = self.least_files if self.least_files > 2 else 1
        tables, _ = self._bounded(f"to_rewrite where number >= {least}")
        if not self.dry_run:
            for schema, table, _, table_id, names in tables:
                self._rewrite(schema, table, table_id, names)
        files = counted(sum(table[2] for table in tables), "file")
        return f"{files} with deleted rows", len(tables)

    def _rewrite(self, schema: str, table: str, table_id: int, names: str) -> None:
        relation = f'{ALIAS}.{schema}."{table}"'
        is_history = schema == "meta" and table in _HISTORY
        if not is_history:
            those = "parse_filename(filename) in ('" + names.replace(",", "', '") + "')"
            self._execute(f"""
                begin;
                create or replace temp table kept_rows as select * from {relation} where {those};
                delete from {relation} where {those};
                insert into {relation} select * from kept_rows;
                commit;
                drop table kept_rows;
            """)
            commit = self._value(f"from ducklake_last_committed_snapshot('{ALIAS}')")
            self._execute(f"""
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
            self._execute(
                f"call ducklake_rewrite_data_files('{ALIAS}', '{table}', schema => 'meta',"
                f" delete_threshold => {0.2 if is_history else 1})"
            )

    def merge(self) -> tuple[str, int | None]:
        """Put small files together: DuckLake merges none with deletions. Bookkeeping is rewritten
        instead: there it would lose a deletion that is committed meanwhile."""
        tables, waiting = self._bounded(f"to_merge where number >= {self.least_files}")
        if not self.dry_run:
            for schema, table, *_ in tables:
                self._execute(
                    f"call ducklake_merge_adjacent_files('{ALIAS}', '{table}',"
                    f" schema => '{schema}', max_compacted_files => 10)"
                )
        what = f"up to {counted(sum(table[2] for table in tables), 'small file')}"
        if waiting:
            what += f", {counted(waiting, 'table')} next time"
        return what, len(tables)

    def _bounded(self, view: str) -> tuple[list[tuple[Any, ...]], int]:
        """The tables with the most files, until there are enough; and how many are left."""
        found = self.lake.fetch(f"from {view} order by number desc, schema_name, table_name")
        chosen: list[tuple[Any, ...]] = []
        files = 0
        for table in found:
            if not chosen or files + table[2] <= self.given["maintain_max_files"]:
                chosen.append(table)
                files += table[2]
        return chosen, len(found) - len(chosen)

    def is_overdue(self, time: str, table: str, setting: str) -> bool:
        """Whether a row of the catalog is a day older than a setting keeps it."""
        oldest = f"select min({time})::timestamptz from {_CATALOG}.{table}"
        return bool(self._value(f"select ({oldest}) < now() - to_days({self.given[setting] + 1})"))

    def expire(self) -> tuple[str, int | None]:
        """Expire a run of oldest snapshots, without gaps: numbers decide, because clocks are set
        back."""
        # First the newest that may go, then who is there: whoever comes later begins after it.
        newest = self._value(f"select max(snapshot_id) from {_CATALOG}.ducklake_snapshot")
        keep_since = f"now() - to_days({self.given['snapshot_days']})"
        oldest_transaction = self._oldest_transaction()
        if oldest_transaction:
            keep_since = f"least({keep_since}, '{oldest_transaction}'::timestamptz)"
        keep_from = self._value(
            "select coalesce(min(snapshot_id) filter"
            f" (snapshot_time::timestamptz >= {keep_since}), {newest})"
            f" from {_CATALOG}.ducklake_snapshot where snapshot_id <= {newest}"
        )
        old = f"from {_CATALOG}.ducklake_snapshot where snapshot_id < {keep_from}"
        expired = self._value(f"select count(*) {old}")
        if expired and not self.dry_run:
            self._execute(f"set variable expired = (select list(snapshot_id) {old})")
            self._execute(
                f"call ducklake_expire_snapshots('{ALIAS}', versions => getvariable('expired'))"
            )
        what = counted(expired, "snapshot")
        if oldest_transaction:
            what += f"; none since {oldest_transaction[:16]}, for an open transaction"
        return what, None

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

    def clean_up(self) -> tuple[str, int | None]:
        check_deletions(self.lake)
        deleted = self._value(
            f"select count(*) from ducklake_cleanup_old_files('{ALIAS}',"
            f" dry_run => {self.dry_run},"
            f" older_than => now() - to_days({self.given['cleanup_delay_days']}))"
        )
        return f"{counted(deleted, 'file')} that nothing uses", None


# In their order, with what counts files and bytes before and after.
_STEPS: dict[str, tuple[Callable[[_Upkeep], tuple[str, int | None]], str]] = {
    "prune": (_Upkeep.prune, "select null, null"),
    "flush": (_Upkeep.flush, _LIVE),
    "rewrite": (_Upkeep.rewrite, _LIVE),
    "merge": (_Upkeep.merge, _LIVE),
    "expire": (_Upkeep.expire, _STORED),
    "clean up": (_Upkeep.clean_up, _WAITING),
}
