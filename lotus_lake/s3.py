"""S3 as the environment describes it, through a client that is quick to import."""

from __future__ import annotations

import functools
import os
import re
from datetime import timedelta
from typing import TYPE_CHECKING

from lotus_lake.config import LakeError, is_s3, local_path

if TYPE_CHECKING:
    from obstore.store import ClientConfig, ObjectStore, RetryConfig, S3Config, S3Store

_TRIES = 5

VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ENDPOINT_URL_S3",
    "AWS_ENDPOINT_URL",
    "AWS_CA_BUNDLE",
    "AWS_MAX_ATTEMPTS",
)


def open_folder(url: str) -> ObjectStore:
    """A folder, local or ``s3://``, in which paths begin; a local one is made if it is not there.

    Raises:
        LakeError: There are no keys for S3, or they cannot be used.
        OSError: A local folder cannot be made.
    """
    from obstore.store import LocalStore

    if is_s3(url):
        return open_bucket(*split_url(url))
    return LocalStore(local_path(url).absolute(), mkdir=True)


def open_bucket(bucket: str, prefix: str = "") -> S3Store:
    """A bucket, or what is below a prefix; endpoint, region and keys are the AWS SDK's variables.

    Raises:
        LakeError: There are no keys, or they cannot be used.
    """
    return _open(bucket, prefix, tuple((name, os.environ.get(name, "")) for name in VARIABLES))


@functools.lru_cache(maxsize=8)  # making a client takes 20 ms
def _open(bucket: str, prefix: str, variables: tuple[tuple[str, str], ...]) -> S3Store:
    from obstore.exceptions import BaseError
    from obstore.store import S3Store

    env = dict(variables)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        if not env[name]:
            raise LakeError(f"{name} is not set: s3://{bucket} cannot be read without it. Set it.")
    client: ClientConfig = {"allow_http": True, "connect_timeout": "10s", "timeout": "60s"}
    try:
        if env["AWS_CA_BUNDLE"]:
            with open(env["AWS_CA_BUNDLE"]) as bundle:
                client["root_certificate"] = bundle.read()
        retry: RetryConfig = {
            "max_retries": int(env["AWS_MAX_ATTEMPTS"] or _TRIES) - 1,
            "retry_timeout": timedelta(seconds=60),
        }
        config: S3Config = {
            "access_key_id": env["AWS_ACCESS_KEY_ID"],
            "secret_access_key": env["AWS_SECRET_ACCESS_KEY"],
            "region": env["AWS_REGION"] or env["AWS_DEFAULT_REGION"] or "us-east-1",
            "virtual_hosted_style_request": False,
        }
        if endpoint := env["AWS_ENDPOINT_URL_S3"] or env["AWS_ENDPOINT_URL"]:
            config["endpoint"] = endpoint
        if token := env["AWS_SESSION_TOKEN"]:
            config["session_token"] = token
        return S3Store(
            bucket,
            prefix=prefix or None,
            config=config,
            client_options=client,
            retry_config=retry,
        )
    except (OSError, ValueError, BaseError) as error:
        raise LakeError(
            f"The environment does not describe an S3 store: {reason(error)}. Check "
            "AWS_ENDPOINT_URL_S3, AWS_CA_BUNDLE and AWS_MAX_ATTEMPTS."
        ) from error


def split_url(url: str) -> tuple[str, str]:
    """Bucket and prefix of an ``s3://`` URL; the prefix is empty or ends with a slash."""
    bucket, _, prefix = url.removeprefix("s3://").partition("/")
    return bucket, f"{prefix.strip('/')}/" if prefix.strip("/") else ""


def reason(error: Exception) -> str:
    text = str(error).strip()
    # A store's answer has a code, a system's error a message; both are further down.
    detail = re.search(r'<Code>(.*?)</Code>|message: "(.*?)"|InvalidCertificate\(\s*(\w+)', text)
    line = text.splitlines()[0] if text else type(error).__name__
    line = re.sub(r"^Generic S3 error: ", "", line.split("<", 1)[0]).rstrip(" :.")
    if detail:
        line = f"{line}: {detail[detail.lastindex or 0]}"
    # The second is what DuckDB's httpfs says.
    if "InvalidCertificate" in text or "peer certificate" in text:
        line += (
            " (the server's certificate is not trusted: AWS_CA_BUNDLE has to name the file of who"
            " signed it)"
        )
    return line
