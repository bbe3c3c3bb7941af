"""Delivers the sample shop as a history of syncs: which record lands in which file, and when.

There is one sync a day, at 02:00 (UTC) of the following day. The awkward deliveries that the
landing contract describes happen at fixed syncs (`Schedule`) and shares of the records
(`_deliver`), so that even a short history has each of them.
"""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from lotus_lake.sample import records
from lotus_lake.sample.arrays import line_items, uuids
from lotus_lake.sample.bad_files import add_bad_files
from lotus_lake.sample.jaffle_shop import jaffle_shop_files
from lotus_lake.sample.landing import (
    DeliveredFile,
    Delivery,
    LandingError,
    set_modified,
    write_bytes,
)
from lotus_lake.sample.records import Grown
from lotus_lake.sample.shop import (
    DAY,
    VARIANTS,
    Size,
    build_everything_else,
    build_order_versions,
    build_orders,
    load_words,
)

# Files written and files in all, called after each file.
Progress = Callable[[int, int], None]

SOURCES = ("shopify", "klaviyo", "jaffle_shop")
MIN_DAYS = 7
SYNC_HOUR = 2
LATE_HOURS = 50
WORKERS = 2
# Records rendered at once: bounds memory, and is large enough to keep the per-query cost small.
RECORDS_PER_CHUNK = 40_000
# Airbyte starts a new file at about 200 MB of buffer; smaller files make livelier histories.
RECORDS_PER_FILE = 30_000
# Part number of what a second attempt of a sync delivers.
RETRY_PART = 100


@dataclass(frozen=True)
class Schedule:
    """At which syncs (counted from 0) the awkward deliveries happen; all exist in 7 days."""

    days: int

    # One file says `order_number` as a string, another `total_weight` as a double.
    odd_numbers = 1
    # Twelve parts of orders, named part_0 … part_11.
    many_parts = 3
    # Part 1 of each stream clashes with part 0 and becomes `part_0.parquet-1`; one file of orders
    # has `client_details` as a JSON string.
    name_clash = 5

    @property
    def grown_nested(self) -> int:
        """The first sync whose files have the new nested fields."""
        return max(2, self.days * 2 // 5)

    @property
    def grown_column(self) -> int:
        """The first sync whose files have the new columns."""
        return max(3, self.days * 3 // 5)

    @property
    def metric_rhythm(self) -> int:
        """Syncs between two full refreshes of the metrics."""
        return max(1, self.days // 6)

    def is_long(self, sync: int) -> bool:
        """Whether a sync runs on for two days: its last part lands late, in the old folder."""
        return sync % 10 == 2

    def is_retried(self, sync: int) -> bool:
        """Whether a sync fails at the end and delivers part 0 a second time, record by record."""
        return sync % 20 == 4

    def has_part_names(self, sync: int) -> bool:
        """Whether files are named `part_N.parquet` instead of by date and time."""
        return sync % 7 == 6 or sync in (self.many_parts, self.name_clash)


@dataclass(frozen=True)
class Stream:
    """A stream of Airbyte: where its records come from and how they are spread over files.

    `versions` is a table of the shop; `parts` the least number of files of one sync; `late_again`
    is the SQL condition that a record's first version arrives once more, days later.
    """

    source: str
    name: str
    versions: str
    parts: int = 1
    repeats: bool = True
    late_again: str = "roll('delivered late', key_no) % 70 = 0"

    @property
    def delivered(self) -> str:
        """The table of its records with their files."""
        return f"delivered_{self.name}"


STREAMS = (
    Stream(
        "shopify",
        "orders",
        "order_versions",
        parts=2,
        # Some chosen by chance, and every other edited order, whose newer version is there by then.
        late_again="(roll('delivered late', key_no) % 90 = 0 or key_no % 134 = 31)",
    ),
    Stream("shopify", "customers", "customer_versions"),
    Stream("shopify", "order_refunds", "refunds"),
    Stream("klaviyo", "profiles", "profile_versions"),
    Stream("klaviyo", "events", "events", parts=2),
    Stream("klaviyo", "campaigns", "campaign_versions"),
    Stream("klaviyo", "flows", "flow_versions", repeats=False),
    Stream("klaviyo", "lists", "list_versions", repeats=False),
    Stream("klaviyo", "metrics", "metric_versions", parts=2, repeats=False),
)


@dataclass(frozen=True)
class _PlannedFile:
    """A file to write: its number in the stream's delivered table, and its place in history.

    `keys` is a range that holds the key numbers of all its records.
    """

    stream: Stream
    file_no: int
    keys: range
    sync: int
    rows: int
    file: DeliveredFile
    grown: Grown


def generate(
    out: Path,
    *,
    orders: int,
    days: int,
    seed: int,
    start: date,
    bad_files: bool = False,
    keep_generations: bool = False,
    force: bool = False,
    progress: Progress | None = None,
) -> Delivery:
    """Write a sample landing zone to the directory `out` and return what was delivered.

    The same arguments give the same files, byte for byte, with the same modification times.
    `orders` are placed during `days` days from `start` (UTC). `bad_files` adds files that a feeder
    must refuse; `keep_generations` keeps the files of earlier full refreshes of the metrics, which
    Airbyte removes. `out` must not exist or be empty, unless `force` is set and it holds nothing
    but a landing zone. Raises LandingError for anything that cannot be done.
    """
    _check_arguments(orders, days)
    _check_target(out, force)
    out.parent.mkdir(parents=True, exist_ok=True)
    size = Size(orders=orders, days=days, seed=seed, start=start)
    staging = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        landing = staging / "landing"
        files = _write_landing(landing, staging, size, keep_generations, progress)
        if bad_files:
            files = add_bad_files(landing, files)
        _check_target(out, force)
        if out.exists():
            shutil.rmtree(out)
        landing.rename(out)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return Delivery(out=out, files=files)


def _check_arguments(orders: int, days: int) -> None:
    """Raise LandingError unless a shop of this size can be built."""
    if orders < 1:
        raise LandingError(f"orders must be at least 1, not {orders}")
    if not MIN_DAYS <= days <= 3650:
        raise LandingError(f"days must be {MIN_DAYS} to 3650, not {days}")
    if orders < days:
        raise LandingError(f"orders ({orders}) must be at least one a day ({days} days)")


def _check_target(out: Path, force: bool) -> None:
    """Raise LandingError if writing to `out` would lose something."""
    if not out.exists():
        return
    if not out.is_dir():
        raise LandingError(f"{out} is not a directory")
    entries = {entry.name for entry in out.iterdir()}
    if entries and not force:
        raise LandingError(f"{out} is not empty; --force replaces it")
    if not entries <= set(SOURCES):
        # Deleting is only safe where everything is what this generator writes.
        raise LandingError(f"{out} holds more than a landing zone; remove it yourself")


def _write_landing(
    landing: Path,
    staging: Path,
    size: Size,
    keep_generations: bool,
    progress: Progress | None,
) -> tuple[DeliveredFile, ...]:
    """Build the shop and write all files below `landing`; return them in order of arrival."""
    connection = duckdb.connect()
    try:
        connection.execute(
            "set timezone = 'UTC'; set memory_limit = '3GB'; set threads = 2;"
            f"set temp_directory = '{str(staging / 'spill').replace(chr(39), chr(39) * 2)}'"
        )
        build_orders(connection, size)
        records.create_record_macros(connection, size)
        files = _write_streams(connection, landing, size, keep_generations, progress)
    finally:
        connection.close()
    for csv_file, content in jaffle_shop_files(size):
        write_bytes(landing / csv_file.path, content, csv_file.arrived_at)
        files.append(csv_file)
    return tuple(sorted(files, key=lambda file: (file.arrived_at, file.path)))


def _write_streams(
    connection: duckdb.DuckDBPyConnection,
    landing: Path,
    size: Size,
    keep_generations: bool,
    progress: Progress | None,
) -> list[DeliveredFile]:
    """Write the files of all streams, several at a time; return them.

    Each query runs on one thread, which keeps the order of its rows, and so each file, the same
    on every run. The cores are kept busy by running several queries: orders are written while the
    rest of the shop is built.
    """
    connection.execute("set threads = 1")
    own = threading.local()
    lock = threading.Lock()
    planned_files = 0
    written: list[DeliveredFile] = []
    schedule = Schedule(size.days)

    def cursor() -> duckdb.DuckDBPyConnection:
        mine: duckdb.DuckDBPyConnection | None = getattr(own, "cursor", None)
        if mine is None:
            mine = own.cursor = connection.cursor()
            mine.execute("set timezone = 'UTC'")
            load_words(mine)
        return mine

    def plan(
        build: Callable[[duckdb.DuckDBPyConnection, Size], None], streams: Sequence[Stream]
    ) -> list[_PlannedFile]:
        build(cursor(), size)
        planned: list[_PlannedFile] = []
        for stream in streams:
            if stream.name == "metrics":
                _create_metric_versions(cursor(), size, schedule)
            _deliver(cursor(), stream, size, schedule)
            planned += _plan_files(cursor(), stream, size, schedule, keep_generations)
        return planned

    def write(chunk: list[_PlannedFile]) -> None:
        tables = [cursor().execute(query).to_arrow_table() for query in _queries(chunk)]
        if chunk[0].stream.name == "orders":
            tables[0] = _with_line_items(tables[0], grown=chunk[0].grown.nested)
        for planned, table in _split(tables, chunk):
            file = _write_parquet(landing, planned.file, table)
            with lock:
                written.append(file)
                if progress:
                    progress(len(written), planned_files)

    with ThreadPoolExecutor(WORKERS) as pool:
        plans = [
            pool.submit(plan, build_order_versions, STREAMS[:1]),
            pool.submit(plan, build_everything_else, STREAMS[1:]),
        ]
        writes = []
        for done in as_completed(plans):
            planned_files += len(done.result())
            writes += [pool.submit(write, chunk) for chunk in _chunks(done.result())]
        for each in writes:
            each.result()
    return written


def sync_started(size: Size, sync: int) -> datetime:
    """Return when a sync's process starts; its files lie in the folder of that day."""
    return datetime.fromtimestamp(size.start_seconds + (sync + 1) * DAY + SYNC_HOUR * 3600, tz=UTC)


def _create_metric_versions(
    connection: duckdb.DuckDBPyConnection, size: Size, schedule: Schedule
) -> None:
    """Create `metric_versions`: every metric in every generation, with one coming and one going.

    `Bounced Email` (9) is new in generation 1 and `Viewed Product` (11) gone from generation 3.
    """
    connection.execute(f"""
        create table metric_versions as
        select
            metric_no as key_no,
            generation as kind,
            {size.start_seconds} + generation * {schedule.metric_rhythm * DAY} as happened_at,
            {size.start_seconds} - 300 * {DAY} + metric_no * 60 as created_at,
            false as is_tombstone,
        from
            range(12) as metrics(metric_no),
            range({-(-size.days // schedule.metric_rhythm)}) as generations(generation)
        where not (metric_no = 9 and generation < 1) and not (metric_no = 11 and generation >= 3)
    """)


def _deliver(
    connection: duckdb.DuckDBPyConnection, stream: Stream, size: Size, schedule: Schedule
) -> None:
    """Create the stream's delivered table: each record with its sync, file and extraction time.

    `copy` is 0 for the first delivery of a version. Streams that repeat also have: 1, an exact
    duplicate from a second attempt of the sync; 2, the same version and extraction time with
    another raw id in the next sync; 3, an old version that arrives days later, after newer ones,
    extracted again or not.
    """
    rows = connection.execute(f"select count(*) from {stream.versions}").fetchone()
    rows_per_sync = (rows[0] if rows else 0) // size.days
    parts = max(stream.parts, -(-rows_per_sync // RECORDS_PER_FILE))
    many_parts = max(parts, 12) if stream.name == "orders" else parts
    repeats = f"""
        union all
        select * replace (1 as copy, {RETRY_PART} as part) from original
        where file_sync % 20 = 4 and part = 0
        union all
        select * replace (2 as copy, file_sync + 1 as file_sync) from original
        where roll('delivered twice', key_no) % 100 = 0
        union all
        select * replace (
            3 as copy,
            file_sync + 4 + roll('delivered late', key_no) % 8 as file_sync,
            if(
                roll('extracted again', key_no) % 2 = 0,
                file_sync + 4 + roll('delivered late', key_no) % 8,
                extract_sync
            ) as extract_sync
        )
        from original
        where kind = 0 and {stream.late_again}
    """
    connection.execute(f"""
        create temp table unnumbered as
        with synced as (
            select
                *,
                greatest(0, (happened_at - {size.start_seconds}) // {DAY})::bigint as extract_sync,
            from {stream.versions}
        ),

        original as (
            select
                *,
                extract_sync as file_sync,
                0 as copy,
                -- Versions of one key go to different parts.
                ((key_no + 5 * kind)
                    % if(extract_sync = {schedule.many_parts}, {many_parts}, {parts}))::int as part,
            from synced
        ),

        everything as (
            select * from original
            {repeats if stream.repeats else ""}
        )

        select
            *,
            (file_sync * 1000 + part)::bigint as file_no,
            ({size.start_seconds} + (extract_sync + 1) * {DAY} + {SYNC_HOUR * 3600}) * 1000
                + roll('extracted', key_no) % 90000 as extracted_ms,
        from everything
        where file_sync < {size.days};

        create table {stream.delivered} as
        from unnumbered order by file_no, happened_at;

        drop table unnumbered
    """)


def _plan_files(
    connection: duckdb.DuckDBPyConnection,
    stream: Stream,
    size: Size,
    schedule: Schedule,
    keep_generations: bool,
) -> list[_PlannedFile]:
    """Return the stream's files in the order of their numbers."""
    counts = connection.execute(
        "select file_no, count(*), min(key_no), max(key_no)"
        f" from {stream.delivered} group by file_no order by file_no"
    ).fetchall()
    last_parts: dict[int, int] = {}
    for file_no, *_ in counts:
        sync, part = divmod(file_no, 1000)
        if part != RETRY_PART:
            last_parts[sync] = part
    newest_sync = max(last_parts)
    planned = []
    for file_no, rows, first_key, last_key in counts:
        sync, part = divmod(file_no, 1000)
        file = _describe_file(stream, size, schedule, sync, part, last_parts.get(sync, 0))
        if stream.name == "metrics" and sync < newest_sync:
            if not keep_generations:
                continue
            next_refresh = sync_started(size, sync + schedule.metric_rhythm)
            file = replace(
                file,
                cases=(*file.cases, "superseded_generation"),
                removed_at=next_refresh + timedelta(minutes=30),
            )
        grown = Grown(column=sync >= schedule.grown_column, nested=sync >= schedule.grown_nested)
        planned.append(
            _PlannedFile(
                stream=stream,
                file_no=file_no,
                keys=range(first_key, last_key + 1),
                sync=sync,
                rows=rows,
                file=replace(file, rows=rows),
                grown=grown,
            )
        )
    return planned


def _describe_file(
    stream: Stream, size: Size, schedule: Schedule, sync: int, part: int, last_part: int
) -> DeliveredFile:
    """Return the name, the time of arrival and the awkward cases of one file."""
    started = sync_started(size, sync)
    cases: list[str] = []
    # Parts finish in another order than they are numbered: with two of them, part 1 comes first.
    parts = last_part + 1
    arrived_at = started + timedelta(seconds=120 + 20 * ((part * 7 + parts + 1) % parts))
    named_from, number = started, part
    if part == RETRY_PART:
        cases.append("retry")
        named_from, number = started + timedelta(minutes=40), 0
        arrived_at = named_from + timedelta(minutes=2)
    name = f"{named_from:%Y_%m_%d}_{int(named_from.timestamp() * 1000)}_{number}.parquet"
    if schedule.has_part_names(sync) and part != RETRY_PART:
        cases.append("part_name")
        name = f"part_{number}.parquet"
        if sync == schedule.name_clash and part == 1:
            cases.append("name_clash")
            name = "part_0.parquet-1"
    if schedule.is_long(sync) and part == last_part and stream.repeats:
        cases.append("late")
        arrived_at = started + timedelta(hours=LATE_HOURS)
    if stream.name == "orders":
        cases += _odd_types(schedule, sync, part, last_part)
    return DeliveredFile(
        path=f"{stream.source}/{stream.name}/{started:year=%Y/month=%m/day=%d}/{name}",
        source=stream.source,
        stream=stream.name,
        sync_id=5000 + 3 * sync,
        arrived_at=arrived_at,
        rows=0,
        bytes=0,
        cases=tuple(cases),
    )


def _odd_types(schedule: Schedule, sync: int, part: int, last_part: int) -> list[str]:
    """Return which columns of a file of orders have another type than usual, as cases."""
    if sync == schedule.odd_numbers and part == 0:
        return ["number_as_string"]
    if sync == schedule.odd_numbers and part == 1:
        return ["number_as_double"]
    if sync == schedule.name_clash and part == 1:
        return ["struct_as_json:client_details"]
    if sync == 2 and part == last_part:
        return ["struct_as_json:total_shipping_price_set"]
    return []


def _chunks(planned: list[_PlannedFile]) -> Iterator[list[_PlannedFile]]:
    """Group neighbouring files of one stream and schema, to render each group in one query."""
    chunk: list[_PlannedFile] = []
    records_in_chunk = 0
    for file in planned:
        starts_anew = chunk and (
            file.stream != chunk[0].stream
            or file.grown != chunk[0].grown
            or records_in_chunk + file.rows > RECORDS_PER_CHUNK
        )
        if starts_anew:
            yield chunk
            chunk, records_in_chunk = [], 0
        chunk.append(file)
        records_in_chunk += file.rows
    if chunk:
        yield chunk


def _queries(chunk: list[_PlannedFile]) -> list[str]:
    """Return the queries for a chunk's records; each file holds their results in this order."""
    stream, grown = chunk[0].stream, chunk[0].grown
    first, last = chunk[0].file_no, chunk[-1].file_no
    if stream.name == "orders":
        keys = range(min(file.keys.start for file in chunk), max(file.keys.stop for file in chunk))
        return [
            records.select_orders(grown, first, last, keys),
            records.select_order_tombstones(first, last),
        ]
    if stream.name == "profiles":
        return [records.select_profiles(grown, first, last)]
    selects = {
        "customers": records.select_customers,
        "order_refunds": records.select_refunds,
        "events": records.select_events,
        "campaigns": records.select_campaigns,
        "flows": records.select_flows,
        "lists": records.select_lists,
        "metrics": records.select_metrics,
    }
    return [selects[stream.name](first, last)]


def _with_line_items(orders: pa.Table, *, grown: bool) -> pa.Table:
    """Return the orders with their line items instead of what these are made of."""
    ingredients = orders.column("line_items").combine_chunks()
    items = line_items(ingredients, VARIANTS, grown=grown)
    return _replace_column(orders, "line_items", items)


def _split(
    tables: list[pa.Table], chunk: list[_PlannedFile]
) -> Iterator[tuple[_PlannedFile, pa.Table]]:
    """Cut the tables of a chunk, which are sorted by `file_no`, into the files of the chunk."""
    counts: list[dict[int, int]] = []
    for table in tables:
        counted = pc.value_counts(table.column("file_no"))
        counts.append({entry["values"].as_py(): entry["counts"].as_py() for entry in counted})
    tables = [table.drop_columns("file_no") for table in tables]
    offsets = [0] * len(tables)
    for planned in chunk:
        pieces = []
        for position, table in enumerate(tables):
            length = counts[position].get(planned.file_no, 0)
            # The first table decides the columns, even where it has no rows.
            if length or position == 0:
                pieces.append(table.slice(offsets[position], length))
            offsets[position] += length
        whole = pa.concat_tables(pieces, promote_options="default") if pieces[1:] else pieces[0]
        yield planned, whole


def _write_parquet(landing: Path, file: DeliveredFile, table: pa.Table) -> DeliveredFile:
    """Write one file with Airbyte's types and the file's own oddities; return it with its size."""
    extracted = table.column("_airbyte_extracted_at").cast(pa.timestamp("ms", "UTC"))
    table = _replace_column(table, "_airbyte_extracted_at", extracted)
    raw_ids = uuids(table.column("_airbyte_raw_id").combine_chunks())
    table = _replace_column(table, "_airbyte_raw_id", raw_ids)
    for case in file.cases:
        if case == "number_as_string":
            name, values = "order_number", table.column("order_number").cast(pa.string())
        elif case == "number_as_double":
            name, values = "total_weight", table.column("total_weight").cast(pa.float64())
        elif case.startswith("struct_as_json:"):
            name = case.partition(":")[2]
            values = _as_json(table.column(name))
        else:
            continue
        table = _replace_column(table, name, values)
    path = landing / file.path
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(
        table,
        path,
        compression="snappy",
        # Texts of events hardly repeat; looking for repetitions would take longer than they do.
        use_dictionary=file.stream != "events" and list(_repeating_texts(table.schema)),
        # The feeder reads this one; the others would take a tenth of the time.
        write_statistics=["_airbyte_generation_id"],
        write_batch_size=RECORDS_PER_CHUNK,
        # Airbyte's writer knows nothing of Arrow.
        store_schema=False,
    )
    set_modified(path, file.arrived_at)
    return replace(file, bytes=path.stat().st_size)


def _repeating_texts(schema: pa.Schema) -> Iterator[str]:
    """Yield the Parquet paths of texts that repeat: only those are worth a dictionary's time."""
    for field in schema:
        if field.name not in ("_airbyte_raw_id", "admin_graphql_api_id"):
            yield from _text_paths(field.name, field.type)


def _text_paths(path: str, data_type: pa.DataType) -> Iterator[str]:
    """Yield the Parquet paths of the texts in a column, however deep."""
    if pa.types.is_string(data_type):
        yield path
    elif pa.types.is_list(data_type):
        yield from _text_paths(f"{path}.list.element", data_type.value_type)
    elif pa.types.is_struct(data_type):
        for field in data_type:
            yield from _text_paths(f"{path}.{field.name}", field.type)


def _replace_column(table: pa.Table, name: str, values: pa.ChunkedArray) -> pa.Table:
    """Return the table with one column replaced in place."""
    return table.set_column(table.schema.get_field_index(name), name, values)


def _as_json(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return structs as JSON text, as Airbyte writes objects whose fields are not known."""
    texts = [
        None if value is None else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        for value in values.to_pylist()
    ]
    return pa.chunked_array([pa.array(texts, type=pa.string())])
