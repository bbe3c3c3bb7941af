"""The landing zone: which files lie there, locally or in S3."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from stat import S_ISREG
from typing import Any, ClassVar, Protocol

import pyarrow.fs
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from lotus_lake.config import LakeError, is_s3, local_path

_DAY = re.compile(r"year=(\d{4})/month=(\d{1,2})/day=(\d{1,2})(?:/|$)")
_NUMBER = re.compile(r"(\d+)")


@dataclass(frozen=True)
class LandedFile:
    """One version of a landed file.

    Args:
        path: Relative to the landing zone; no identity, since keys come back with other content.
        etag: With the path, what identifies a version: S3's ETag, or size and change time.
        size: In bytes.
        last_modified: When it was written, in UTC.
    """

    path: str
    etag: str
    size: int
    last_modified: datetime

    EPOCH: ClassVar[datetime] = datetime.fromtimestamp(0, UTC)

    @property
    def day(self) -> date | None:
        """The day of the sync that wrote it, from its folder; None outside the day layout."""
        return day_of(self.path)

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key, oldest first."""
        return order_of(self.path)


class Landing(Protocol):
    """A place that files land in."""

    url: str
    root: str  # what DuckDB's file names begin with, before a path

    @property
    def filesystem(self) -> pyarrow.fs.FileSystem:
        """What pyarrow reads its files through."""

    def streams(self) -> list[tuple[str, str]]:
        """(source, stream) of each folder that is there."""

    def files(
        self, folder: str, since: date | None = None, changed_since: datetime | None = None
    ) -> list[LandedFile]:
        """Files below a folder, oldest first.

        Args:
            folder: Relative to the landing zone, with a closing slash.
            since: Leave out days before this one; None lists everything.
            changed_since: Also list older days that show a change after this time, where the
                store can tell (a local folder can, S3 cannot).

        Raises:
            LakeError: The place cannot be read.
        """

    def again(self, paths: Iterable[str]) -> list[LandedFile]:
        """These files as they are now, without those that are gone.

        Raises:
            LakeError: The place cannot be read.
        """

    def uri(self, path: str) -> str:
        """What DuckDB reads for a path; never a pattern."""

    def arrow_path(self, path: str) -> str:
        """What ``filesystem`` opens for a path."""


def open_landing(url: str) -> Landing:
    """The landing zone at a URL.

    Raises:
        LakeError: It does not exist or cannot be read.
    """
    return S3Landing(url) if is_s3(url) else LocalLanding(url)


def day_of(path: str) -> date | None:
    """The day folder of a path, or None."""
    found = _DAY.search(path)
    try:
        return date(*map(int, found.groups())) if found else None
    except ValueError:
        return None


def order_of(path: str) -> tuple[Any, ...]:
    """Sort key of a path, oldest first: day, then name with part_9 before part_10."""
    return (day_of(path) or date.min, natural_key(path))


def natural_key(path: str) -> list[tuple[int, int, str]]:
    """Sort key that compares numbers inside text by value."""
    return [
        (0, int(part), "") if part.isdecimal() else (1, 0, part)
        for part in _NUMBER.split(path)
        if part
    ]


def _hidden(name: str) -> bool:
    """Whether a name is a writer's temporary or marker file, as Hive and Spark name them."""
    return name.startswith((".", "_"))


class LocalLanding:
    """A landing zone in a local folder."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._root = str(local_path(url))
        self.root = f"{self._root}/"
        self.filesystem = pyarrow.fs.LocalFileSystem()
        self._undecoded: dict[str, str] = {}  # names as they are told -> as they are
        if not os.path.isdir(self._root):
            raise LakeError(
                f"The landing zone {url} is not there. Set LAKE_LANDING_URL to the folder that "
                "holds {source}/{stream}/year=…/month=…/day=…; nothing was changed."
            )

    def streams(self) -> list[tuple[str, str]]:
        return sorted(
            (source.name, stream.name)
            for source in self._entries(self._root)
            if source.is_dir()
            for stream in self._entries(source.path)
            if stream.is_dir()
        )

    def files(
        self, folder: str, since: date | None = None, changed_since: datetime | None = None
    ) -> list[LandedFile]:
        top = os.path.join(self._root, folder)
        if not os.path.isdir(top):
            return []
        return sorted(self._walk(top, since, changed_since), key=lambda file: file.order)

    def again(self, paths: Iterable[str]) -> list[LandedFile]:
        return [file for path in paths for file in self._file(self._undecoded.get(path, path))]

    def uri(self, path: str) -> str:
        # A bracket makes a pattern of the one character that it holds.
        return re.sub(r"([*?\[])", r"[\1]", self.arrow_path(path))

    def arrow_path(self, path: str) -> str:
        return f"{self._root}/{path}"

    def _walk(
        self, folder: str, since: date | None, changed_since: datetime | None
    ) -> Iterator[LandedFile]:
        for entry in self._entries(folder):
            if entry.is_dir():
                day = day_of(entry.path[len(self.root) :])
                if since and day and day < since:
                    # Adding or replacing a file by renaming changes its folder's time.
                    changed = datetime.fromtimestamp(entry.stat().st_mtime, UTC)
                    if not changed_since or changed < changed_since:
                        continue
                yield from self._walk(entry.path, since, changed_since)
            else:
                yield from self._file(entry.path[len(self.root) :])

    def _file(self, path: str) -> Iterator[LandedFile]:
        try:
            stat = os.stat(self.root + path)
        except FileNotFoundError:
            return  # deleted since it was listed
        except OSError as error:
            raise self._refused(path, error) from error
        if S_ISREG(stat.st_mode):
            # A name that is no UTF-8 can be told, though not read: it goes into quarantine.
            told = os.fsencode(path).decode("utf-8", "backslashreplace")
            if told != path:
                self._undecoded[told] = path
            yield LandedFile(
                path=told,
                etag=f"{stat.st_size}-{stat.st_mtime_ns}",
                size=stat.st_size,
                last_modified=datetime.fromtimestamp(stat.st_mtime, UTC),
            )

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(folder) as entries:
                return [entry for entry in entries if not _hidden(entry.name)]
        except FileNotFoundError:
            return []  # deleted since it was listed
        except OSError as error:
            raise self._refused(folder, error) from error

    def _refused(self, path: str, error: OSError) -> LakeError:
        return LakeError(
            f"The landing zone cannot be read at {path}: {error.strerror}. Give this user "
            "the right to list and read it."
        )


class S3Landing:
    """A landing zone in an S3 bucket; endpoint and keys are the AWS SDK's environment variables."""

    def __init__(self, url: str) -> None:
        import boto3

        self.url = url
        self._bucket, _, prefix = url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self.root = f"s3://{self._bucket}/{self._prefix}"
        self._client = boto3.client(
            "s3",
            config=Config(
                s3={"addressing_style": "path"},
                retries={"mode": "standard", "max_attempts": 5},
                connect_timeout=10,
                read_timeout=60,
            ),
        )
        self._filesystem: pyarrow.fs.FileSystem | None = None

    @property
    def filesystem(self) -> pyarrow.fs.FileSystem:
        if self._filesystem is None:
            # Some stores send the checksum of the whole object with a part of it, which would
            # then never match. Only the environment can say so here.
            os.environ.setdefault("AWS_RESPONSE_CHECKSUM_VALIDATION", "when_required")
            endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
            self._filesystem = pyarrow.fs.S3FileSystem(
                endpoint_override=endpoint,
                region=os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"),
            )
        return self._filesystem

    def streams(self) -> list[tuple[str, str]]:
        found = []
        for source in self._folders(self._prefix):
            for stream in self._folders(source):
                found.append((source.rstrip("/").split("/")[-1], stream.rstrip("/").split("/")[-1]))
        return sorted(pair for pair in found if not any(map(_hidden, pair)))

    def files(
        self, folder: str, since: date | None = None, changed_since: datetime | None = None
    ) -> list[LandedFile]:
        prefix = self._prefix + folder
        request = {"Bucket": self._bucket, "Prefix": prefix}
        if since:
            # Zero-padded day folders sort by date, so S3 itself leaves out the days before.
            request["StartAfter"] = f"{prefix}{since:year=%Y/month=%m/day=%d}"
        found = [
            file
            for file in self._found(**request)
            if not any(map(_hidden, file.path.removeprefix(folder).split("/")))
        ]
        return sorted(found, key=lambda file: file.order)

    def again(self, paths: Iterable[str]) -> list[LandedFile]:
        found: list[LandedFile] = []
        # One listing a month: files looked at again lie side by side, or far apart.
        months = itertools.groupby(sorted(paths), key=lambda path: path.rsplit("/", 2)[0])
        for _, month in months:
            wanted = set(month)
            prefix = self._prefix + os.path.commonprefix(list(wanted))  # noqa: RUF071
            request = {"Bucket": self._bucket, "Prefix": prefix}
            found += [file for file in self._found(**request) if file.path in wanted]
        return found

    def uri(self, path: str) -> str:
        return re.sub(r"([*?\[])", r"[\1]", f"s3://{self.arrow_path(path)}")

    def arrow_path(self, path: str) -> str:
        return f"{self._bucket}/{self._prefix}{path}"

    def _found(self, **request: str) -> Iterator[LandedFile]:
        for page in self._pages(**request):
            for item in page.get("Contents", []):
                if not item["Key"].endswith("/"):
                    yield LandedFile(
                        path=item["Key"].removeprefix(self._prefix),
                        etag=item["ETag"].strip('"'),
                        size=item["Size"],
                        last_modified=item["LastModified"].astimezone(UTC),
                    )

    def _folders(self, prefix: str) -> list[str]:
        return [
            item["Prefix"]
            for page in self._pages(Bucket=self._bucket, Prefix=prefix, Delimiter="/")
            for item in page.get("CommonPrefixes", [])
        ]

    def _pages(self, **request: str) -> Iterator[dict[str, Any]]:
        try:
            yield from self._client.get_paginator("list_objects_v2").paginate(**request)
        except (BotoCoreError, ClientError) as error:
            raise LakeError(
                f"The landing zone {self.url} cannot be listed: {error}. Check LAKE_LANDING_URL, "
                "AWS_ENDPOINT_URL_S3 and the AWS_* keys (they need ListBucket and GetObject)."
            ) from error
