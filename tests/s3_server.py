"""An S3 server on loopback (moto's), as object stores are reached: by what is in the environment."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

SECRET = "averysecretkey0123456789"


@contextmanager
def s3_server() -> Iterator[Any]:
    """A client of it; its address and key are in the environment of all that starts later. It has one `bucket`."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    environment = {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        client = boto3.client("s3")
        client.create_bucket(Bucket="bucket")
        yield client
    server.stop()
