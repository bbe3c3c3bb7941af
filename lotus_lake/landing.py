"""The landing zone: which files lie there, locally or in S3."""

from __future__ import annotations

import functools
import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import PurePosixPath
from stat import S_ISREG
from typing import TYPE_CHECKING, Any, Protocol

from lotus_lake import s3
from lotus_lake.config import is_s3, local_path
from lotus_lake.exits import Unreachable

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.fs
    from obstore import ObjectMeta as Item

_DAY = re.compile(r"year=(\d{4})/month=(\d{1,2})/day=(\d{1,2})(?:/|$)")
_NUMBER = re.compile(r"(\d+)")
_HIDDEN_PART = re.compile(r"/[._]")


@dataclass(frozen=True)
class LandedFile:
    path: str  # relative to the landing zone; no identity, since keys come back with other content
    etag: str  # S3's ETag, or size and change time: with the path, what identifies a version
    size: int  # in bytes
    last_modified: datetime  # in UTC

    @property
    def day(self) -> date | None:
        """The day of the sync that wrote it, from its folder; None outside the day layout."""
        return day_of(self.path)

    @property
    def order(self) -> tuple[Any, ...]:
        return order_of(self.path)


class Landing(Protocol):
    """A place that files land in; LakeError where it cannot be read."""

    url: str
    root: str  # what DuckDB's file names begin with, before a path

    def streams(self) -> list[tuple[str, str]]:
        """(source, stream) of each folder that is there."""

    def files(self, folder: str, since: date | None = None) -> list[LandedFile]:
        """Files below a folder (closed by a slash), oldest first; none of days before ``since``."""

    def again(self, paths: Iterable[str]) -> list[LandedFile]:
        """These files as they are now, without those that are gone."""

    def uri(self, path: str) -> str:
        """What DuckDB reads for a path; never a pattern."""
        # A bracket makes a pattern of the one character that it holds.
        return re.sub(r"([*?\[])", r"[\1]", f"{self.root}{path}")

    def open(self, path: str) -> pa.NativeFile:
        """A file, to be read."""


def open_landing(url: str) -> Landing:
    """The landing zone at a URL; LakeError if it cannot be read."""
    return S3Landing(url) if is_s3(url) else LocalLanding(url)


def day_of(path: str) -> date | None:
    found = _DAY.search(path)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def order_of(path: str) -> tuple[Any, ...]:
    """Sort key of a path, oldest first: day, then name with part_9 before part_10."""
    parts = [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in _NUMBER.split(path)
        if part
    ]
    return (day_of(path) or date.min, parts)


def _hidden(name: str) -> bool:
    """Whether a name is a writer's temporary or marker file, as Hive and Spark name them."""
    return name.startswith((".", "_"))


class LocalLanding(Landing):
    def __init__(self, url: str) -> None:
        self.url = url
        self.root = f"{local_path(url).as_posix()}/"
        self._undecoded: dict[str, str] = {}  # names as they are told -> as they are
        if not os.path.isdir(self.root):
            raise Unreachable(
                f"The landing zone {url} is not there. Set LAKE_LANDING_URL to the folder that "
                "holds {source}/{stream}/year=…/month=…/day=…; nothing was changed."
            )

    def streams(self) -> list[tuple[str, str]]:
        return sorted(
            (source.name, stream.name)
            for source in self._entries(self.root)
            if source.is_dir(follow_symlinks=False)
            for stream in self._entries(source.path)
            if stream.is_dir(follow_symlinks=False)
        )

    def files(self, folder: str, since: date | None = None) -> list[LandedFile]:
        if self._is_link(folder):
            return self.again([folder.rstrip("/")])
        found = [_local_file(*entry) for entry in self._walk(folder, since)]
        return sorted(found, key=lambda file: file.order)

    def again(self, paths: Iterable[str]) -> list[LandedFile]:
        return [
            _local_file(*entry)
            for path in paths
            for entry in self._look(self._undecoded.get(path, path))
        ]

    def open(self, path: str) -> pa.NativeFile:
        import pyarrow as pa

        if self._is_link(path):
            raise OSError("it is a link, and no link is followed: land the file itself")
        return pa.OSFile(self.root + path)

    def _walk(self, folder: str, since: date | None) -> Iterator[tuple[str, os.stat_result]]:
        for entry in self._entries(self.root + folder):
            path = f"{folder.rstrip('/')}/{entry.name}"
            if not entry.is_dir(follow_symlinks=False):
                yield from self._look(path)
            elif not since or (day_of(path) or since) >= since:
                yield from self._walk(path, since)

    def _look(self, path: str) -> Iterator[tuple[str, os.stat_result]]:
        try:
            stat = os.lstat(self.root + path)
        except FileNotFoundError:
            return  # deleted since it was listed
        except OSError as error:
            raise self._refused(path, error) from error
        # A link goes into quarantine: it may lead out of the landing zone, or in a circle.
        if S_ISREG(stat.st_mode) or self._is_link(path):
            # A name that is no UTF-8 can be told, though not read: it goes into quarantine.
            told = path if path.isascii() else os.fsencode(path).decode("utf-8", "backslashreplace")
            if told != path:
                self._undecoded[told] = path
            yield told, stat

    def _is_link(self, path: str) -> bool:
        """Whether a path, or a folder on the way to it, is a link."""
        places = [PurePosixPath(path), *PurePosixPath(path).parents]
        return any(os.path.islink(f"{self.root}{place}") for place in places)

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if not _hidden(entry.name)]
        except FileNotFoundError:
            return []  # deleted since it was listed
        except OSError as error:
            raise self._refused(folder, error) from error

    def _refused(self, path: str, error: OSError) -> Unreachable:
        return Unreachable(
            f"The landing zone cannot be read at {path}: {error.strerror}. Give this user "
            "the right to list and read it."
        )


def _local_file(path: str, stat: os.stat_result) -> LandedFile:
    return LandedFile(
        path=path,
        etag=f"{stat.st_size}-{stat.st_mtime_ns}",
        size=stat.st_size,
        last_modified=datetime.fromtimestamp(stat.st_mtime, UTC),
    )


class S3Landing(Landing):
    """A landing zone in an S3 bucket; endpoint and keys are the AWS SDK's environment variables.

    Listed with obstore, which imports in 0.02 s. It cannot tell keys with empty segments or control
    characters, and takes a folder's marker for a file; where it meets one, boto3 lists (0.4 s).
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self._bucket, self._prefix = s3.split_url(url)
        self.root = f"s3://{self._bucket}/{self._prefix}"
        self._store = s3.open_bucket(self._bucket)

    @functools.cached_property
    def _filesystem(self) -> pyarrow.fs.FileSystem:
        import pyarrow.fs

        # Some stores send the checksum of the whole object with a part of it, which would
        # then never match. Only the environment can say so here.
        os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
        return pyarrow.fs.S3FileSystem(
            endpoint_override=os.environ.get("AWS_ENDPOINT_URL_S3")
            or os.environ.get("AWS_ENDPOINT_URL"),
            region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
            tls_ca_file_path=os.environ.get("AWS_CA_BUNDLE") or None,
        )

    def streams(self) -> list[tuple[str, str]]:
        return sorted(
            (source, stream)
            for source in self._folders(self._prefix)
            for stream in self._folders(f"{self._prefix}{source}/")
            if not _hidden(source) and not _hidden(stream)
        )

    def files(self, folder: str, since: date | None = None) -> list[LandedFile]:
        prefix = self._prefix + folder
        # Zero-padded day folders sort by date, so S3 itself leaves out the days before.
        # What comes after everything of the day before. The first day's own folder would not do:
        # SeaweedFS leaves out whatever lies in a folder that a listing starts after.
        eve = since - timedelta(days=1) if since else None
        after = f"{prefix}{eve:year=%Y/month=%m/day=%d}~" if eve else None
        found = [
            self._file(item)
            for item in self._listed(prefix, after)
            if not _HIDDEN_PART.search(item["path"], len(prefix) - 1)
        ]
        return sorted(found, key=lambda file: file.order)

    def again(self, paths: Iterable[str]) -> list[LandedFile]:
        found: list[LandedFile] = []
        # One listing a folder: files looked at again lie side by side, or far apart.
        for folder, members in itertools.groupby(
            sorted(paths), lambda path: path.rpartition("/")[0]
        ):
            wanted = set(members)
            first, last = self._prefix + min(wanted), self._prefix + max(wanted)
            for item in self._listed(f"{self._prefix}{folder}/", after=first[:-1]):
                if item["path"] > last:  # keys come in order
                    break
                file = self._file(item)
                if file.path in wanted:
                    found.append(file)
        return found

    def open(self, path: str) -> pa.NativeFile:
        return self._filesystem.open_input_file(f"{self._bucket}/{self._prefix}{path}")

    def _file(self, item: Item) -> LandedFile:
        return LandedFile(
            path=item["path"].removeprefix(self._prefix),
            etag=(item["e_tag"] or "").strip('"'),
            size=item["size"],
            last_modified=item["last_modified"].astimezone(UTC),
        )

    def _listed(self, prefix: str, after: str | None = None) -> Iterator[Item]:
        """Objects below a prefix, in the order of their keys, from the one after ``after`` on."""
        import obstore
        from obstore.exceptions import BaseError, InvalidPathError

        last = after
        try:
            for chunk in obstore.list(self._store, prefix, offset=after, chunk_size=1000):
                if not all(item["size"] for item in chunk):
                    break  # to obstore, the marker of a folder is an empty file
                for item in chunk:
                    yield item
                    last = item["path"]
            else:
                return
        except InvalidPathError:
            pass
        except BaseError as error:
            raise self._away(error) from error
        request = {"StartAfter": last} if last else {}
        for page in self._pages(Bucket=self._bucket, Prefix=prefix, **request):
            for found in page.get("Contents", []):
                if not found["Key"].endswith("/"):
                    yield {
                        "path": found["Key"],
                        "e_tag": found["ETag"],
                        "size": found["Size"],
                        "last_modified": found["LastModified"],
                        "version": None,
                    }

    def _folders(self, prefix: str) -> list[str]:
        import obstore
        from obstore.exceptions import BaseError, InvalidPathError

        try:
            found: Iterable[str] = obstore.list_with_delimiter(self._store, prefix)[
                "common_prefixes"
            ]
        except InvalidPathError:
            pages = self._pages(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
            found = [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]
        except BaseError as error:
            raise self._away(error) from error
        return [name for one in found if (name := one.removeprefix(prefix).rstrip("/"))]

    def _pages(self, **request: str) -> Iterator[dict[str, Any]]:
        """The same from boto3, which tells every key as it is."""
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError, ClientError

        config = Config(
            s3={"addressing_style": "path"},
            retries={"mode": "standard"},
            connect_timeout=10,
            read_timeout=60,
        )
        try:
            client = boto3.client("s3", config=config)
            yield from client.get_paginator("list_objects_v2").paginate(**request)
        except (BotoCoreError, ClientError) as error:
            raise self._away(error) from error

    def _away(self, error: Exception) -> Unreachable:
        return Unreachable(
            f"The landing zone {self.url} cannot be listed: {s3.reason(error)}. Check "
            "LAKE_LANDING_URL, AWS_ENDPOINT_URL_S3 and the AWS_* keys (they need ListBucket and "
            "GetObject)."
        )
