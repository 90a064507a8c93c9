"""A published data set of a few images, and where to get it."""

import hashlib
import http.server
import threading

import pytest
from cases import idx, images

from lmc_jax.data import datasets, download


@pytest.fixture
def small(monkeypatch):
    """MNIST as a published data set of a few images."""
    contents = [idx(array) for array in images()]
    monkeypatch.setitem(
        datasets.IDX_CONTENT,
        "mnist",
        tuple(hashlib.sha256(content).hexdigest() for content in contents),
    )
    return contents


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A folder served on loopback in place of the mirrors."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    for name in datasets.KNOWN:
        monkeypatch.setitem(download.MIRRORS, name, (url,))
    yield folder
    server.shutdown()
    thread.join()
    server.server_close()
