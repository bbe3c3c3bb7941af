"""A folder for small files, local or in S3."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

from lotus_lake import s3
from lotus_lake.config import LakeError, is_s3, local_path


class Store(Protocol):
    """A folder for small files."""

    url: str  # with a closing slash

    def read(self, name: str) -> bytes | None:
        """A file's content, or None when it is not there.

        Raises:
            LakeError: The place cannot be read.
        """

    def has(self, name: str) -> bool:
        """Whether a file is there.

        Raises:
            LakeError: The place cannot be read.
        """

    def write(self, name: str, content: bytes) -> None:
        """Write a file; a reader sees the old one or the new one, never a part.

        Raises:
            LakeError: The place cannot be written.
        """

    def delete_below(self, folder: str, before: str) -> int:
        """Delete the files of a folder whose names, below it, sort before a text.

        Args:
            folder: With a closing slash.
            before: The first name to keep; what is newer costs nothing to look at.

        Returns:
            How many files there were.

        Raises:
            LakeError: The place cannot be listed or written.
        """


def open_store(url: str) -> Store:
    """The folder at a URL; nothing is read or written yet.

    Raises:
        LakeError: The environment does not say how to reach S3.
    """
    return _S3Store(url) if is_s3(url) else _LocalStore(url)


class _LocalStore:
    def __init__(self, url: str) -> None:
        self.url = f"{url.rstrip('/')}/"
        self._folder = local_path(url)

    def read(self, name: str) -> bytes | None:
        try:
            return (self._folder / name).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise LakeError(f"{self.url}{name} cannot be read: {error.strerror}.") from error

    def has(self, name: str) -> bool:
        return (self._folder / name).is_file()

    def write(self, name: str, content: bytes) -> None:
        target = self._folder / name
        writing = Path(f"{target}.{os.getpid()}.writing")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            writing.write_bytes(content)
            writing.replace(target)
        except OSError as error:
            raise LakeError(
                f"{self.url}{name} cannot be written: {error.strerror}. Give this user the right "
                "to write there."
            ) from error

    def delete_below(self, folder: str, before: str) -> int:
        count = 0
        try:
            for path in sorted((self._folder / folder).glob("*")):
                if path.name >= before:
                    break
                count += sum(one.is_file() for one in [path, *path.rglob("*")])
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink()
        except OSError as error:
            raise LakeError(f"{self.url}{folder} cannot be cleaned: {error.strerror}.") from error
        return count


class _S3Store:
    def __init__(self, url: str) -> None:
        bucket, self._prefix = s3.split_url(url)
        self.url = f"s3://{bucket}/{self._prefix}"
        self._store = s3.open_bucket(bucket)

    def read(self, name: str) -> bytes | None:
        import obstore
        from obstore.exceptions import BaseError

        try:
            return bytes(obstore.get(self._store, self._prefix + name).bytes())
        except FileNotFoundError:
            return None
        except BaseError as error:
            raise self._away(name, "read", error) from error

    def has(self, name: str) -> bool:
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.head(self._store, self._prefix + name)
            return True
        except FileNotFoundError:
            return False
        except BaseError as error:
            raise self._away(name, "read", error) from error

    def write(self, name: str, content: bytes) -> None:
        import obstore
        from obstore.exceptions import BaseError

        try:
            obstore.put(self._store, self._prefix + name, content, use_multipart=False)
        except BaseError as error:
            raise self._away(name, "written", error) from error

    def delete_below(self, folder: str, before: str) -> int:
        import obstore
        from obstore.exceptions import BaseError

        prefix, count = self._prefix + folder, 0
        try:
            # In the order of their names, a thousand at a time: mostly one request that finds none.
            for chunk in obstore.list(self._store, prefix, chunk_size=1000):
                old = [one["path"] for one in chunk if one["path"] < prefix + before]
                if old:
                    obstore.delete(self._store, old)
                count += len(old)
                if len(old) < len(chunk):
                    break
        except BaseError as error:
            raise self._away(folder, "cleaned", error) from error
        return count

    def _away(self, name: str, done: str, error: Exception) -> LakeError:
        return LakeError(
            f"{self.url}{name} cannot be {done}: {s3.reason(error)}. Check AWS_ENDPOINT_URL_S3 and "
            "the AWS_* keys (docs/rights.md says what they need)."
        )
