"""The servers that the tests start."""

from __future__ import annotations

import socket

import pytest

from tests.system import services


@pytest.mark.parametrize(
    "server",
    [services.rclone_s3, pytest.param(services.seaweedfs_s3, marks=pytest.mark.slow)],
)
def test_a_server_whose_port_was_taken_meanwhile_starts_on_another(
    server: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the choice of a port and the server's start anybody can take it."""
    assert callable(server)
    with socket.socket() as somebody:
        somebody.bind(("127.0.0.1", 0))
        taken = int(somebody.getsockname()[1])
        choice, free_port = iter([taken]), services.free_port
        monkeypatch.setattr(services, "free_port", lambda: next(choice, None) or free_port())
        with server() as started:
            started.client.create_bucket(Bucket="here")
            assert [one["Name"] for one in started.client.list_buckets()["Buckets"]] == ["here"]


def test_ports_are_none_that_connections_get() -> None:
    """Linux gives connections those from 32768 on."""
    ports = {services.free_port() for _ in range(50)}
    assert len(ports) > 40
    assert max(ports) < 32_768
