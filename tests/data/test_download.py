"""Downloads from a server on loopback that cuts and lies."""

import gzip
import http.server
import io
import sys
import threading
from hashlib import sha256

import pooch
import pytest

from lmc_jax.data import datasets, download

CONTENT = bytes(range(256)) * 4000  # 1,024,000 bytes
HASH = f"sha256:{sha256(CONTENT).hexdigest()}"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
WHOLE = HEAD % len(CONTENT) + CONTENT
CUT = WHOLE[:300_000]
WRONG = HEAD % 2 + b"no"
MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Server(http.server.ThreadingHTTPServer):
    """Gives one answer to all who ask, byte by byte as it stands."""

    def __init__(self, answer):
        super().__init__(("127.0.0.1", 0), Handler)
        self.answer, self.asked = answer, []

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server_port}/"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.wfile.write(self.server.answer)

    def log_message(self, *_):
        pass


@pytest.fixture
def serve():
    """Starts servers."""
    running = []

    def start(answer):
        server = Server(answer)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        running.append((server, thread))
        return server

    yield start
    for server, thread in running:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def unused():
    """The address of nobody."""
    server = Server(b"")
    server.server_close()
    return server.url


@pytest.fixture
def target(tmp_path):
    return tmp_path / "set" / "file"


@pytest.fixture
def fetch(monkeypatch, target):
    """Downloads the target from these mirrors."""

    def start(*mirrors, **settings):
        monkeypatch.setitem(download.MIRRORS, "set", mirrors)
        download.fetch("set", target, HASH, **settings)

    return start


def alone(target):
    """Whether the folder holds the whole file and nothing else."""
    return [*target.parent.iterdir()] == [target] and target.read_bytes() == CONTENT


def test_a_file_is_fetched_for_all_to_read_without_a_word(
    fetch, serve, target, monkeypatch, capfd
):
    (handler,) = pooch.get_logger().handlers  # it took the stderr of its import
    monkeypatch.setattr(handler, "stream", sys.stderr)
    server = serve(WHOLE)
    fetch(server.url)
    assert alone(target)
    assert server.asked == ["/file"]
    assert target.stat().st_mode & 0o777 == 0o644
    assert capfd.readouterr() == ("", "")


def test_what_mirrors_have_gzipped_is_checked_and_kept_plain(fetch, serve, target):
    packed = gzip.compress(CONTENT)
    server = serve(HEAD % len(packed) + packed)
    fetch(server.url, gzipped=True)
    assert alone(target)
    assert server.asked == ["/file.gz"]


def test_progress_is_shown_on_a_terminal(fetch, serve, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    fetch(serve(WHOLE).url)
    assert "file: 100%" in shown.getvalue()
    assert "1.02M/1.02M" in shown.getvalue()


def test_mirrors_are_tried_in_turn(fetch, serve, target):
    servers = [serve(answer) for answer in (WRONG, MISSING, CUT, WHOLE, WHOLE)]
    fetch(*(server.url for server in servers))
    assert alone(target)
    assert [len(server.asked) for server in servers] == [1, 1, 1, 1, 0]


def test_when_all_mirrors_fail_one_line_says_what_each_did(
    fetch, serve, target, unused
):
    wrong, missing, cut = (serve(answer).url for answer in (WRONG, MISSING, CUT))
    with pytest.raises(datasets.DataError) as caught:
        fetch(wrong, missing, cut, unused)
    said = str(caught.value)
    assert "\n" not in said
    assert f"{wrong}file: SHA256 hash of downloaded file (file) does not match" in said
    assert f"{missing}file: 404 Client Error: Not Found" in said
    assert f"{cut}file: IncompleteRead(" in said
    assert f"{unused}file: [Errno 111] Connection refused; put the file there" in said
    assert not [*target.parent.iterdir()]


def test_a_folder_that_is_none_is_one_line(fetch, serve, target):
    target.parent.write_text("a file")
    with pytest.raises(datasets.DataError, match=r"download it: .* Not a dir"):
        fetch(serve(WHOLE).url)
    assert target.parent.read_text() == "a file"


NONSENSE = {
    "a length of no number": b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\nno",
    "a redirect to nowhere": b"HTTP/1.1 302 Found\r\nLocation: http://[bad\r\n\r\n",
    "no status line": b"\x1b[2J" + b"garbage " * 1000 + b"\r\n\r\n",
    "a broken chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "a colourful status": b"HTTP/1.1 404 \x1b[31mred" + b"!" * 2000 + b"\r\n\r\n",
    "broken gzip": HEAD % 12 + gzip.compress(CONTENT)[:12],
    "nothing": b"",
}


@pytest.mark.parametrize("answer", NONSENSE)
def test_nonsense_leads_to_the_next_mirror_or_to_one_line(
    fetch, serve, target, answer, monkeypatch
):
    lying = serve(NONSENSE[answer]).url
    fetch(lying, serve(WHOLE).url)
    assert alone(target)
    monkeypatch.setitem(download.MIRRORS, "mnist", (lying,))
    with pytest.raises(datasets.DataError) as caught:
        datasets.load("mnist", str(target.parent))
    said = str(caught.value)
    assert said.isprintable()
    assert len(said) < 1000
    assert "mnist: train-images-idx3-ubyte is missing: looked in " in said
    assert "as --data_dir or LMC_JAX_DATA" in said


def test_several_at_once_leave_the_whole_file(fetch, serve, target):
    server = serve(WHOLE)
    threads = [threading.Thread(target=fetch, args=(server.url,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert alone(target)
