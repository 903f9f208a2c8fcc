"""The command line of ``cxr-score``."""

import os
import ssl
from pathlib import Path
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from app.client.answers import NotTheService
from app.client.folder import list_files
from app.client.interruption import Interruption, interruptible
from app.client.reports import PATH, ZIP, SamePlace, check_places
from app.client.run import Folder, Outcome, Run
from app.client.sending import ScoreRequest, Sender, Stopped
from app.client.table import Table, TableError
from app.client.tally import Tally

SCORED, UNSCORED, USELESS, INTERRUPTED = 0, 1, 2, 130
NOTICE = "Research use only. Not a medical device."
NOTE_CHARACTERS = 60

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


def _address(url: str) -> str:
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise typer.BadParameter(str(error)) from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise typer.BadParameter("expected an address such as http://127.0.0.1:8000")
    return url


def _key(key: str) -> str:
    if not all("!" <= character <= "~" for character in key):
        raise typer.BadParameter("a key has printable ASCII characters only")
    return key


@app.command()
def score(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", exists=True, file_okay=False, help="searched with all its subfolders")
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="the table; a run continues where the last one stopped")],
    url: Annotated[
        str, typer.Option(envvar="CXR_URL", callback=_address, help="the service")
    ] = "http://127.0.0.1:8000",
    api_key: Annotated[
        str, typer.Option(envvar="CXR_API_KEY", callback=_key, show_default=False, help="if the service requires one")
    ] = "",
    certificate: Annotated[
        Path | None,
        typer.Option(
            envvar="CXR_CERTIFICATE", exists=True, dir_okay=False, help="PEM file, with its key, if one is asked for"
        ),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="requests at once")] = 4,
    masks: Annotated[Path | None, typer.Option(file_okay=False, help="folder for masks of lungs and disease")] = None,
    overlays: Annotated[Path | None, typer.Option(file_okay=False, help="folder for overlays")] = None,
    reports: Annotated[
        Path | None, typer.Option(file_okay=False, help="folder for the DICOM objects and FHIR of DICOM files")
    ] = None,
    threshold: Annotated[
        float | None, typer.Option(min=0, max=1, help="a zone counts when its share is over it; default: the service's")
    ] = None,
    dataset: Annotated[str, typer.Option(help="the table's first column; default: DIR's name")] = "",
    patience: Annotated[float, typer.Option(min=0, help="seconds to keep trying one radiograph")] = 300.0,
    timeout: Annotated[float, typer.Option(min=1, help="seconds to wait for one answer")] = 60.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="print only what went wrong")] = False,
) -> None:
    """Scores every radiograph in a folder. Research use only. Not a medical device.

    Exit status: 0 if every file has a score, 1 if some have none, 2 if the service could not be used, 130 if
    interrupted.
    """
    console = Console(stderr=True, highlight=False, markup=False, soft_wrap=True)
    places = Folder(folder.resolve(), masks, overlays, reports)
    if places.path in {place.resolve() for place in places.results}:
        raise typer.BadParameter("results would be taken for radiographs: choose another folder for them")
    if reports and (masks or overlays):
        raise typer.BadParameter(
            "--reports with --masks or --overlays would take two calls for each radiograph: "
            "use two runs, each with its own table"
        )
    request = _request(places, threshold, patience)
    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    if trace := os.environ.get("TRACEPARENT", ""):
        headers["traceparent"] = trace
    with interruptible() as interruption:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            trust = _trust(certificate)
            with (
                Table(out) as table,
                httpx.Client(base_url=url, headers=headers, timeout=timeout, verify=trust) as client,
            ):
                command = _Command(console, quiet, table, dataset or folder.resolve().name, places)
                status = command.run(client, request, concurrency, interruption)
        except (Stopped, NotTheService, SamePlace, TableError, OSError) as error:
            console.print(f"stopped: {error}")
            status = USELESS
    raise typer.Exit(INTERRUPTED if interruption.signalled else status)


def _trust(certificate: Path | None) -> ssl.SSLContext | bool:
    """What the connection goes by: the authorities to trust and, where there is one, our own certificate."""
    if certificate is None:
        return True
    context = ssl.create_default_context()
    context.load_cert_chain(certificate)
    return context


def _request(places: Folder, threshold: float | None, patience: float) -> ScoreRequest:
    """The request that answers everything that is kept, so that one is enough for each radiograph."""
    parameters = {} if threshold is None else {"threshold": str(threshold)}
    if places.reports:
        return ScoreRequest(PATH, parameters, patience, ZIP)
    overlay = {"overlay": "true" if places.overlays else "false"}
    return ScoreRequest("segment" if places.masks else "score", overlay | parameters, patience)


class _Command:
    """One run, with its progress bar and its summary."""

    def __init__(self, console: Console, quiet: bool, table: Table, dataset: str, folder: Folder) -> None:
        self._console, self._quiet, self._table, self._dataset, self._folder = console, quiet, table, dataset, folder
        self._tally = Tally()

    def run(self, client: httpx.Client, request: ScoreRequest, concurrency: int, interruption: Interruption) -> int:
        """Sends the files that have no row yet; returns the exit status."""
        left_out = [path.resolve() for path in (self._table.path, *self._folder.results)]
        unread: list[OSError] = []
        names = list_files(self._folder.path, left_out, unread.append)
        for error in unread:
            folder = Path(error.filename).relative_to(self._folder.path).as_posix()
            self._tally.add(Outcome(folder, "unanswered", reason=error.strerror or type(error).__name__))
        if self._folder.reports:
            check_places(names)
        rest = [name for name in names if (self._dataset, name) not in self._table.scored]
        before = len(names) - len(rest)
        unscored_before = sum(self._table.scored.get((self._dataset, name)) is False for name in names)
        try:
            with self._progress() as progress:
                bar = progress.add_task("", total=len(names), completed=before, note="")

                def tell(trouble: str) -> None:
                    progress.update(bar, note=f"trying again: {trouble}"[:NOTE_CHARACTERS])

                run = Run(self._folder, rest, Sender(client, request, interruption.stop, tell), interruption.stop)
                for outcome in run.outcomes(concurrency):
                    self._keep(outcome)
                    progress.update(bar, advance=1, note="")
        finally:
            self._say(before, unscored_before)
        # The files of a folder that could not be read are not among the names.
        all_scored = not unread and all(self._table.scored.get((self._dataset, name), False) for name in names)
        return SCORED if all_scored else UNSCORED

    def _keep(self, outcome: Outcome) -> None:
        self._tally.add(outcome)
        if outcome.row is not None:
            self._table.add({"dataset": self._dataset, "filename": outcome.name, **outcome.row})

    def _progress(self) -> Progress:
        return Progress(
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=self._console,
            disable=self._quiet,
        )

    def _say(self, before: int, unscored_before: int) -> None:
        for line in self._tally.troubles(unscored_before):
            self._console.print(line)
        if len(self._table.models) > 1:
            self._console.print("the table has scores of different networks or thresholds; its columns say which")
        if not self._quiet:
            for line in self._tally.summary(before):
                self._console.print(line)
            self._console.print(NOTICE)
