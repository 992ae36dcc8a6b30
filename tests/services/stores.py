"""An S3 server on loopback whose requests can be looked at, and broken off."""

import contextlib
import logging
import os
import threading
from unittest import mock

import boto3
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server

BUCKET = "bucket"


class Server:
    """`hook` is called with the method and the object's name of each request; where it returns a status, that is all
    that happens, as if the request had never arrived whole.
    """

    def __init__(self):
        self.hook = lambda method, name: None
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.client = boto3.client("s3", endpoint_url=self.url)
        self.client.create_bucket(Bucket=BUCKET)

    def names(self, prefix=""):
        found = self.client.list_objects_v2(Bucket=BUCKET, Prefix=prefix).get("Contents", [])
        return [one["Key"] for one in found]

    def read(self, name):
        return self.client.get_object(Bucket=BUCKET, Key=name)["Body"].read()

    def close(self):
        self._server.shutdown()

    def _answer(self, environ, start_response):
        name = environ["PATH_INFO"].removeprefix(f"/{BUCKET}/")
        if status := self.hook(environ["REQUEST_METHOD"], name):
            start_response(status, [])
            return [b""]
        return self._moto(environ, start_response)


@contextlib.contextmanager
def serving():
    """A server that libraries find by the environment, as they find that of a cloud."""
    told = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    with mock.patch.dict(os.environ, told):
        server = Server()
        with mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": server.url}):
            yield server
        server.close()
