"""Bad configuration: one clear line that names it, an exit code, and nothing half-written.

Which values are refused is tested in tests/unit/test_config.py and test_variables.py.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from tests.system.lake import PROJECT, Build, Lake
from tests.system.small_project import Shop

pytestmark = pytest.mark.slow


@pytest.fixture
def lake(new_shop: Callable[..., Shop]) -> Lake:
    """A lake of the small project with an empty landing zone, not built yet."""
    return new_shop(name="new").lake


def _assert_refused(build: Build, *words: str) -> None:
    """It failed, said so in one line with these words, and showed no stack trace."""
    assert build.code not in (0, None) and build.code > 0, build
    assert "Traceback" not in build.output, build
    lines = [line for line in build.output.splitlines() if all(word in line for word in words)]
    assert lines, f"no line names {words}:\n{build}"


def _assert_nothing_written(lake: Lake) -> None:
    assert not lake.catalog_file.exists()
    assert not lake.data.exists()
    assert not list(lake.landing.iterdir())


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        # DuckLake's clean-up would delete landed files.
        ("LAKE_DATA_URL", "{home}/link/data", ["LAKE_DATA_URL", "LAKE_LANDING_URL"]),
        # Where the lake lies follows from DBT_TARGET alone: --target pr would build on the lake.
        ("--target", "pr", ["--target is pr", "Set DBT_TARGET=pr"]),
    ],
)
def test_wrong_environment(lake: Lake, variable: str, value: str, words: list[str]) -> None:
    """Refused before anything is written."""
    (lake.home / "link").symlink_to(lake.landing)
    if variable == "--target":
        build = lake.build_quickly(variable, value)
    else:
        build = lake.build_quickly(environment={variable: value.format(home=lake.home)})
    _assert_refused(build, *words)
    _assert_nothing_written(lake)


def test_a_catalog_that_is_another(lake: Lake, shop: Shop) -> None:
    """No catalog, one of a newer DuckLake, or one whose files lie elsewhere is left as it is."""
    lake.catalog_file.write_text("this is a text file\n" * 100)
    _assert_refused(lake.build_quickly(), "catalog.sqlite")
    assert lake.catalog_file.read_text() == "this is a text file\n" * 100
    lake, elsewhere = shop.lake, shop.lake.home / "elsewhere"
    _assert_refused(lake.build_quickly(environment={"LAKE_DATA_URL": str(elsewhere)}), "LAKE_DATA_")
    assert not [path for path in elsewhere.rglob("*") if path.is_file()]
    lake.edit_catalog("update ducklake_metadata set value = '9.9' where key = 'version'")
    before = lake.catalog_file.read_bytes()
    _assert_refused(lake.build_quickly(), "catalog", "version")
    assert lake.catalog_file.read_bytes() == before


def test_a_password_in_the_catalog(lake: Lake) -> None:
    """Every command that opens the lake refuses it; none shows or writes it, dbt's own included."""
    lake.environment["LAKE_CATALOG"] = "postgres://lake:hush-hush@127.0.0.1:1/db"
    said = []
    for command in ("debug", "build", "parse"):
        done = lake.build("--log-level-file", "debug", command=command)
        said.append(done.output)
        if command != "parse":  # which opens nothing
            _assert_refused(done, "LAKE_CATALOG holds a password", "PGPASSWORD", "PGPASSFILE")
    for words in ("tick", "diff trial", "status", "sql", "watch fct_sales", "maintain", "sweep"):
        ran = lake.command(*words.split())
        assert ran.code == 64, ran
        assert "LAKE_CATALOG holds a password" in ran.output
        said.append(ran.output)
    written = [path.read_bytes() for path in lake.home.rglob("*") if path.is_file()]
    assert not any("hush-hush" in text for text in said)
    assert not any(b"hush-hush" in content for content in written)
    assert (lake.logs / "dbt.log").exists()
    _assert_nothing_written(lake)


def test_unknown_stream(lake: Lake) -> None:
    """A folder that no source declares is warned of, and the build goes on."""
    (lake.landing / "shopify" / "surprises").mkdir(parents=True)
    (lake.landing / "shopify" / "surprises" / "x.parquet").write_bytes(b"x")
    build = lake.build_quickly("--select", "lotus_lake.landing")
    assert build.ok, build
    assert any(
        "shopify/surprises" in line and "no source declares" in line
        for line in build.output.splitlines()
    ), build


def test_an_empty_landing_zone_builds(new_lake: Callable[..., Lake]) -> None:
    """Before the first delivery every table of the shop is there and empty, and data tests pass."""
    lake = new_lake()
    build = lake.build("--exclude-resource-type", "unit_test")
    assert build.ok, build
    assert all(not table.rows for name, table in lake.tables().items())


@pytest.mark.parametrize("value", ["a'; touch {0}; '", "$(shell touch {0})", "$$(touch {0})"])
def test_what_make_is_given_is_no_command(lake: Lake, value: str) -> None:
    """Neither a shell nor make itself runs a part of it."""
    touched = lake.home / "touched"
    for variable in ("PYTHON", "SAMPLE_ARGS", "NO_SUCH_VARIABLE"):
        done = subprocess.run(
            ["make", "-s", "help", f"{variable}={value.format(touched)}"],
            cwd=PROJECT,
            env=lake.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        assert not touched.exists(), variable


@pytest.mark.parametrize("name", ["a'; touch {0}; '", "a\"}}, {{b: 'c", "--help"])
def test_a_branch_of_any_name(shop: Shop, name: str) -> None:
    """It is made and dropped, and nothing of its name is YAML, an option or a command."""
    lake = shop.lake
    touched = lake.home / "touched"
    made = lake.command("branch", "create", "--", name.format(touched))
    assert "Build on it" in made.output, made
    dropped = lake.command("branch", "drop", "--", name.format(touched))
    assert "is dropped" in dropped.output, dropped
    assert not touched.exists()
    assert not list(lake.home.glob("branches/*.sqlite"))
