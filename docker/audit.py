"""``python docker/audit.py``: checks the packages in the images for known vulnerabilities and for their licences.

Advisories come from pip-audit for each locked package of ``docker/requirements-*.txt``, licences from the packages that
are installed here. Packages that the service does not know are counted: nothing is known about those, which does not
mean that they are safe. Exit status: 1 if something is wrong or the service is not reached, 3 if it has no advisories
at all.

Options are passed on to pip-audit, such as ``--vulnerability-service osv``.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

WRONG, UNKNOWN = 1, 3
LOCKS = sorted(Path(__file__).parent.glob("requirements-*.txt"))

_COPYLEFT = re.compile(r"(?<!L)GPL|GNU General Public|GNU Affero", re.IGNORECASE)


class AuditError(Exception):
    """pip-audit could not read a lock file, or could not reach its service."""


def audit(lock: Path, options: Sequence[str]) -> list[dict[str, Any]]:
    """The packages of a lock file, each with its advisories in ``vulns``, or with ``skip_reason`` where none were had.

    Raises:
        AuditError: the lock file is not read, or the service is not reached.
    """
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--requirement", str(lock)]
    done = subprocess.run(
        [*command, "--format", "json", "--progress-spinner", "off", *options],
        check=False,
        capture_output=True,
        text=True,
    )
    # Status 1 also says that there are advisories.
    if not done.stdout:
        raise AuditError(f"{lock.name}: {done.stderr.strip().splitlines()[-1]}")
    packages: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    return packages


def faults(lock: str, packages: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What is wrong with the packages of a lock file."""
    for package in packages:
        for advisory in package.get("vulns", ()):
            names = ", ".join([advisory["id"], *advisory["aliases"]])
            yield f"{lock}: {package['name']}=={package['version']}: {names}"
        if fault := licence_fault(package["name"]):
            yield fault


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


def main(options: Sequence[str]) -> int:
    """Prints what was found, and returns the exit status."""
    try:
        found = {lock.name: audit(lock, options) for lock in LOCKS}
    except AuditError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG
    packages = [package for part in found.values() for package in part]
    wrong = sorted({fault for lock, part in found.items() for fault in faults(lock, part)})
    for fault in wrong:
        sys.stdout.write(f"{fault}\n")
    unknown = sum("skip_reason" in package for package in packages)
    sys.stdout.write(f"audited {len(packages)} locked packages: {len(wrong)} faults; no advisories for {unknown}\n")
    if wrong:
        return WRONG
    if unknown == len(packages):
        sys.stderr.write("no advisories could be had: what is known against these packages was not seen\n")
        return UNKNOWN
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
