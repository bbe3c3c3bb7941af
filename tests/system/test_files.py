"""Files as they come: formats, odd names, broken ones, keys used again, late ones."""

from __future__ import annotations

import gzip
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.system.feeding import FOLDER, MONTH, Feeding, feeding_of, rows
from tests.system.lake import Lake
from tests.system.services import S3

AWKWARD = 'it\'s, "quoted"\nüñí 🪷'
CSV = 'id,note\r\n1,"it\'s, ""quoted""\nüñí 🪷"\r\n2,\r\n'
JSONL = '{"id": 1, "note": "it\'s, \\"quoted\\"\\nüñí 🪷"}\n\n{"id": 2, "note": null}'
TEXTS = {
    "plain.csv": CSV.encode(),
    "bom.csv": b"\xef\xbb\xbf" + CSV.encode(),
    "packed.csv.gz": gzip.compress(CSV.encode(), mtime=0),
    "packed_bom.csv.gz": gzip.compress(b"\xef\xbb\xbf" + CSV.encode(), mtime=0),
    "no_end.csv": CSV.encode().rstrip(),
    "blank_lines.csv": CSV.encode() + b"\r\n\r\n",
    "unix.csv": CSV.replace("\r\n", "\n").encode(),
    "not_packed.csv.gz": CSV.encode(),
    "clash.csv-1": CSV.encode(),
    "plain.jsonl": JSONL.encode(),
    "bom.jsonl": b"\xef\xbb\xbf" + JSONL.encode(),
    "packed.jsonl.gz": gzip.compress(JSONL.encode(), mtime=0),
    "two_members.jsonl.gz": gzip.compress(JSONL.encode()[:40]) + gzip.compress(JSONL.encode()[40:]),
    "escaped.jsonl": b'{"note":"it\'s, \\"quoted\\"\\n\\u00fc\\u00f1\\u00ed \\ud83e\\udeb7","id":1}'
    b'\n{"id":2}\n',
}


@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.differing_executors],
)
@given(
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1, max_size=60
    )
    | st.binary(min_size=1, max_size=60).map(lambda raw: os.fsdecode(raw.translate(None, b"/\0")))
)
def test_any_name_is_fed_or_quarantined(feeding: Feeding, name: str) -> None:
    """Control characters, quotes, patterns, no UTF-8: never an error, never a file elsewhere."""
    name = f"x{name}.csv"
    file = feeding.land(name, "id\n1\n")
    feeding.set(feed_max_files=1)
    there = {*feeding.lake.home.iterdir(), *feeding.lake.landing.iterdir()}
    feeding.feed()
    assert {*feeding.lake.home.iterdir(), *feeding.lake.landing.iterdir()} <= {
        *there,
        feeding.lake.home / "tmp",
        feeding.lake.data,
    }
    statuses = feeding.ledger("status")
    assert statuses[-1][0] in ("loaded", "quarantined")
    assert len(statuses) == len({*feeding.ledger("path, etag")})
    file.unlink()


def test_links_are_quarantined(feeding: Feeding, tmp_path: Path) -> None:
    """One that leads out of the landing zone is named, and what it leads to is not read."""
    feeding.land("good.csv", "id\n1\n")
    (tmp_path / "secret.csv").write_text("id\n2\n")
    for name, to in (("out.csv", tmp_path / "secret.csv"), ("folder", tmp_path), ("loop", "loop")):
        (feeding.lake.landing / MONTH / name).symlink_to(to)
    os.mkfifo(feeding.lake.landing / MONTH / "pipe.csv")
    feeding.feed()
    assert feeding.rows("id") == [(1,)]
    reasons = feeding.reasons()
    assert {Path(path).name for path in reasons} == {"out.csv", "folder", "loop"}
    assert all("out of the landing zone" in reason for reason in reasons.values())
    feeding.feed()
    assert feeding.reasons() == reasons


@pytest.mark.parametrize("name", TEXTS)
def test_text_formats(feeding: Feeding, name: str) -> None:
    """CSV and JSONL, plain and packed, with and without BOM: the same rows in any of them."""
    feeding.declare(id="bigint", note="varchar")
    feeding.land(name, TEXTS[name])
    feeding.feed()
    assert not feeding.reasons()
    assert feeding.rows("id, note, _source_row") == [(1, AWKWARD, 0), (2, None, 1)]
    assert feeding.ledger("row_count") == [(2,)]


def test_nested_jsonl(feeding: Feeding) -> None:
    """JSONL nests like Parquet does, grows like it, and keeps big integers and awkward text."""
    feeding.declare(id="bigint", s="struct(a varchar, n double)", l="struct(b bigint)[]")
    lines = [
        '{"id": 9007199254740993, "s": {"a": "it\'s", "n": 1}, "l": [{"b": 1, "new": "x"}]}',
        '{"id": 2, "s": {"n": 2.5}, "l": [], "fresh": {"k": [1, 2]}}',
    ]
    feeding.land("a.jsonl", "\n".join(lines))
    feeding.feed()
    assert not feeding.reasons()
    assert feeding.rows("id, s, l, fresh") == [
        (2, {"a": None, "n": 2.5}, [], {"k": [1, 2]}),
        (9007199254740993, {"a": "it's", "n": 1.0}, [{"b": 1, "new": "x"}], None),
    ]


def test_parquet_is_parquet_whatever_its_name(feeding: Feeding) -> None:
    """Extensions are not trusted: Parquet named .csv is fed as what it is."""
    feeding.land("parquet_inside.csv", _parquet([1, 2]))
    feeding.feed()
    assert feeding.rows("id") == [(1,), (2,)]


NAMES = [
    *("part_0.parquet-1", "part 1 (copy).parquet", "[x].parquet", "a*b?.parquet", "{a,b}.parquet"),
    *("it's.parquet", "ünïcode 🪷.parquet", "%20+%2F.parquet", "a#b&c=d.parquet", "no_extension"),
    *("part_2.PARQUET", "back\\slash.parquet", "a;b$c`d.parquet", "x" * 200 + ".parquet"),
]


def test_odd_names(feeding: Feeding) -> None:
    """A file's name is a name and no pattern; its extension is not trusted."""
    for number, name in enumerate(NAMES):
        feeding.land(name, rows(id=[number]))
    feeding.land("part_9.parquet", rows(id=[99]))
    # What a pattern would have matched as well, in another folder.
    feeding.land("x.parquet", rows(id=[100]), f"{FOLDER}/year=2024/month=06")
    outcome = feeding.feed()
    assert not outcome.quarantined
    found = {path: number for number, path in feeding.rows("id, _source_file")}
    assert found == {
        **{f"{MONTH}/{name}": number for number, name in enumerate(NAMES)},
        f"{MONTH}/part_9.parquet": 99,
        f"{FOLDER}/year=2024/month=06/x.parquet": 100,
    }


def test_odd_names_on_s3(s3: S3, empty_lake: Lake, tmp_path: Path, monkeypatch: Any) -> None:
    """The same names as keys of a bucket."""
    with _on_s3(s3, empty_lake, tmp_path, monkeypatch) as (feeding, put):
        # DuckDB takes what follows a question mark in a URL for options.
        names = [name for name in NAMES if "\\" not in name and "?" not in name]
        for number, name in enumerate(names):
            put(f"day=01/{name}", number)
        outcome = feeding.feed()
        assert not outcome.quarantined
        assert outcome.files == len(names)
        assert dict(feeding.rows("_source_file, id")) == {
            f"{MONTH}/day=01/{name}": number for number, name in enumerate(names)
        }


def test_part_9_comes_before_part_10(feeding: Feeding) -> None:
    """Oldest first counts as people do."""
    for number in (10, 9, 100, 1):
        feeding.land(f"part_{number}.parquet", rows(id=[number]))
    feeding.set(feed_max_files=1)
    for _ in range(4):
        feeding.feed()
    assert [path for path, *_ in feeding.ledger()] == [
        f"part_{number}.parquet" for number in (1, 9, 10, 100)
    ]


def _parquet(values: list[int] | None = None, **options: Any) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.table({"id": values if values is not None else list(range(2000))}), sink, **options
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _damaged() -> bytes:
    whole = bytearray(_parquet(compression="snappy"))
    whole[40:400] = bytes(360)
    return bytes(whole)


def _encrypted(plaintext_footer: bool) -> bytes:
    import base64

    import pyarrow.parquet.encryption as pe

    class Keys(pe.KmsClient):  # type: ignore[misc]
        def wrap_key(self, key: bytes, name: str) -> bytes:
            return base64.b64encode(key)

        def unwrap_key(self, key: bytes, name: str) -> bytes:
            return base64.b64decode(key)

    factory = pe.CryptoFactory(lambda _: Keys())
    properties = factory.file_encryption_properties(
        pe.KmsConnectionConfig(),
        pe.EncryptionConfiguration(
            footer_key="f", column_keys={"c": ["id"]}, plaintext_footer=plaintext_footer
        ),
    )
    return _parquet(encryption_properties=properties)


BAD: dict[str, tuple[Any, str]] = {
    "empty.parquet": (b"", "empty"),
    "cut.parquet": (lambda: _parquet()[:-200], "cut off"),
    "only_the_magic.parquet": (b"PAR1", "cut off"),
    "no_footer.parquet": (lambda: b"PAR1" + bytes(500) + b"PAR1", "cannot be read"),
    "damaged_inside.parquet": (_damaged, "cannot be read"),
    "no_rows.parquet": (lambda: _parquet([]), "no rows"),
    "page.parquet": (b"<html><body>503 Service Unavailable</body></html>", "not Parquet"),
    "zeros.parquet": (bytes(1000), "not Parquet"),
    "encrypted.parquet": (lambda: _encrypted(False), "encrypted"),
    "encrypted_columns.parquet": (lambda: _encrypted(True), "encrypt"),
    "json_inside.csv": (b'{"id": 1}\n', "named .csv"),
    "csv_inside.jsonl": (b"id\n1\n", "named .jsonl"),
    "header_only.csv": (b"id,note\n", "no rows"),
    "ragged.csv": (b"id,note\n1,a\n2,b,c\n3,d\n", "line 3 has 3 values, the header 2"),
    "short.csv": (b"id,note\n1,a\n2\n3,d\n", "csv"),
    "open_quote.csv": (b'id,note\n1,"a\n2,b\n', ""),
    "latin1.csv": ("id,note\n1,Zürich\n".encode("latin-1"), "UTF-8"),
    "late_latin1.csv": (
        b"id,note\n" + b"1,a\n" * 400_000 + "2,Zürich\n".encode("latin-1"),
        "UTF-8",
    ),
    "twice.csv": (b"id,id\n1,2\n", "two columns named id"),
    "broken.jsonl": (b'{"id": 1}\n{"id": 2', "JSON"),
    "word.csv": (b"id,note\nabc,x\n", "column id"),
    "half.csv.gz": (lambda: gzip.compress(os.urandom(500).hex().encode() * 50)[:300], ""),
    "wrong_crc.csv.gz": (lambda: gzip.compress(CSV.encode(), mtime=0)[:-8] + bytes(8), ""),
    "list.jsonl": (b"[1, 2]\n", "objects"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_quarantined_and_named(feeding: Feeding, name: str) -> None:
    """A bad file is left out with a reason; its neighbours are fed; repaired, it is fed next."""
    content, reason = BAD[name]
    feeding.declare(id="bigint", note="varchar")
    feeding.land("a_good.parquet", rows(id=[-1]))
    feeding.land(name, content() if callable(content) else content)
    feeding.land("z_good.parquet", rows(id=[-2]))
    outcome = feeding.feed()
    assert feeding.rows("id") == [(-2,), (-1,)]
    assert list(feeding.reasons()) == [name]
    assert reason.lower() in feeding.reasons()[name].lower()
    assert [path for path, _ in outcome.quarantined] == [f"{MONTH}/{name}"]

    again = feeding.feed()
    assert not again.quarantined
    assert len(feeding.ledger()) == 3

    feeding.land(name, _repaired(name))
    assert feeding.feed().files == 1
    assert feeding.rows("id") == [(-2,), (-1,), (5,)]
    assert {status for path, status, _ in feeding.ledger() if path == name} == {
        "quarantined",
        "loaded",
    }


def _repaired(name: str) -> pa.Table | bytes:
    if ".csv" in name:
        return b"id\n5\n"
    if ".jsonl" in name:
        return b'{"id": 5}\n'
    return rows(id=[5])


def test_an_overwritten_key_is_a_new_version(feeding: Feeding) -> None:
    """The same key with other content is fed again; both versions stay told apart."""
    feeding.land("part_0.parquet", rows(id=[1, 2]))
    feeding.feed()
    feeding.land("part_0.parquet", rows(id=[3, 4]))
    feeding.feed()
    assert feeding.rows("id, _cursor_version") == [(1, 1), (2, 1), (3, 2), (4, 2)]
    assert feeding.ledger("path, row_count, cursor_version") == [
        ("part_0.parquet", 2, 1),
        ("part_0.parquet", 2, 2),
    ]


def test_landing_may_be_cleared(feeding: Feeding) -> None:
    """In copy mode the lake owns its rows: files that are gone from landing stay in the lake."""
    path = feeding.land("a.parquet", rows(id=[1]))
    feeding.feed()
    path.unlink()
    feeding.land("b.parquet", rows(id=[2]))
    feeding.feed()
    assert feeding.rows("id") == [(1,), (2,)]


def test_other_things_in_the_folder(feeding: Feeding) -> None:
    """Writers' temporary and marker files are no deliveries; files outside day folders are."""
    feeding.land("_SUCCESS", b"")
    feeding.land(".part_0.parquet.crc", b"crc")
    feeding.land("x.parquet", rows(id=[9]), f"{MONTH}/_temporary/0")
    feeding.land("outside.parquet", rows(id=[1]), FOLDER)
    (feeding.lake.landing / MONTH / "empty_folder").mkdir(parents=True)
    assert feeding.feed().files == 1
    assert feeding.rows("id") == [(1,)]
    assert not feeding.reasons()


# -- bounded ---------------------------------------------------------------------------------------


def test_max_files(feeding: Feeding) -> None:
    """One run takes feed_max_files, oldest day first; the backlog is reported and drains."""
    for day in (3, 1, 2):
        for part in range(2):
            feeding.land(f"day={day:02}/part_{part}.parquet", rows(id=[day * 10 + part]))
    feeding.set(feed_max_files=4)
    outcome = feeding.feed()
    assert (outcome.files, outcome.backlog_files) == (4, 2)
    assert feeding.rows("id") == [(10,), (11,), (20,), (21,)]
    waiting = sum(os.path.getsize(feeding.lake.landing / path) for path in feeding.landed()[-2:])
    assert feeding.cursor("backlog_files, backlog_bytes") == (2, waiting)
    feeding.feed()
    assert feeding.cursor("backlog_files, backlog_bytes, files_loaded, rows_loaded") == (0, 0, 6, 6)


def test_max_bytes(feeding: Feeding) -> None:
    """One run takes feed_max_bytes; a file that is larger than that alone is fed all the same."""
    sizes = []
    for part, count in enumerate([10, 10, 50_000, 10]):
        path = feeding.land(f"part_{part}.parquet", rows(id=list(range(count))))
        sizes.append(path.stat().st_size)
    feeding.set(feed_max_bytes=sizes[0] + sizes[1] + 1)
    fed = [feeding.feed().files for _ in range(4)]
    assert fed == [2, 1, 1, 0]
    assert feeding.cursor("backlog_files, bytes_loaded") == (0, sum(sizes))


# -- late files ------------------------------------------------------------------------------------


def test_a_late_file_in_an_old_day(feeding: Feeding) -> None:
    """A file in a folder far older than the newest day is fed by the next run, locally."""
    feeding.set(feed_list_free_files=0, feed_lookback_days=2)
    for day in (1, 20, 21):
        feeding.land(f"day={day:02}/part_0.parquet", rows(id=[day]))
    feeding.feed()
    feeding.land("day=01/part_1.parquet", rows(id=[100]))
    feeding.land("day=01/part_0.parquet", rows(id=[101]))
    assert feeding.feed().files == 2


def test_only_recent_days_are_listed(feeding: Feeding) -> None:
    """The window is used: what shows no change is looked at by a sweep only, when it is due."""
    feeding.set(feed_list_free_files=0, feed_lookback_days=2)
    for day in (1, 20, 21):
        feeding.land(f"day={day:02}/part_0.parquet", rows(id=[day]))
    feeding.feed()
    old = feeding.land("day=01/part_1.parquet", rows(id=[100]))
    long_ago = (datetime.now(UTC) - timedelta(days=40)).timestamp()
    os.utime(old.parent, (long_ago, long_ago))
    feeding.land("day=19/part_0.parquet", rows(id=[19]))
    assert feeding.feed().files == 1
    assert (100,) not in feeding.rows("id")
    feeding.connection.execute(
        "update lakehouse.meta.feeder_cursors set swept_at = now() - interval 25 hour"
    )
    assert feeding.feed().files == 1
    assert (100,) in feeding.rows("id")


class _Put:
    def __init__(self, s3: S3, bucket: str) -> None:
        self._s3, self._bucket = s3, bucket

    def __call__(self, name: str, number: int) -> None:
        body = _parquet([number])
        self._s3.client.put_object(Bucket=self._bucket, Key=f"raw/{MONTH}/{name}", Body=body)


def _on_s3(s3: S3, empty_lake: Lake, tmp_path: Path, monkeypatch: Any) -> Any:
    from contextlib import contextmanager

    @contextmanager
    def ready() -> Any:
        for name, value in s3.environment.items():
            monkeypatch.setenv(name, value)
        bucket = tmp_path.name.replace("_", "-").lower()[:60].strip("-")
        s3.client.create_bucket(Bucket=bucket)
        lake = Lake(tmp_path / "on_s3")
        lake.copy_of(empty_lake)
        with feeding_of(lake, f"s3://{bucket}/raw", [s3.duckdb_secret]) as feeding:
            yield feeding, _Put(s3, bucket)

    return ready()


def test_a_late_file_on_s3_waits_for_a_sweep(
    s3: S3, empty_lake: Lake, tmp_path: Path, monkeypatch: Any
) -> None:
    """S3 cannot tell which folder changed: within the window at once, before it by a sweep."""
    with _on_s3(s3, empty_lake, tmp_path, monkeypatch) as (feeding, put):
        feeding.set(feed_list_free_files=0, feed_lookback_days=3)
        for day in (1, 20, 21):
            put(f"day={day:02}/part_0.parquet", day)
        assert feeding.feed().files == 3
        put("day=01/part_1.parquet", 100)
        put("day=18/part_0.parquet", 18)
        put("day=21/part_0.parquet", 210)  # the same key, other content
        assert feeding.feed().files == 2
        assert (100,) not in feeding.rows("id")
        feeding.set(feed_sweep_hours=0)
        assert feeding.feed().files == 1
        assert (100,) in feeding.rows("id")


def test_a_sweep_that_finds_much_is_drained(
    s3: S3, empty_lake: Lake, tmp_path: Path, monkeypatch: Any
) -> None:
    """Late files that a sweep found and one run could not take are taken by the next runs."""
    with _on_s3(s3, empty_lake, tmp_path, monkeypatch) as (feeding, put):
        feeding.set(feed_list_free_files=0, feed_lookback_days=3, feed_max_files=3)
        for day in (20, 21):
            put(f"day={day:02}/part_0.parquet", day)
        feeding.feed()
        for part in range(5):
            put(f"day=01/part_{part}.parquet", 100 + part)
        feeding.connection.execute(
            "update lakehouse.meta.feeder_cursors set swept_at = now() - interval 25 hour"
        )
        assert feeding.feed().files == 3
        assert feeding.cursor("backlog_files") == (2,)
        assert feeding.feed().files == 2
        assert feeding.cursor("backlog_files") == (0,)
