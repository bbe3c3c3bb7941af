"""The command ``lake``: what it says of itself, and how it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from lotus_lake.cli import main

COMMANDS = [(name, command) for name, command in main.commands.items()] + [
    (f"branch {name}", command) for name, command in main.commands["branch"].commands.items()
]


def test_help_is_a_table_of_contents() -> None:
    """Every command stands in one section; without a command it is wrong usage."""
    shown = CliRunner().invoke(main, ["--help"])
    assert shown.exit_code == 0
    listed = [name for names in main.sections.values() for name in names]
    assert sorted(listed) == sorted(main.commands)
    assert all(f"  {name} " in shown.output for name in listed)
    assert "..." not in shown.output.partition("Look:")[2], "a line was cut"
    assert CliRunner().invoke(main, []).exit_code == 64


@pytest.mark.parametrize(("name", "command"), COMMANDS)
def test_every_command_teaches(name: str, command: click.Command) -> None:
    """What it does, how it is typed."""
    shown = CliRunner().invoke(main, [*name.split(), "--help"])
    assert shown.exit_code == 0
    if not isinstance(command, click.Group):
        assert f"  lake {name}" in shown.output.partition("Examples:")[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "lake: No such command 'nothing'. See: lake --help\n"),
        (["undo"], "lake undo: Missing argument 'STREAM'. See: lake undo --help\n"),
        (["tick", "--loop", "0"], "lake tick: --loop is 0; it has to be more than 0 seconds."),
        (["tick", "--dry-run", "--maintain"], "lake tick: --dry-run goes with neither"),
        (["branch", "drop", "a", "--older-than", "1"], "lake branch drop: Say which"),
        (["discover", "--key", "id"], "lake discover: --key, --no-key and --cursor are about"),
        (["status"], "lake status: LAKE_CATALOG begins with 'mysql'"),
    ],
)
def test_a_mistake_is_one_line(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAKE_CATALOG", "mysql:somewhere")
    wrong = CliRunner().invoke(main, words)
    assert wrong.exit_code == 64
    assert wrong.stderr.startswith(said)
    assert (wrong.stdout, wrong.stderr.count("\n")) == ("", 1)


def test_it_starts_at_once() -> None:
    """Nothing that takes long is imported for help, or before a command needs it."""
    code = "import sys, lotus_lake.cli; print(*{name.split('.')[0] for name in sys.modules})"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    )
    assert not {"dbt", "duckdb", "pyarrow", "rich", "sphinx", "yaml"} & set(done.stdout.split())
