"""Text that lies on any machine with Python on Debian, one body of text a name.

Files are taken in the order of their names, then shuffled by a fixed seed, so one machine always gives
one text. Bodies of the evaluation set and of the calibration set have no file in common.
"""

import gzip
import random
import sysconfig
from collections.abc import Iterable, Iterator
from pathlib import Path

LIMIT_BYTES = 8_000_000


def _library() -> Iterator[Path]:
    """The sources of CPython's standard library, its tests and installed packages left out."""
    root = Path(sysconfig.get_paths()["stdlib"])
    unwanted = {"test", "tests", "site-packages", "idlelib", "lib2to3", "encodings"}
    return (path for path in root.rglob("*.py") if not unwanted & set(path.relative_to(root).parts))


def _manuals() -> Iterator[Path]:
    """The English manual pages of commands, conventions and administration."""
    folders = (Path("/usr/share/man", part) for part in ("man1", "man7", "man8"))
    paths = (path for folder in folders for path in folder.glob("*.gz"))
    return (path for path in paths if not path.name.startswith("gcloud"))  # ten thousand pages of one tool


def _notes() -> Iterator[Path]:
    """What packages put into /usr/share/doc: read-me files, news and plain text, not the licences."""
    wanted = ("README*", "NEWS*", "*.txt", "FAQ*", "TODO*")
    return (path for pattern in wanted for path in Path("/usr/share/doc").rglob(pattern) if path.is_file())


def _perl() -> Iterator[Path]:
    """Perl's modules with their manuals, less a list of releases that would fill a third of the text."""
    paths = (path for pattern in ("*.pm", "*.pod") for path in Path("/usr/share/perl").rglob(pattern))
    return (path for path in paths if "CoreList" not in str(path))


def _packages() -> Iterator[Path]:
    """The sources of what torch brings along: networkx and sympy."""
    root = Path(sysconfig.get_paths()["purelib"])
    return (path for name in ("networkx", "sympy") for path in (root / name).rglob("*.py"))


def _licences() -> Iterator[Path]:
    """The licences that Debian keeps once for all packages."""
    return (path for path in Path("/usr/share/common-licenses").iterdir() if not path.is_symlink())


BODIES = {
    "library": _library,
    "manuals": _manuals,
    "notes": _notes,
    "perl": _perl,
    "packages": _packages,
    "licences": _licences,
}


def _plain(path: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".gz":
        content = gzip.decompress(content)
    return content.decode("utf-8", errors="ignore")


def _capped(texts: Iterable[str], limit: int) -> Iterator[str]:
    """Different texts until there are enough of them."""
    seen: set[str] = set()
    for text in texts:
        if limit > 0 and text not in seen:
            seen.add(text)
            limit -= len(text)
            yield text


def read(body: str) -> str:
    """The text of one body, at most some eight million characters; raises KeyError on a strange name."""
    paths = sorted({path.resolve() for path in BODIES[body]()})
    random.Random(0).shuffle(paths)
    return "\n\n".join(_capped(map(_plain, paths), LIMIT_BYTES))
