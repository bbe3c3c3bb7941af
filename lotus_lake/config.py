"""Where the lake lies, read from the environment and checked before anything is opened."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from lotus_lake.escaping import printable_lines

# One place has one spelling here. DuckDB knows others, such as file:/path and s3://bucket/a/../b,
# in which it would not be seen that one place lies inside another.
_PLACE = re.compile(
    r"s3://[\w-][\w.-]*(?:/(?!\.{1,2}(?:/|$))[^/%?#]*)*"
    r"|file:///(?:[^%?#])*"
    # On Windows one letter is a drive.
    rf"|(?![A-Za-z][A-Za-z0-9+.-]{'+' if os.name == 'nt' else '*'}:)(?s:.)+"
)

# A password in whatever form libpq takes it: password=…, user:password@host, ?pass%77ord=….
_PASSWORD = re.compile(r"password\s*=|//.*:.*@|[?&][^=&]*%", re.IGNORECASE | re.DOTALL)


class LakeError(RuntimeError):
    """Something a person has to put right; the message says what and how, in one line."""

    def __str__(self) -> str:
        """The message, which may name files and columns, for a terminal."""
        return printable_lines(super().__str__())


# The defaults of the targets.
_DEFAULTS = {
    "local": (".lake/landing/raw", "sqlite:.lake/catalog.sqlite", ".lake/data/"),
    "prod": ("s3://landing/raw", "postgres:", "s3://lakehouse/data/"),
    # A branch of the lake that these are the places of.
    "pr": (".lake/landing/raw", "sqlite:.lake/catalog.sqlite", ".lake/data/"),
}

_MEGABYTES = {"M": 1, "G": 1_000, "T": 1_000_000}


@dataclass(frozen=True)
class LakeConfig:
    """The places a lake is made of."""

    landing_url: str  # a local folder or s3://bucket/prefix, without a closing slash
    catalog: str  # what follows ducklake:, sqlite:PATH or postgres:CONNECTION
    data_url: str  # with a closing slash
    target: str = "local"
    branch_of: LakeConfig | None = None  # of a branch, the lake; and its own name
    branch: str = ""

    @classmethod
    def from_env(cls, values: Mapping[str, str] = os.environ) -> LakeConfig:
        """Read the configuration from environment variables.

        Raises:
            LakeError: A variable is wrong, or the data would lie inside the landing zone.
        """
        target = values.get("DBT_TARGET") or "local"
        if target not in _DEFAULTS:
            raise LakeError(
                f"DBT_TARGET is '{target}', but there is no such target: set it to local or prod, "
                "or to pr for a branch."
            )
        landing, catalog, data = _DEFAULTS[target]
        config = cls(
            landing_url=(values.get("LAKE_LANDING_URL") or landing).rstrip("/"),
            catalog=values.get("LAKE_CATALOG") or catalog,
            data_url=(values.get("LAKE_DATA_URL") or data).rstrip("/") + "/",
            target=target,
        )
        config.check()
        memory_limit(values)
        if target == "pr":
            if not values.get("LAKE_BRANCH"):
                raise LakeError(
                    "DBT_TARGET is pr, but LAKE_BRANCH is not set: set it to the name of a branch. "
                    "`lake branch list` shows them, `lake branch create NAME` makes one."
                )
            return config.of_branch(values["LAKE_BRANCH"])
        return config

    def of_branch(self, name: str) -> LakeConfig:
        """The places of a branch of this lake, whether or not there is one: in its name, what is no
        letter or digit becomes ``_``.

        Raises:
            LakeError: The name, or this lake's data path, cannot be used for it.
        """
        usable = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")[:40]
        if not usable:
            raise LakeError(f"'{name}' cannot name a branch: use letters, digits and _.")
        catalog = self.catalog
        if self.sqlite_path:
            catalog = f"sqlite:{self.sqlite_path.parent / 'branches' / usable}.sqlite"
        return replace(
            self,
            catalog=catalog,
            data_url=f"{self.beside_data('branches')}{usable}/",
            target="pr",
            branch_of=self,
            branch=usable,
        )

    @property
    def branch_environment(self) -> dict[str, str]:
        """What lets another process, or dbt in this one, work on this branch; its lake's own
        places, because the defaults of the lake's target are not those of target pr."""
        assert self.branch_of
        return {
            "DBT_TARGET": "pr",
            "LAKE_BRANCH": self.branch,
            "LAKE_LANDING_URL": self.branch_of.landing_url,
            "LAKE_CATALOG": self.branch_of.catalog,
            "LAKE_DATA_URL": self.branch_of.data_url,
        }

    def beside_data(self, name: str) -> str:
        """A folder beside the lake's data, and never inside it, with a closing slash.

        Raises:
            LakeError: The data is a whole bucket; there is nothing beside it.
        """
        parent, slash, _ = self.data_url.rstrip("/").rpartition("/")
        if is_s3(self.data_url) and parent in ("s3:/", "s3:"):
            raise LakeError(
                f"LAKE_DATA_URL ({self.data_url}) is a whole bucket: there is no place beside it "
                f"for {name}. Give the lake's data a prefix, as in s3://lakehouse/data/."
            )
        return f"{parent}{slash}{name}/"

    def check(self) -> None:
        """Refuse what could never work, or would destroy landed files."""
        if not self.sqlite_path and _PASSWORD.search(self.catalog):
            raise LakeError(
                "LAKE_CATALOG holds a password, which messages, logs and lists of processes would "
                "show. Take it out, and set PGPASSWORD, or PGPASSFILE to a file with it. Nothing "
                "was opened."
            )
        for name, url in (("LAKE_LANDING_URL", self.landing_url), ("LAKE_DATA_URL", self.data_url)):
            check_place(name, url)
        kind, _, rest = self.catalog.partition(":")
        if kind not in ("sqlite", "postgres") or (kind == "sqlite" and not rest):
            # Only its beginning is shown: the rest may hold a password.
            raise LakeError(
                f"LAKE_CATALOG begins with '{kind}': it has to be sqlite:PATH or postgres: with a "
                "connection string, or with nothing for libpq's PG* variables."
            )
        landing, data = _parts(self.landing_url), _parts(self.data_url)
        if landing == data[: len(landing)] or data == landing[: len(data)]:
            raise LakeError(
                f"LAKE_DATA_URL ({self.data_url}) and LAKE_LANDING_URL ({self.landing_url}) lie "
                "inside each other: DuckLake's clean-up would delete landed files. Nothing was "
                "written. Give the lake a data path of its own."
            )

    @property
    def uses_s3(self) -> bool:
        return is_s3(self.landing_url) or is_s3(self.data_url)

    @property
    def sqlite_path(self) -> Path | None:
        """The catalog's file when it is embedded, else None."""
        kind, _, rest = self.catalog.partition(":")
        return Path(rest) if kind == "sqlite" else None

    @property
    def metadata_schema(self) -> str:
        """The schema of PostgreSQL that DuckLake's own tables lie in."""
        return f"branch_{self.branch}" if self.branch else "public"

    @property
    def catalog_name(self) -> str:
        """The catalog as it may be shown: without what could be a password."""
        name = self.catalog if self.sqlite_path else "postgres (libpq's PG* variables)"
        return f"branch {self.branch}: {name}" if self.branch else name


def is_s3(url: str) -> bool:
    return url.startswith("s3://")


def check_place(name: str, url: str) -> None:
    """Refuse a URL that is no place for files.

    Raises:
        LakeError: The message names the variable that the URL is of.
    """
    if not _PLACE.fullmatch(url):
        raise LakeError(
            f"{name} is '{url}': only local paths, file:///path and s3://bucket/prefix are "
            "supported; a URL in small letters, without %, ?, # and without parts . and .."
        )


def local_path(url: str) -> Path:
    """The path of a local URL, with or without ``file://``."""
    return Path(url.removeprefix("file://"))


def memory_limit(values: Mapping[str, str] = os.environ) -> int:
    """LAKE_MEMORY_LIMIT in bytes.

    Raises:
        LakeError: It is no size.
    """
    limit = values.get("LAKE_MEMORY_LIMIT") or "2GB"
    size = re.fullmatch(r"\s*(\d{1,6}(?:\.\d+)?)\s*([MGT])(i?B)?\s*", limit, re.IGNORECASE)
    if not size or float(size[1]) * _MEGABYTES[size[2].upper()] < 1:
        raise LakeError(
            f"LAKE_MEMORY_LIMIT is '{limit}'; it has to be a size of at least 1MB, such as 500MB "
            "or 2GB."
        )
    return int(float(size[1]) * _MEGABYTES[size[2].upper()] * 10**6)


def spill_folder() -> Path:
    """The folder for what does not fit into memory."""
    return Path(os.environ.get("LAKE_TEMP_DIR") or ".lake/tmp")


def full_places(config: LakeConfig) -> list[str]:
    """The folders on this machine that have no space left, each with the variable that names it."""
    places = {
        "LAKE_CATALOG": config.sqlite_path.parent if config.sqlite_path else None,
        "LAKE_DATA_URL": None if is_s3(config.data_url) else local_path(config.data_url),
        "LAKE_TEMP_DIR": spill_folder(),
        "DBT_TARGET_PATH": Path(os.environ.get("DBT_TARGET_PATH") or "target"),
        "DBT_LOG_PATH": Path(os.environ.get("DBT_LOG_PATH") or "logs"),
    }
    return [
        f"{place} ({name})"
        for name, place in places.items()
        if place and place.exists() and _is_full(place)
    ]


def _is_full(place: Path) -> bool:
    disk = shutil.disk_usage(place)
    # What a failed write took is free again by now.
    return disk.free < min(disk.total / 10, 2**24)


def _parts(url: str) -> tuple[str, ...]:
    """A location as comparable parts; symbolic links and '..' are followed for local paths."""
    if is_s3(url):
        parts = urlsplit(url)
        return ("s3:", parts.netloc, *[part for part in parts.path.split("/") if part])
    return Path(os.path.realpath(local_path(url))).parts
