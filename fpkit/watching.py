"""`fpkit watch`: spectra of a training while it goes on, in a terminal or on a page that refreshes itself."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from html import escape
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from fpkit import measures
from fpkit.bases import fourier, walsh
from fpkit.bases.rings import Rings
from fpkit.claims import statistics
from fpkit.claims.intervals import median_interval
from fpkit.config import MEASURES
from fpkit.errors import UserError
from fpkit.recording.runs import measured_on, open_run
from fpkit.store import places

# A look takes seconds: of more points, so many that chance picks.
MOST_POINTS = 2000
# Frequencies that a terminal has lines for.
MOST_LINES = 16
BAR = 30
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="{every:g}">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 60em; margin: 2em auto; padding: 0 1em }}
img, svg {{ max-width: 100%; height: auto }}
small {{ color: #666 }}
</style>
</head>
<body>
<h1>{title}</h1>
<p>{said}</p>
{picture}
<p><small>{notes}</small></p>
</body>
</html>
"""


@dataclass(frozen=True)
class Look:
    """What there is to see of a training.

    Attributes:
        spectra: of the measure. title: of what. said: how far it is, and its lead until now. notes: what was left out.
    """

    spectra: xr.Dataset
    title: str
    said: str
    notes: str


def look(stores: Sequence[str], measure: str | None = None) -> Look:
    """Take a measure of what is recorded until now.

    Args:
        stores: as of `fpkit.open_run`; of a workflow's run that is still in training, where it will be.
        measure: by name; where left out, the one that suits the points: `fft` on a line, `radial` of a picture, `walsh`
            of all sign vectors, else `graph`.

    Raises:
        UserError: no store, or too few records.
    """
    run = open_run([_in_training(store) for store in stores])
    if run.sizes["step"] < 2:
        raise UserError(f"{stores[0]}: {run.sizes['step']} records until now; it takes two")
    recorded = "coefficient" in run
    name = measure or _suiting(run)
    if name not in MEASURES:
        raise UserError(f"measure {name!r}: give one of {', '.join(MEASURES)}")
    notes = [name]
    samples = run.sizes.get("sample", 0)
    if not recorded and name in ("graph", "filtering", "projection") and samples > MOST_POINTS and "x" in run:
        chosen = np.sort(np.random.default_rng(0).choice(samples, MOST_POINTS, replace=False))
        run = run.isel(sample=chosen)
        notes.append(f"{MOST_POINTS:,} of {samples:,} points")
    spectra = getattr(measures, name)(run, nulls=[])
    kept = spectra.sel(member=~spectra["diverged"])
    if kept.sizes["member"] < spectra.sizes["member"]:
        notes.append(f"{spectra.sizes['member'] - kept.sizes['member']} members diverged")
    step, members = int(run["step"][-1]), run.sizes["member"]
    said = f"step {step:,}, {run.sizes['step']} records, {members} member{'s' * (members != 1)}"
    if kept.sizes["member"]:
        value, low, high = median_interval(statistics.lead(kept).to_numpy())
        ends = f" [{low:.2f}, {high:.2f}]" if np.isfinite([low, high]).all() else ""
        said += f"; lead until now {value:.2f}{ends} decades" if np.isfinite(value) else ""
    return Look(kept, " ".join(map(str, stores)), said, "; ".join(notes))


def _in_training(store: str) -> str | Path:
    """In place of `results/runs/{experiment}/{variant}`, until it is there, the store of its training."""
    run = Path(store)
    if run.exists() or len(run.parts) < 3 or run.parents[1].name != "runs":
        return store
    trained = run.parents[1].with_name("checkpoints") / Path(*run.parts[-2:])
    return max(trained.glob(f"*/{places.STORE}"), key=lambda path: path.stat().st_mtime, default=store)


def _suiting(run: xr.Dataset) -> str:
    """The measure along whose basis coefficients were recorded; of predictions one that takes the points."""
    if "coefficient" in run:
        kind = json.loads(run.attrs["recipe"])["record"]["basis"]["kind"]
        return next(name for name, entry in MEASURES.items() if (entry().basis or {}).get("kind") == kind)
    dataset = measured_on(run)[1]
    with suppress(UserError):  # which says why it is no grid
        return "radial" if isinstance(fourier.build(dataset, "train"), Rings) else "fft"
    with suppress(UserError):  # nor all sign vectors
        walsh.build(dataset, "all")
        return "walsh"
    return "graph"


def table(seen: Look) -> Any:
    """A table for a terminal: what remains of the error, by frequency."""
    from rich.table import Table

    spectra = seen.spectra
    made = Table(title=seen.title, caption=f"{seen.said}\n{seen.notes}", caption_justify="left")
    frequency = spectra["frequency"].attrs
    made.add_column(f"{frequency['long_name']} ({frequency['units']})", justify="right")
    made.add_column("remaining share", justify="right")
    made.add_column("", width=BAR)
    made.add_column("half learned at step", justify="right")
    followed = spectra.isel(frequency=np.flatnonzero(spectra["followed"]))
    if "width" in followed.dims:
        followed = followed.isel(width=followed.sizes["width"] // 2)
    shown = followed.isel(frequency=slice(MOST_LINES))
    remaining = shown["remaining"].isel(step=-1).median("member").to_numpy()
    if "remaining_first_passage" in shown:
        passage = shown["remaining_first_passage"].sel(level=0.5).median("member", skipna=False).to_numpy()
    else:
        passage = np.full(len(remaining), np.nan)
    for number, share, step in zip(shown["frequency"].to_numpy(), remaining, passage, strict=True):
        left = float(np.clip(np.nan_to_num(share), 0, 1))
        at = f"{int(step):,}" if np.isfinite(step) else "-"
        made.add_row(f"{number:.4g}", f"{share:.2f}", "\N{FULL BLOCK}" * round(BAR * left), at)
    if followed.sizes["frequency"] > MOST_LINES:
        made.add_row("...", "", f"{followed.sizes['frequency'] - MOST_LINES} more", "")
    return made


def page(seen: Look, every: float) -> str:
    """An HTML page with a picture, which refreshes itself every so many seconds."""
    from fpkit.figures import shares

    drawn = StringIO()
    shares.draw(seen.spectra).savefig(drawn, format="svg", metadata={"Date": None})
    picture = drawn.getvalue()
    return PAGE.format(
        every=every,
        title=escape(seen.title),
        said=escape(seen.said),
        picture=picture[picture.index("<svg") :],
        notes=escape(seen.notes),
    )


def watch(
    stores: Sequence[str],
    measure: str | None = None,
    html: str | None = None,
    every: float = 10,
    once: bool = False,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Look again and again, until Ctrl-C: in the terminal, or into an HTML file.

    Args: see `look`; `html`: a file that is written. `every`: seconds between two looks. `once`: one look alone.

    Raises:
        UserError: what the first look finds wrong. Later ones wait: a store is being written to.
    """
    seen = _first(stores, measure, once, every, sleep)
    if html is not None:
        target = Path(html)
        while True:
            partial = target.with_name(f".{target.name}.partial")
            try:
                partial.write_text(page(seen, every), encoding="utf-8")
                partial.replace(target)
            except OSError as error:
                raise UserError(f"{html}: cannot be written ({error.strerror}); name another file") from error
            if once:
                return
            sleep(every)
            seen = _again(stores, measure, seen)
    from rich.console import Console
    from rich.live import Live

    if once:
        Console().print(table(seen))
        return
    with Live(table(seen), auto_refresh=False) as live:
        while True:
            sleep(every)
            seen = _again(stores, measure, seen)
            live.update(table(seen), refresh=True)


def _first(
    stores: Sequence[str], measure: str | None, once: bool, every: float, sleep: Callable[[float], None]
) -> Look:
    """The first look at which there is something to see."""
    while True:
        try:
            return look(stores, measure)
        except UserError as error:
            if once or "until now; it takes two" not in str(error):
                raise
            print(error, flush=True)
            sleep(every)


def _again(stores: Sequence[str], measure: str | None, before: Look) -> Look:
    try:
        return look(stores, measure)
    except UserError:  # read in the middle of a record
        return before
