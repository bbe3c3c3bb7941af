"""A folder for small files, local or in S3: a reader of one never sees a part of it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from lotus_lake import s3
from lotus_lake.config import LakeError, is_s3, local_path

if TYPE_CHECKING:
    from obstore.store import ObjectStore


class Store:
    """The folder at a URL; it is made when it is first used.

    Raises:
        LakeError: The place cannot be used, or the environment does not say how to reach S3.
    """

    def __init__(self, url: str) -> None:
        self.url = f"{url.rstrip('/')}/"

    def read(self, name: str) -> bytes | None:
        """A file's content, or None when it is not there."""
        from obstore.exceptions import BaseError

        try:
            return bytes(self._store.get(name).bytes())
        except FileNotFoundError:
            return None
        except (OSError, BaseError) as error:
            raise self._unusable(name, "read", error) from error

    def write(self, name: str, content: bytes) -> None:
        from obstore.exceptions import BaseError

        try:
            self._store.put(name, content, use_multipart=False)
        except (OSError, BaseError) as error:
            raise self._unusable(name, "written", error) from error

    @functools.cached_property
    def _store(self) -> ObjectStore:
        return s3.open_folder(self.url)

    def _unusable(self, name: str, what: str, error: Exception) -> LakeError:
        return LakeError(
            f"{self.url}{name} cannot be {what}: {s3.reason(error)}. Check the rights to it, and "
            "for S3 the AWS_* variables (docs/rights.md)."
        )


def beside(data_url: str) -> Store:
    """The folder that holds the data path; a bucket's top is beside nothing, so it is the place."""
    if not is_s3(data_url):
        return Store(str(local_path(data_url).resolve().parent))
    bucket, prefix = s3.split_url(data_url)
    return Store(f"s3://{bucket}/{prefix.rstrip('/').rpartition('/')[0]}")
