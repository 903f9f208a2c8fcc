"""``python docker/audit.py``: checks the packages in the images against the package index.

For each locked package of ``docker/requirements-*.txt`` it checks that the index still has it with the same SHA-256 and
has not withdrawn it (PEP 691), its advisories if the index serves them, and its licence if it is installed here. It
counts the packages for which no advisories are served: nothing is known about those, which does not mean that they are
safe. Exit status: 1 if something is wrong, 3 if the index serves no advisories at all.
"""

import http.client
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

INDEX = "https://pypi.org"
TIMEOUT_SECONDS = 60
TRIES = 4
WRONG, UNKNOWN = 1, 3
LOCKS = sorted(Path(__file__).parent.glob("requirements-*.txt"))

_PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_COPYLEFT = re.compile(r"(?<!L)GPL|GNU General Public|GNU Affero", re.IGNORECASE)
_NOT_ON_THE_INDEX = re.compile(r"\+")
"""Matches local versions (torch's CPU build), which come from another index."""


@dataclass(frozen=True)
class Locked:
    """One package of a lock file, with the SHA-256 of each of its files that may be installed."""

    lock: str
    name: str
    version: str
    hashes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.lock}: {self.name}=={self.version}"


def read_lock(path: Path) -> Iterator[Locked]:
    """The packages of a lock file; raises ValueError for an unreadable line or a package without a hash."""
    text = re.sub(r"\\\n\s*", " ", path.read_text(encoding="utf-8"))
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith(("#", "--")):
            continue
        pinned, hashes = _PINNED.match(line), frozenset(_HASH.findall(line))
        if pinned is None or not hashes:
            raise ValueError(f"{path.name}: not pinned with a hash: {line[:80]}")
        yield Locked(path.name, pinned[1], pinned[2], hashes)


def faults_on_the_index(package: Locked, files: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a package, judged by the index's list of its files (PEP 691)."""
    ours = [file for file in files if file["hashes"].get("sha256") in package.hashes]
    if not ours:
        return [f"{package}: the index has no file of that SHA-256"]
    withdrawn = {str(file["yanked"]) for file in ours if file.get("yanked")}
    return [f"{package}: withdrawn ({'; '.join(sorted(withdrawn))})"] if withdrawn else []


def licence_fault(name: str) -> str | None:
    """Why a package's licence forbids shipping it; None where it does not, or the package is not installed here."""
    try:
        known = metadata(name)
    except PackageNotFoundError:
        return None
    classifiers = [line for line in known.get_all("Classifier", []) if line.startswith("License ::")]
    stated = known.get("License-Expression") or " ".join(classifiers) or (known.get("License") or "")[:200]
    # A linking exception, as compilers' run-time libraries have, allows shipping.
    if _COPYLEFT.search(stated) and not re.search(r"exception|Lesser|LGPL| OR ", stated):
        return f"{name}: licence {stated!r}"
    return None


@cache
def fetch(url: str, accept: str) -> dict[str, Any] | None:
    """The JSON at an address, requested again where the connection breaks; None for 404."""
    request = urllib.request.Request(url, headers={"Accept": accept})
    for left in reversed(range(TRIES)):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS) as answer:
                found: dict[str, Any] = json.load(answer)
                return found
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            if not left or error.code < 500:
                raise
        except (OSError, http.client.HTTPException):
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


@dataclass(frozen=True)
class Finding:
    """What is wrong with one package.

    Attributes:
        advisories: whether the index serves advisories for it; None for a package of another index.
    """

    faults: tuple[str, ...]
    advisories: bool | None


def examine(package: Locked) -> Finding:
    """Checks one package against the index."""
    licence = licence_fault(package.name)
    faults = [licence] if licence else []
    if _NOT_ON_THE_INDEX.search(package.version):
        return Finding(tuple(faults), None)
    normalised = re.sub(r"[-_.]+", "-", package.name).lower()
    page = fetch(f"{INDEX}/simple/{normalised}/", "application/vnd.pypi.simple.v1+json")
    faults += faults_on_the_index(package, page["files"] if page else [])
    about = fetch(f"{INDEX}/pypi/{package.name}/{package.version}/json", "application/json")
    holes = about.get("vulnerabilities", []) if about else []
    faults += [f"{package}: {hole['id']}" for hole in holes if not hole.get("withdrawn")]
    return Finding(tuple(faults), about is not None)


def main() -> int:
    """Prints what was found, and returns the exit status."""
    packages = [package for lock in LOCKS for package in read_lock(lock)]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(examine, packages))
    faults = sorted({fault for finding in found for fault in finding.faults})
    for fault in faults:
        sys.stdout.write(f"{fault}\n")
    sys.stdout.write(
        f"audited {len(packages)} locked packages: {len(faults)} faults; advisories not served for "
        f"{sum(finding.advisories is False for finding in found)}; "
        f"{sum(finding.advisories is None for finding in found)} from another index, not looked up\n"
    )
    if faults:
        return WRONG
    if not any(finding.advisories for finding in found):
        sys.stderr.write(f"{INDEX} serves no advisories: what is known against these packages was not seen\n")
        return UNKNOWN
    return 0


if __name__ == "__main__":
    sys.exit(main())
