"""Where the files of the image data sets are: a local folder, a well-known folder, the cache, the mirrors.

Downloads are checked by SHA-256. Files in local folders were often packed again by somebody else, with other hashes:
they are the original ones where their content is, and of unknown origin otherwise; their readers check the format
(`idx`, `cifar10`). The workflow asks `is_present` each time it is parsed, so this module imports the standard library
alone, and pooch only where it is needed.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from fpkit.errors import PassingError, UserError
from fpkit.jobs.cache import folder as cache_folder

CIFAR10_ARCHIVE = "cifar-10-binary.tar.gz"
CIFAR10_FOLDER = "cifar-10-batches-bin"
CIFAR10_BATCHES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")

# What is downloaded: {kind: {file name: SHA-256}}.
SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        "train-labels-idx1-ubyte.gz": "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        "t10k-images-idx3-ubyte.gz": "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        "t10k-labels-idx1-ubyte.gz": "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte.gz": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "train-labels-idx1-ubyte.gz": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "t10k-images-idx3-ubyte.gz": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "t10k-labels-idx1-ubyte.gz": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
    },
    "cifar10": {
        CIFAR10_ARCHIVE: "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    },
}

# The same files unpacked. Of CIFAR-10 the archive alone is known, not what it holds.
UNPACKED_SHA256 = {
    "mnist": {
        "train-images-idx3-ubyte.gz": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte.gz": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte.gz": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte.gz": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    },
    "fashion_mnist": {
        "train-images-idx3-ubyte.gz": "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte.gz": "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte.gz": "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte.gz": "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    },
    "cifar10": {},
}
UNKNOWN = "local files of unknown origin"

MIRRORS = {
    "mnist": (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    "fashion_mnist": (
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
    ),
    "cifar10": (
        "https://www.cs.toronto.edu/~kriz/",
        "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
    ),
}

# Folders in which a system package puts the files (Debian: dataset-fashion-mnist).
WELL_KNOWN_FOLDERS = {"fashion_mnist": ("/usr/share/datasets/fashion-mnist",)}

# The complete sets of files a folder may hold, any one of which will do: {file name: where it may lie}.
_IDX = {name: (name, name.removesuffix(".gz")) for name in SHA256["mnist"]}
LAYOUTS = {
    "mnist": (_IDX,),
    "fashion_mnist": (_IDX,),
    "cifar10": (
        {CIFAR10_ARCHIVE: (CIFAR10_ARCHIVE,)},
        {name: (name, f"{CIFAR10_FOLDER}/{name}") for name in CIFAR10_BATCHES},
    ),
}


def is_present(kind: str, path: str | None) -> bool:
    """Whether all files that `kind` needs are on this machine, so that building it downloads nothing.

    Arguments:
        kind: of the data set; one without files (sines, digits), or of the user's own (`package.module:function`), is
            always present.
        path: the data set's own folder; when given, no other place counts. None: the well-known folders and the
            cache, whose files count only when their SHA-256 is right.
    """
    if kind not in LAYOUTS:
        return True
    folders = WELL_KNOWN_FOLDERS.get(kind, ()) if path is None else (path,)
    if any(in_folder(kind, folder) for folder in folders):
        return True
    return path is None and _is_cached(SHA256[kind], cache_folder(kind))


def locate(kind: str, path: str | None, mirrors: Sequence[str] | None) -> dict[str, Path]:
    """The files of `kind`, downloaded if need be: {file name: where it is}.

    Arguments:
        path: folder with the files. None: the well-known folders, the cache and the mirrors, in this order.
        mirrors: base addresses to download from. None: the built-in ones.

    Raises UserError when the folder lacks a file, or when no mirror delivers.
    """
    if path is not None:
        found = in_folder(kind, path)
        if not found:
            raise UserError(
                f"path: {path} lacks {_lacking(kind, path)}; put the original files there, or leave"
                " path out to download them"
            )
        return found
    for folder in WELL_KNOWN_FOLDERS.get(kind, ()):
        if found := in_folder(kind, folder):
            return found
    return fetch(SHA256[kind], MIRRORS[kind] if mirrors is None else mirrors, cache_folder(kind))


def in_folder(kind: str, folder: str | Path) -> dict[str, Path]:
    """The first complete set of files of `kind` in a folder, {file name: where it is}; empty when there is none."""
    for layout in LAYOUTS[kind]:
        found = _found(layout, folder)
        if len(found) == len(layout):
            return found
    return {}


def fetch(sha256: Mapping[str, str], mirrors: Sequence[str], cache: str | Path) -> dict[str, Path]:
    """Files from the cache or, where they are missing or have gone bad there, from the first mirror that has them.

    Arguments:
        sha256: {file name: SHA-256}, what to fetch.
        mirrors: base addresses (http, https), tried in order.
        cache: folder that keeps the files. A download enters it whole and with the right hash, or not at all.

    Returns {file name: path in the cache}. Raises UserError with each mirror's reason when none delivers a file.
    """
    import pooch  # not at the top: the workflow imports this module each time it is parsed

    try:
        Path(cache).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"{cache}: cannot keep downloads there ({error.strerror}); set FPKIT_CACHE to another folder"
        ) from error
    order = list(mirrors)
    for name, known in sha256.items():
        if _is_cached({name: known}, cache):
            continue
        reasons = []
        for mirror in list(order):
            if not mirror.startswith(("http://", "https://")):
                reasons.append(f"{mirror}: no http(s) address")
                continue
            try:
                pooch.retrieve(f"{mirror.rstrip('/')}/{name}", known_hash=f"sha256:{known}", fname=name, path=cache)
                break
            except (OSError, ValueError) as error:
                reasons.append(f"{mirror}: {_reason(error)}")
                order.append(order.pop(order.index(mirror)))  # last for the next files: it may cost another time-out
        else:
            raise PassingError(
                f"cannot download {name} ({'; '.join(reasons) or 'mirrors is empty'}); set"
                f" path to a folder that holds {', '.join(sha256)}"
            )
    return {name: Path(cache) / name for name in sha256}


def read(path: Path) -> bytes:
    """The content of a file, unpacked when it is gzipped, whatever its name (browsers unpack without renaming).

    Raises UserError when it cannot be read, is truncated, or fails gzip's own check sum.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except EOFError as error:
        raise broken(path, "its gzip stream is truncated") from error
    except (OSError, zlib.error) as error:
        raise broken(path, "its gzip stream is corrupt") from error


def broken(path: Path, what: str) -> UserError:
    """The error that says what is wrong with a file, in one line."""
    return UserError(f"{path}: {what}; put the original file in its place")


def origin(kind: str, paths: Mapping[str, Path], source: str, license: str) -> dict[str, str]:
    """What a data set says of its files, as netCDF attributes: `source`, `license`, and as JSON {file name: SHA-256}.

    Arguments:
        paths: {original file name: where the file is}.
        source, license: of the original files. Of others, whatever their names, nothing is known.

    Returns kind, source, license (of original files alone), `sha256` of the files as they are and, where one is packed,
    `sha256_unpacked` of all.
    """
    packed = {path.name: digest(path) for path in paths.values()}
    unpacked = {path.name: _unpacked_digest(path) for path in paths.values()}
    attrs = {"kind": kind, "source": source, "license": license}
    if not all(_is_original(kind, name, packed[path.name], unpacked[path.name]) for name, path in paths.items()):
        attrs = {"kind": kind, "source": UNKNOWN}
    attrs |= {"sha256": json.dumps(packed)}
    return attrs if packed == unpacked else attrs | {"sha256_unpacked": json.dumps(unpacked)}


def identity(kind: str, name: str, path: Path) -> str:
    """A SHA-256 that tells what is in a file of `kind`, however it is packed: that of the original file `name` where it
    is the same, else that of the content, of a broken file as it is. Raises OSError when it cannot be read.
    """
    packed = digest(path)
    if packed == SHA256[kind].get(name):
        return packed
    try:
        unpacked = _unpacked_digest(path)
    except UserError:  # told by whoever reads it
        return packed
    return SHA256[kind][name] if _is_original(kind, name, packed, unpacked) else unpacked


def _is_original(kind: str, name: str, packed: str, unpacked: str) -> bool:
    """Whether a file with these digests is the original one of this name, packed again by somebody perhaps."""
    known = (SHA256[kind].get(name), UNPACKED_SHA256[kind].get(name))
    return name in SHA256[kind] and (packed == known[0] or unpacked == known[1])


def _unpacked_digest(path: Path) -> str:
    return hashlib.sha256(read(path)).hexdigest()


def digest(path: Path) -> str:
    """SHA-256 of a file as it is. Raises OSError when it cannot be read."""
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _found(layout: Mapping[str, Sequence[str]], folder: str | Path) -> dict[str, Path]:
    """Those files of a layout that are in the folder, in the layout's order."""
    found = {}
    for name, places in layout.items():
        # os.path has no quarrel with a folder that cannot be: `~nobody`, or a name too long.
        paths = [Path(os.path.expanduser(folder)) / place for place in places]
        present = [path for path in paths if os.path.isfile(path)]
        if present:
            found[name] = present[0]
    return found


def _lacking(kind: str, folder: str | Path) -> str:
    missing = [[name for name in layout if name not in _found(layout, folder)] for layout in LAYOUTS[kind]]
    return " or ".join(", ".join(names) for names in missing)


def _is_cached(sha256: Mapping[str, str], cache: str | Path) -> bool:
    try:
        return all(digest(Path(cache) / name) == known for name, known in sha256.items())
    except OSError:  # not there, or not readable
        return False


def _reason(error: Exception) -> str:
    """Why a download failed, in a few words: what the HTTP libraries say themselves fills half a screen."""
    response = getattr(error, "response", None)
    if response is not None:
        return f"HTTP status {response.status_code}"
    if "hash" in str(error):
        return "wrong SHA-256"
    return getattr(error, "strerror", None) or type(error).__name__
