"""Where the lake lies, read from the environment and checked before anything is opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit


class LakeError(RuntimeError):
    """Something a person has to put right; the message says what and how, in one line."""


# The defaults of the two targets; profiles.yml states the same ones for dbt.
_DEFAULTS = {
    "local": (".lake/landing/raw", "sqlite:.lake/catalog.sqlite", ".lake/data/"),
    "prod": ("s3://landing/raw", "postgres:", "s3://lakehouse/data/"),
}


@dataclass(frozen=True)
class LakeConfig:
    """The places a lake is made of.

    Args:
        landing_url: Where Airbyte writes: a local folder or ``s3://bucket/prefix``, without a
            closing slash.
        catalog: What follows ``ducklake:`` (``sqlite:PATH`` or ``postgres:CONNECTION``).
        data_url: Where DuckLake writes its files, with a closing slash.
        target: The dbt target, ``local`` or ``prod``.
    """

    landing_url: str
    catalog: str
    data_url: str
    target: str = "local"

    @classmethod
    def from_env(cls, env: dict[str, str] | None = None) -> LakeConfig:
        """Read the configuration from environment variables.

        Raises:
            LakeError: A variable is wrong, or the data would lie inside the landing zone.
        """
        values = dict(os.environ) if env is None else env
        target = values.get("DBT_TARGET") or "local"
        if target not in _DEFAULTS:
            raise LakeError(
                f"DBT_TARGET is '{target}', but there is no such target: set it to local or prod."
            )
        landing, catalog, data = _DEFAULTS[target]
        config = cls(
            landing_url=(values.get("LAKE_LANDING_URL") or landing).rstrip("/"),
            catalog=values.get("LAKE_CATALOG") or catalog,
            data_url=(values.get("LAKE_DATA_URL") or data).rstrip("/") + "/",
            target=target,
        )
        config.check()
        return config

    def check(self) -> None:
        """Refuse what could never work, or would destroy landed files.

        Raises:
            LakeError: See above.
        """
        for name, url in (("LAKE_LANDING_URL", self.landing_url), ("LAKE_DATA_URL", self.data_url)):
            scheme = urlsplit(url).scheme if "://" in url else ""
            if scheme not in ("", "s3", "file"):
                raise LakeError(
                    f"{name} is '{url}': only local paths and s3://bucket/prefix are supported."
                )
        kind, _, rest = self.catalog.partition(":")
        if kind not in ("sqlite", "postgres") or (kind == "sqlite" and not rest):
            # Only its beginning is told: the rest may hold a password.
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
        """Whether any of the places is an S3 bucket."""
        return is_s3(self.landing_url) or is_s3(self.data_url)

    @property
    def sqlite_path(self) -> Path | None:
        """The catalog's file when it is embedded, else None."""
        kind, _, rest = self.catalog.partition(":")
        return Path(rest) if kind == "sqlite" else None

    @property
    def catalog_name(self) -> str:
        """The catalog as it may be shown: without what could be a password."""
        return self.catalog if self.sqlite_path else "postgres (libpq's PG* variables)"


def is_s3(url: str) -> bool:
    """Whether a URL points into S3."""
    return url.startswith("s3://")


def local_path(url: str) -> Path:
    """The path of a local URL, with or without ``file://``."""
    return Path(url.removeprefix("file://"))


def _parts(url: str) -> tuple[str, ...]:
    """A location as comparable parts; symbolic links and '..' are followed for local paths."""
    if is_s3(url):
        parts = urlsplit(url)
        return ("s3:", parts.netloc, *[part for part in parts.path.split("/") if part])
    return local_path(url).resolve().parts
