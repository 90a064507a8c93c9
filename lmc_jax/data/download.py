"""Files of the known data sets, downloaded and checked by pooch.

A file gets its name only once its hash is right.
"""

import gzip
import io
import textwrap
import zlib
from pathlib import Path

from tqdm import tqdm

from lmc_jax.data.files import DataError

MIRRORS = {
    "mnist": (
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
    ),
    "fashion-mnist": ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    "cifar-10": ("https://www.cs.toronto.edu/~kriz/",),
}
PIECE = 1 << 16  # bytes between two looks of the progress bar
_FAULTS = (OSError, ValueError, EOFError, zlib.error)  # of servers, hashes, gzip, disk
_LONGEST = 250  # letters of a fault


def fetch(name: str, path: Path, known_hash: str, gzipped: bool = False) -> None:
    """Downloads a file from the first mirror that gives the right one.

    A progress bar is shown where stderr is a terminal.

    Args:
      name: of the data set.
      path: of the file, whose folder is made.
      known_hash: of the file, its kind and its digits: ``sha256:ba89...``.
      gzipped: whether mirrors have it compressed, with ``.gz`` after its name.

    Raises:
      DataError: where no mirror gives the right file, or it cannot be written.
    """
    import pooch  # here: machines without a network are often without it as well

    def download(url: str, output: str, _: object) -> None:
        content = io.BytesIO()
        # The total is a stand-in: pooch knows it once the server has answered.
        with tqdm(
            desc=path.name, total=1, unit="B", unit_scale=True, disable=None
        ) as bar:
            pooch.HTTPDownloader(bar, PIECE)(url, content, None)
        given = content.getvalue()
        Path(output).write_bytes(gzip.decompress(given) if gzipped else given)
        Path(output).chmod(0o644)  # pooch's are their owner's alone; data are shared

    pooch.get_logger().setLevel("WARNING")
    faults = []
    for mirror in MIRRORS[name]:
        url = f"{mirror}{path.name}{'.gz' if gzipped else ''}"
        try:
            pooch.retrieve(url, known_hash, path.name, path.parent, downloader=download)
            return
        except _FAULTS as error:
            faults.append(f"{url}: {_line(error)}")
    raise DataError(
        f"{name}: {path.name} is missing: looked in {path.parent}, and could not "
        f"download it: {'; '.join(faults)}; put the file there, or give the folder "
        f"that holds {name}/ as --data_dir or LMC_JAX_DATA"
    )


def _line(error: BaseException) -> str:
    """What was first to go wrong, in one line; it may quote whatever a server sent."""
    while inner := error.__cause__ or error.__context__:
        error = inner
    text = str(error) or type(error).__name__
    printable = "".join(letter if letter.isprintable() else " " for letter in text)
    return textwrap.shorten(printable, _LONGEST, placeholder=" ...")
