"""Downloads from a server on loopback that cuts, lies and forgets."""

import functools
import http.server
import threading
from hashlib import sha256

import pytest

from lmc_jax.data import datasets, download, files

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes


class Server(http.server.ThreadingHTTPServer):
    """Serves ``content`` as ``plan`` says, one entry a request, the last for ever.

    An entry is a status, how many bytes to send before the connection is cut (None:
    all of them), or the whole answer. ``ranges`` is whether it knows the Range header.
    """

    def __init__(self, plan, content=CONTENT, ranges=True):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan, self.content, self.ranges = list(plan), content, ranges
        self.asked = []  # the Range header of each request

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/file"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        step = server.plan.pop(0) if len(server.plan) > 1 else server.plan[0]
        wanted = self.headers.get("Range")
        server.asked.append(wanted)
        if isinstance(step, bytes):
            self.wfile.write(step)
            return
        status, cut = step if isinstance(step, tuple) else (200, step)
        if status != 200:
            self.send_error(status)
            return
        body = server.content
        start = int(wanted[len("bytes=") : -1]) if wanted and server.ranges else 0
        if start >= len(body):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self.wfile.write(body[start:][:cut])

    def log_message(self, *_):
        pass


@pytest.fixture
def serve(monkeypatch):
    """Starts servers, and leaves no pauses between tries."""
    monkeypatch.setattr(download, "PAUSE", 0)
    running = []

    def start(*arguments, **settings):
        server = Server(*arguments, **settings)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


def right(content):
    return sha256(content).digest() == sha256(CONTENT).digest()


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file"


def alone(target):
    """Whether the folder holds the whole file and nothing else."""
    return [p.name for p in target.parent.iterdir()] == ["file"] and right(
        target.read_bytes()
    )


def test_progress_ends_with_the_whole_file(serve, target):
    seen = []
    server = serve([None])
    download.fetch([server.url], target, right, lambda *n: seen.append(n))
    assert alone(target)
    assert len(seen) > 3
    assert seen == sorted(seen)
    assert seen[-1] == (len(CONTENT), len(CONTENT))


def test_a_cut_connection_goes_on_where_it_was(serve, target):
    server = serve([300_000, 200_000, None])
    download.fetch([server.url], target, right)
    assert alone(target)
    assert server.asked == [None, "bytes=300000-", "bytes=500000-"]


def test_a_server_that_always_cuts_is_asked_until_it_gives_nothing_more(serve, target):
    server = serve([50_000])
    download.fetch([server.url], target, right)
    assert alone(target)
    assert len(server.asked) == 21


def test_a_cut_answer_of_unknown_length_is_asked_for_again(serve, target):
    server = serve([b"HTTP/1.0 200 OK\r\n\r\n" + CONTENT[:300_000], None])
    download.fetch([server.url], target, right)
    assert alone(target)
    assert server.asked == [None, None]


def test_a_server_without_ranges_begins_anew(serve, target):
    server = serve([300_000, None], ranges=False)
    download.fetch([server.url], target, right)
    assert alone(target)
    assert server.asked == [None, "bytes=300000-"]


def test_the_next_process_goes_on_with_what_the_last_one_had(serve, target):
    server = serve([300_000, 200_000, 0])
    with pytest.raises(download.DownloadError, match="cut at 500000 of 1024000 bytes"):
        download.fetch([server.url], target, right)
    assert len(server.asked) == 2 + download.TRIES
    assert not target.exists()
    server = serve([None])
    download.fetch([server.url], target, right)
    assert server.asked == ["bytes=500000-"]
    assert alone(target)


@pytest.mark.parametrize("kept", [b"wrong", CONTENT + b"more", CONTENT])
def test_what_is_kept_may_be_wrong_too_long_or_all_there_is(serve, target, kept):
    target.with_name(".file.part").write_bytes(kept)
    download.fetch([serve([None]).url], target, right)
    assert alone(target)


@pytest.mark.parametrize("status", [500, 503, 429])
def test_a_busy_server_is_asked_again(serve, target, status):
    server = serve([(status, None), None])
    download.fetch([server.url], target, right)
    assert alone(target)
    assert len(server.asked) == 2


def test_wrong_content_and_missing_files_lead_to_the_next_mirror(serve, target):
    lying, missing = serve([None], content=CONTENT[::-1]), serve([(404, None)])
    honest = serve([None])
    mirrors = [lying.url, missing.url, honest.url]
    download.fetch(mirrors, target, right)
    assert alone(target)
    assert [len(s.asked) for s in (lying, missing, honest)] == [1, 1, 1]
    assert honest.asked == [None]


def test_when_all_mirrors_fail_one_line_says_what_each_did(serve, target, unused_port):
    lying, missing = serve([None], content=b"no"), serve([(404, None)])
    dead = f"http://127.0.0.1:{unused_port}/file"
    with pytest.raises(download.DownloadError) as caught:
        download.fetch([lying.url, missing.url, dead], target, right)
    said = str(caught.value)
    assert "\n" not in said
    assert f"{lying.url}: what it gives is not the published file" in said
    assert f"{missing.url}: HTTP status 404" in said
    assert f"{dead}: " in said
    assert "refused" in said
    assert not [*target.parent.iterdir()]


NONSENSE = {
    "a length of no number": b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nno",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nwrong",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nwrong",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\n\r\n",
    "a redirect to no port": b"HTTP/1.1 302 Found\r\nLocation: http://a:b/\r\n\r\n",
    "no status line": b"\x1b[2J" + b"garbage " * 1000 + b"\r\n\r\n",
    "no status": b"HTTP/1.1 abc OK\r\n\r\n",
    "no version": b"HTTP/x.y 200 OK\r\n\r\n",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", NONSENSE)
def test_nonsense_leads_to_the_next_mirror_or_to_one_line(
    serve, target, answer, monkeypatch
):
    lying, honest = serve([NONSENSE[answer]]), serve([None])
    download.fetch([lying.url, honest.url], target, right)
    assert alone(target)
    monkeypatch.setitem(files.MIRRORS, "mnist", (f"{lying.url}/",))
    with pytest.raises(datasets.DataError) as caught:
        datasets.load("mnist", str(target.parent))
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 1000
    assert "mnist: train-images-idx3-ubyte.gz is missing: looked in " in said
    assert "as --data_dir or LMC_JAX_DATA" in said


@pytest.fixture
def unused_port():
    server = Server([None])
    server.server_close()
    return server.server_port


def test_two_at_once_download_once(serve, target):
    server = serve([None])
    fetch = functools.partial(download.fetch, [server.url], target, right)
    threads = [threading.Thread(target=fetch) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone(target)
    assert len(server.asked) == 1
