"""``./run automl``: a search for a model in Azure Machine Learning, and its result."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from local.cli.models import show
from local.cli.open_state import open_store
from shared.clock import Clock, SystemClock, iso
from shared.errors import InvalidInput
from shared.intelligence.features import FEATURE_SET
from shared.research.data.store import write_whole
from shared.research.windows import span

if TYPE_CHECKING:
    from training.automl.client import Azure
    from training.automl.job import Progress, Search
    from training.automl.record import Rows, Submitted
    from training.dataset import Dataset
    from training.pipeline import Plan, Trained

    #: Makes the connection to the workspace of an id, at a Resource Manager.
    Connect = Callable[[str, str, Clock], Azure]

#: What the Resource Manager would be asked for, of a job that is not sent.
REQUEST = "request.json"


def connect(workspace: str, management: str, clock: Clock) -> Azure:
    """As whoever is logged in here, or as the managed identity of this machine."""
    from azure.identity import DefaultAzureCredential

    from training.automl.client import Azure
    from training.automl.workspace import Workspace

    return Azure(Workspace.parse(workspace), DefaultAzureCredential(), clock, management=management)


def run(
    options: argparse.Namespace, *, connect: Connect = connect, clock: Clock | None = None
) -> int:
    """0 when what was asked for was done."""
    clock = clock or SystemClock()
    action = {"submit": _submit, "status": _status, "fetch": _fetch, "cancel": _cancel}
    return action[options.action](options, connect, clock)


def _submit(options: argparse.Namespace, connect: Connect, clock: Clock) -> int:
    from training.automl import flow, record
    from training.automl.client import MANAGEMENT
    from training.automl.workspace import Workspace

    search = _search(options)
    rows, data, plan = _rows_of_options(options)
    if not options.workspace and not options.offline:
        raise InvalidInput("name the workspace with --workspace, or give --offline")
    workspace = Workspace.parse(options.workspace or _NOWHERE)
    management = options.management or MANAGEMENT
    request = flow.prepared(
        workspace, data, plan, search, compute=options.compute, attempt=options.attempt
    )
    known = _known(options.job)
    if known is not None and known.name != request.name:
        raise InvalidInput(
            f"{options.job} is the folder of {known.name}; give another one with --job"
        )
    one = record.Submitted(
        name=request.name,
        workspace=workspace.id,
        management=management,
        submitted_at=iso(clock.now_ms()) if known is None else known.submitted_at,
        table=request.table,
        rows=rows,
        search=search,
    )
    if options.offline:
        files = {**request.files, REQUEST: msgspec.json.format(msgspec.json.encode(request.body))}
        for path, content in files.items():
            file = options.job / path
            file.parent.mkdir(parents=True, exist_ok=True)
            write_whole(file, content)
        record.write(one, options.job)
        print(f"{request.name}: tables and request are in {options.job}; nothing was sent")
        return 0
    size = sum(map(len, request.files.values()))
    print(f"{request.name}: {size / 1e6:.1f} MB of rows, feature set {FEATURE_SET}")
    # Before it is sent: whatever happens then, the job can be found again.
    record.write(one, options.job)
    found = flow.submit(connect(workspace.id, management, clock), request)
    _tell(found)
    return 0


def _status(options: argparse.Namespace, connect: Connect, clock: Clock) -> int:
    from training.automl import flow, record

    one = record.read(options.job)
    azure = connect(one.workspace, one.management, clock)
    if options.wait is None:
        found = flow.look(azure, one.name)
    else:
        found = flow.wait(
            azure, one.name, clock, patience_s=options.wait * 3600.0, tell=_tell_changes()
        )
    _tell(found)
    return 1 if found.state in ("Failed", "Canceled") else 0


def _fetch(options: argparse.Namespace, connect: Connect, clock: Clock) -> int:
    from training.automl import flow, record
    from training.automl.convert import Original
    from training.automl.judge import judged
    from training.pipeline import write

    one = record.read(options.job)
    data, plan = rows_again(options.candles, one.rows)
    params = {"search": msgspec.to_builtins(one.search), "submitted": one.submitted_at}
    now = clock.now_ms()
    if options.onnx is not None:
        flow.same_rows(data, plan, one.table)
        columns = options.columns.read_bytes() if options.columns else None
        made = judged(
            data,
            plan,
            Original(options.onnx.read_bytes(), columns),
            params=params,
            found={"job": one.name, "file": options.onnx.name},
            now_ms=now,
        )
        notes: tuple[str, ...] = ()
    else:
        azure = connect(one.workspace, one.management, clock)
        made, notes = flow.fetch(azure, one.name, one.table, data, plan, params=params, now_ms=now)
    out = options.out or options.job
    write(made, out)
    show([made.card])
    for note in notes:
        print(f"note: {note}")
    found = made.card.params["found"]
    print(
        f"{found.get('learner', 'model')} of {found['producer']}, {len(made.source) / 1e6:.1f} MB, "
        f"version {made.card.version}, in {out}; no probability differs from AutoML's own file by "
        f"more than {made.parity.largest:.1e}"
    )
    if options.register:
        _register(made, options, clock)
    return 0


def _register(made: Trained, options: argparse.Namespace, clock: Clock) -> None:
    """Offer a model to the registry, as what was trained again is; it promotes nothing."""
    from shared.intelligence.registry import Registry
    from training.retrain import offer, source_of

    with ExitStack() as after:
        if options.cosmos:
            from shared.bootstrap import Services

            there = {**os.environ, "CosmosDbConnection__accountEndpoint": options.cosmos}
            store = Services(there, clock=clock).store
        else:
            local = open_store(options.state, clock)
            after.callback(local.close)
            store = local
        source = source_of("./run automl", clock.now_ms())
        offered = offer(made, Registry(store, clock), source)
    print(f"{offered.model} {offered.version}: {offered.state}; {offered.why}")


def _cancel(options: argparse.Namespace, connect: Connect, clock: Clock) -> int:
    from training.automl import flow, record

    one = record.read(options.job)
    azure = connect(one.workspace, one.management, clock)
    azure.cancel(one.name)
    _tell(flow.look(azure, one.name))
    return 0


#: Stands in the request of a job that is not sent.
_NOWHERE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/none"
    "/providers/Microsoft.MachineLearningServices/workspaces/none"
)


def _search(options: argparse.Namespace) -> Search:
    from training.automl.job import Search

    return Search(
        trials=options.trials,
        minutes=options.minutes,
        trial_minutes=options.trial_minutes,
        nodes=options.nodes,
        metric=options.metric,
        learners=options.learners,
    )


def _known(folder: Path) -> Submitted | None:
    from training.automl import record

    return record.read(folder) if (folder / record.FILE).exists() else None


def _rows_of_options(options: argparse.Namespace) -> tuple[Rows, Dataset, Plan]:
    from training.automl.record import Rows

    rows = Rows(
        symbols=options.symbols,
        timeframe=options.timeframe,
        start_ms=options.start,
        end_ms=options.end,
        horizon_bars=options.horizon,
        take_atr=options.take,
        stop_atr=options.stop,
        folds=options.folds,
        embargo_bars=options.embargo,
        holdout_ms=span(options.holdout),
    )
    data, plan = rows_again(options.candles, rows)
    return rows, data, plan


def rows_again(candles: Path, rows: Rows) -> tuple[Dataset, Plan]:
    """The rows that a job was made of, from the same candles."""
    from shared.intelligence.labels import Barriers
    from training.catalogue import LONGEST
    from training.dataset import dataset, from_folder
    from training.pipeline import Plan

    # The look-back of the longest sequence, which a table has no use for: so the model is judged
    # on the same rows as the project's own.
    data = dataset(
        from_folder(
            candles, rows.symbols, rows.timeframe, note=lambda text: print(f"note: {text}")
        ),
        Barriers(rows.take_atr, rows.stop_atr, rows.horizon_bars),
        lookback=LONGEST,
        start_ms=rows.start_ms,
        end_ms=rows.end_ms,
    )
    plan = Plan(folds=rows.folds, embargo_bars=rows.embargo_bars, holdout_ms=rows.holdout_ms)
    return data, plan


def _tell(one: Progress) -> None:
    print(f"{one.name}: {one.state}, {len(one.trials)} trials")
    winner = one.winner
    if winner is not None and winner.score is not None:
        print(f"best: {winner.learner}, {winner.score:.4f} on the validation rows")
    for text in one.told:
        print(f"Azure says: {text}")
    if one.page:
        print(f"see {one.page}")


def _tell_changes() -> Callable[[Progress], None]:
    """A line whenever something is new."""
    last = ""

    def tell(one: Progress) -> None:
        nonlocal last
        line = f"{one.state}, {len(one.trials)} trials"
        if line != last:
            print(line)
        last = line

    return tell
