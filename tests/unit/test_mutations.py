"""Good files, damaged at random: each is fed whole or quarantined, and none ends the feed."""

from __future__ import annotations

import gzip
import os
import random
import time

import pyarrow as pa
import pytest

from .conftest import SmallLake, json_lines, parquet

SECONDS = float(os.environ.get("LAKE_FUZZ_SECONDS", "15"))
ROWS = [
    {
        "id": number,
        "name": f"name {number}",
        "price": number / 3,
        "lines": [{"title": "é–部", "price": 1.5, "tags": ["a", None]}] * (number % 3),
        "properties": '{"a": [1, {"b": "c"}], "d": null}',
    }
    for number in range(300)
]
TABLE = pa.Table.from_pylist(ROWS)
CSV = "id,name,note\n" + "".join(f'{n},name {n},"say ""x"", it\'s\n"\n' for n in range(300))
GOOD: dict[str, bytes] = {
    **{
        f"{compression}_{version}.parquet": parquet(
            TABLE, compression=compression, data_page_version=version, row_group_size=100
        )
        for compression in ("none", "snappy", "zstd", "gzip")
        for version in ("1.0", "2.0")
    },
    "plain.parquet": parquet(TABLE, compression="none", use_dictionary=False),
    "text.csv": CSV.encode(),
    "text.jsonl": json_lines(*ROWS),
}
GOOD |= {f"{name}.gz": gzip.compress(GOOD[name], mtime=0) for name in ("text.csv", "text.jsonl")}

NUMBERS = [b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\0", b"\x80\x80\x80\x80"]
HOSTILE = [
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b'"', b"[" * 3000, b"{", b"\r", b"\n" * 1000, b"NaN"),
    *(b"1e999", b"9" * 5000, b"\\ud800", b'{"a":' * 500, b",,,,", b"\x1f\x8b", b"PAR1"),
]


def damaged(draw: random.Random, content: bytes) -> bytes:
    """A file's bytes with a few things wrong."""
    data = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 5])):
        start, target = draw.randrange(len(data)), draw.randrange(len(data))
        part = data[start : start + draw.randrange(1, 64)]
        match draw.choice(["flip", "flip", "number", "move", "cut", "repeat", "put in"]):
            case "flip":
                data[start] ^= 1 << draw.randrange(8)
            case "number":
                data[start : start + 4] = draw.choice(NUMBERS)
            case "move":
                data[target : target + len(part)] = part
            case "cut":
                del data[start : start + len(part)]
            case "repeat":
                data[start:start] = part[:32] * draw.choice([2, 50, 5000])
            case "put in":
                data[start:start] = draw.choice(HOSTILE)
    return bytes(data)


COLUMNS = {
    "id": "bigint",
    "name": "varchar",
    "price": "double",
    "lines": "struct(title varchar, price double, tags varchar[])[]",
    "properties": "varchar",
    "note": "varchar",
}


def check_round(lake: SmallLake, seed: int) -> None:
    """Feed damaged files beside good ones, and compare the ledger with staging."""
    draw = random.Random(seed)
    bad = []
    for number in range(40):
        name = draw.choice(list(GOOD))
        bad.append(lake.land(f"{seed}_{number}_{name}", damaged(draw, GOOD[name])))
    good = {lake.land(f"{seed}_{name}", content) for name, content in GOOD.items()}
    while lake.feed(primary_key="id", columns=COLUMNS).backlog_files:
        pass
    known = dict(lake.query("select path, status from lakehouse.meta.feeder_files"))
    assert known.keys() >= {*bad, *good}
    assert {path for path in good if known[path] != "loaded"} == set()
    assert not lake.query(
        "select path, row_count from lakehouse.meta.feeder_files where status = 'loaded'"
        " except select _source_file, count(*) from lakehouse.staging.stg_shop__orders group by all"
    )


@pytest.mark.slow
def test_no_damage_ends_a_feed(lake: SmallLake) -> None:
    """To look longer: LAKE_FUZZ_SECONDS=3600. A failure names its LAKE_FUZZ_SEED."""
    end, seed = time.time() + SECONDS, int(os.environ.get("LAKE_FUZZ_SEED", "1"))
    while time.time() < end:
        try:
            check_round(lake, seed)
        except BaseException as error:
            error.add_note(f"LAKE_FUZZ_SEED={seed}")
            raise
        seed += 1
    assert lake.reasons()
