"""A folder for small files, local or in S3: a reader of one never sees a part of it."""

from __future__ import annotations

from pathlib import Path

from lotus_lake import s3
from lotus_lake.config import LakeError, is_s3, local_path


class Store:
    """The folder at a URL; it is made when the first file is written.

    Raises:
        LakeError: The environment does not say how to reach S3, or, when something is read or
            written, the place cannot be used.
    """

    def __init__(self, url: str) -> None:
        self.url = f"{url.rstrip('/')}/"
        self._bucket = None
        if is_s3(url):
            bucket, self._prefix = s3.split_url(url)
            self._bucket = s3.open_bucket(bucket)

    def read(self, name: str) -> bytes | None:
        """A file's content, or None when it is not there."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            if self._bucket is None:
                return self._path(name).read_bytes()
            return bytes(obstore.get(self._bucket, self._prefix + name).bytes())
        except FileNotFoundError:
            return None
        except (OSError, BaseError) as error:
            raise self._unusable(name, "read", error) from error

    def write(self, name: str, content: bytes) -> None:
        """Write a file."""
        import obstore
        from obstore.exceptions import BaseError

        try:
            if self._bucket is None:
                path = self._path(name)
                arriving = path.with_name(f".{path.name}.writing")
                path.parent.mkdir(parents=True, exist_ok=True)
                arriving.write_bytes(content)
                arriving.replace(path)
            else:
                obstore.put(self._bucket, self._prefix + name, content, use_multipart=False)
        except (OSError, BaseError) as error:
            raise self._unusable(name, "written", error) from error

    def _path(self, name: str) -> Path:
        return local_path(self.url) / name

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
