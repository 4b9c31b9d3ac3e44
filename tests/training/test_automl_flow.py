"""From candles to a served model through Azure, with the command line, and where it may end."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import automl_models as made
import numpy as np
import pyarrow.parquet as pq
import pytest
from azure_ml import WORKSPACE, AzureMl, serving
from learnable import tides
from test_training_rows import write

from local.cli import automl
from local.cli.main import main, parser
from local.clock import VirtualClock
from shared.errors import BorsaError, InvalidInput
from shared.intelligence.card import CLASSES, decoded
from shared.intelligence.features import NAMES, feature_history
from shared.intelligence.library import AUTOML
from shared.intelligence.model import OnnxModel
from shared.intelligence.registry import Registry
from shared.storage.sqlite import SqliteStore
from training.automl import job, table
from training.automl.failures import JobEnded, NotConvertible
from training.automl.judge import auc_weighted, given_away
from training.automl.record import Rows, Submitted, read
from training.catalogue import LONGEST
from training.dataset import Dataset
from training.pipeline import Plan, spans

NOW = 1_764_374_400_000
FEW = ["--horizon", "8", "--take", "1.5", "--stop", "1.5", "--folds", "2", "--holdout", "14d"]


@pytest.fixture(scope="module")
def candles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("candles")
    write(folder, tides(feature_history() + 1_500), "BTCUSDT-1h")
    write(folder, tides(feature_history() + 1_500, symbol="ETHUSDT", seed=2), "ETHUSDT-1h")
    return folder


@pytest.fixture
def azure() -> Iterator[AzureMl]:
    with serving() as one:
        yield one


class Desk:
    """Somebody at the command line, with Azure somewhere else."""

    def __init__(self, azure: AzureMl, candles: Path, folder: Path) -> None:
        self.azure = azure
        self.candles = candles
        self.job = folder / "job"
        self.clock = VirtualClock(NOW)

    def run(self, *arguments: str) -> int:
        options = parser().parse_args(["automl", *arguments, "--job", str(self.job)])
        return automl.run(
            options,
            connect=lambda workspace, management, clock: self.azure.client(clock),
            clock=self.clock,
        )

    def submit(self, *more: str) -> str:
        """Start a search; the name of the job."""
        rows = ["--candles", str(self.candles), *FEW]
        assert self.run("submit", *rows, "--workspace", WORKSPACE.id, *more) == 0
        return read(self.job).name

    def fetch(self, *more: str) -> int:
        return self.run("fetch", "--candles", str(self.candles), *more)

    def finishes(self, source: bytes | None, columns: bytes | None = None, **tags: Any) -> None:
        """What Azure has when the search is over."""

        def complete(azure: AzureMl, name: str) -> None:
            run = azure.finish(name, **tags)
            if source is not None:
                azure.artifact(run, job.MODEL, source)
            if columns is not None:
                azure.artifact(run, job.COLUMNS, columns)

        self.azure.on_completion = complete


@pytest.fixture
def desk(azure: AzureMl, candles: Path, tmp_path: Path) -> Desk:
    return Desk(azure, candles, tmp_path)


def rows(candles: Path) -> tuple[Dataset, Plan]:
    """The rows of :data:`FEW`."""
    day = 86_400_000
    described = Rows(
        symbols=(),
        timeframe="1h",
        start_ms=None,
        end_ms=None,
        horizon_bars=8,
        take_atr=1.5,
        stop_atr=1.5,
        folds=2,
        embargo_bars=24,
        holdout_ms=14 * day,
    )
    return automl.rows_again(candles, described)


def test_from_candles_to_a_served_model(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    desk.finishes(made.ensemble(), made.described(dict(zip(NAMES, NAMES, strict=True))))
    name = desk.submit("--compute", "automl", "--trials", "3")
    told = capsys.readouterr().out
    assert f"{name}: NotStarted" in told
    assert desk.run("status", "--wait", "1") == 0
    told = capsys.readouterr().out
    assert "Running, 0 trials" in told
    assert f"{name}: Completed, 3 trials" in told
    assert "best: VotingEnsemble, 0.5800 on the validation rows" in told
    assert desk.clock.now_ms() - NOW == 60_000  # two looks before the last
    out = tmp_path / "models"
    assert desk.fetch("--out", str(out)) == 0
    told = capsys.readouterr().out
    assert "holdout, seen once" in told
    assert "VotingEnsemble of AutoML 1.60.0" in told

    source = (out / "automl.onnx").read_bytes()
    card = decoded((out / "automl.json").read_bytes(), "automl")
    data, plan = rows(desk.candles)
    parts = spans(data, plan)
    served = OnnxModel(source, card)
    x = data.tabular(parts.holdout[:50])
    wanted = 0.75 * made.softmax(x, 1) + 0.25 * made.softmax(x, 2)
    assert served.probabilities(x) == pytest.approx(wanted, abs=1e-6)

    # Judged on the rows of the last step and of the holdout, which every model of ours is.
    assert card.holdout
    assert card.holdout.figures.rows == len(parts.holdout)
    (fold,) = card.splits
    assert fold.figures.rows == card.figures.rows == len(parts.splits[-1].test)
    p = 0.75 * made.softmax(data.tabular(parts.holdout), 1) + 0.25 * made.softmax(
        data.tabular(parts.holdout), 2
    )
    came = data.label[parts.holdout]
    loss = -np.log(p[np.arange(len(p)), came]).mean()
    assert card.holdout.figures.log_loss == pytest.approx(loss, abs=1e-6)
    assert card.trained_to < fold.tested_from <= fold.tested_to < card.holdout.tested_from
    found = card.params["found"]
    assert (found["job"], found["learner"], found["score"]) == (name, "VotingEnsemble", 0.58)
    assert card.params["search"]["trials"] == 3
    # Nothing of the subscription goes into a file that is passed on.
    assert WORKSPACE.subscription not in (out / "automl.json").read_text()


def test_azure_is_given_the_rows_before_the_test_and_no_other(desk: Desk) -> None:
    desk.submit()
    (_, asked), data_and_plan = desk.azure.created[0], rows(desk.candles)
    data, plan = data_and_plan
    split = given_away(data, plan)
    details = asked["properties"]["taskDetails"]
    tables = {}
    for part in ("trainingData", "validationData"):
        folder = details[part]["uri"].partition("/paths/")[2]
        container = "azureml-blobstore-4711"
        description = desk.azure.blobs[f"{container}/{folder}/{table.DESCRIPTION_FILE}"].decode()
        assert "read_parquet" in description
        assert f"file: ./{table.FILE}" in description
        file = desk.candles.parent / f"{part}.parquet"
        file.write_bytes(desk.azure.blobs[f"{container}/{folder}/{table.FILE}"])
        tables[part] = pq.read_table(file)
    for part, wanted in (("trainingData", split.fit), ("validationData", split.validation)):
        found = tables[part]
        assert found.column_names == [*NAMES, details["targetColumnName"]]
        # As 32-bit floats, or AutoML would make integers of some.
        assert {str(t) for t in found.schema.types[:-1]} == {"float"}
        features = np.column_stack([found[name].to_numpy() for name in NAMES])
        assert (features == data.tabular(wanted)).all()
        assert found["label"].to_pylist() == [CLASSES[n] for n in data.label[wanted]]
    # Between what was given away and what it is judged on lies the embargo.
    given = np.concatenate((split.fit, split.validation))
    day = 86_400_000
    assert data.known[given].max() + day <= data.time[split.test].min()
    assert data.lookback == LONGEST


def test_the_same_search_is_started_once(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    first = desk.submit()
    uploads = [line for line in desk.azure.requests if "PUT /blob" in line]
    assert desk.submit() == first
    assert [name for name, _ in desk.azure.created] == [first]
    assert [line for line in desk.azure.requests if "PUT /blob" in line] == uploads
    # Another search is another job, and needs another folder.
    with pytest.raises(InvalidInput, match="another one with --job"):
        desk.submit("--trials", "7")
    assert len(desk.azure.created) == 1


def test_a_search_that_has_failed_is_started_again_when_told_so(desk: Desk) -> None:
    desk.azure.states = deque(["Failed"])
    first = desk.submit()
    assert desk.run("status") == 1
    with pytest.raises(InvalidInput, match="give --attempt"):
        desk.submit()
    desk.job = desk.job.with_name("second")
    assert desk.submit("--attempt", "2") == f"{first}-2"


@pytest.mark.parametrize("state", ["Failed", "Canceled"])
def test_no_model_of_a_search_that_has_not_completed(desk: Desk, state: str) -> None:
    desk.azure.states = deque(["Running", state])
    name = desk.submit()
    desk.azure.jobs[name]["properties"]["properties"] = {"errors": "No quota for the cluster"}
    with pytest.raises(InvalidInput, match="is Running; fetch it when"):
        desk.fetch()
    with pytest.raises(JobEnded, match=f"{state} .* No quota for the cluster; see https://ml/x"):
        desk.fetch()


def test_waiting_ends_before_a_search_that_does_not(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    desk.azure.states = deque(["Running"])
    desk.submit()
    assert desk.run("status", "--wait", "0.1") == 0
    assert desk.clock.now_ms() - NOW == 6 * 60_000
    # Told once, and not every half minute.
    assert capsys.readouterr().out.count("Running, 0 trials\n") == 2


def test_a_search_is_ended(desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    desk.azure.states = deque(["Running"])
    desk.submit()
    assert desk.run("cancel") == 0
    assert "CancelRequested" in capsys.readouterr().out


def test_a_winner_that_cannot_be_converted_leaves_no_onnx(desk: Desk) -> None:
    desk.finishes(None, learner="ProphetModel")
    desk.submit()
    desk.run("status", "--wait", "1")
    with pytest.raises(NotConvertible, match=r"ProphetModel.* has left no outputs/model\.onnx"):
        desk.fetch()
    assert not (desk.job / "automl.onnx").exists()


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (made.logistic(["age", "move_1"]), "no features of ours"),
        (made.zipped(["no", "perhaps", "yes"]), "predicts no, perhaps, yes"),
        (b"gone", "no ONNX model"),
    ],
)
def test_a_model_of_another_table(desk: Desk, source: bytes, told: str) -> None:
    desk.finishes(source)
    desk.submit()
    desk.run("status", "--wait", "1")
    with pytest.raises(NotConvertible, match=told):
        desk.fetch()
    assert not (desk.job / "automl.onnx").exists()


def contradicting() -> bytes:
    """Its label is not its likeliest class."""
    maker = made.Maker()
    x = maker.joined()
    maker.linear(x, name="_a")
    maker.linear(x, seed=2, name="_b")
    return maker.encoded("label_b", "probabilities_a")


def unnormal() -> bytes:
    """What it calls probabilities add up to 2."""
    maker = made.Maker()
    p = maker.linear(maker.joined())
    maker.node("Scaler", [p], "twice", scale=[2.0], offset=[0.0])
    return maker.encoded("label", "twice")


def broken() -> bytes:
    """An operator that there is not."""
    maker = made.Maker()
    maker.node("NoSuchOperator", ["move_1"], "x", ml=False)
    p = maker.linear(maker.joined())
    maker.node("Sum", [p, "x"], "y", ml=False)
    return maker.encoded("label", "y")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (contradicting(), "is not their likeliest"),
        (unnormal(), "gives no probabilities"),
        (broken(), "onnxruntime does not run the model"),
    ],
)
def test_a_model_that_contradicts_itself(desk: Desk, source: bytes, told: str) -> None:
    desk.finishes(source)
    desk.submit()
    desk.run("status", "--wait", "1")
    with pytest.raises(NotConvertible, match=told):
        desk.fetch()


def test_a_file_that_is_not_the_winner_is_noted(
    desk: Desk, capsys: pytest.CaptureFixture[str]
) -> None:
    """Azure's score of the winner is what its file comes to on the same rows, or it is said."""
    data, plan = rows(desk.candles)
    held = given_away(data, plan).validation
    score = auc_weighted(made.softmax(data.tabular(held)), data.label[held])
    notes = []
    for said in (score, score + 0.02):
        desk.finishes(made.logistic(), score=said)
        desk.azure.states = deque(["Running", "Completed"])
        desk.azure.jobs.clear()
        desk.submit()
        desk.run("status", "--wait", "1")
        assert desk.fetch() == 0
        notes.append("may not be the model that has won" in capsys.readouterr().out)
    assert notes == [False, True]


def test_the_metric_is_that_of_azure() -> None:
    """AUC_weighted of scikit-learn: each class against the rest, weighted by its rows."""
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.3, 0.6]])
    label = np.array([0, 1, 1, 2])
    # down: row 0 is above all others, 1; flat: 0.5 and 0.3 against 0.2 and 0.3: 3.5 of 4; up: 1.
    assert auc_weighted(p, label) == pytest.approx(0.25 * 1.0 + 0.5 * 3.5 / 4 + 0.25 * 1.0)


def test_candles_that_have_changed_are_not_judged_on(desk: Desk) -> None:
    desk.finishes(made.logistic())
    desk.submit()
    desk.run("status", "--wait", "1")
    other = desk.job.with_name("other")
    other.mkdir()
    write(other, tides(feature_history() + 1_500, seed=5), "BTCUSDT-1h")
    desk.candles = other
    with pytest.raises(BorsaError, match="do not make the rows that were sent"):
        desk.fetch()


def test_without_azure_the_tables_are_there_to_upload_by_hand(
    desk: Desk, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    rows = ["--candles", str(desk.candles), *FEW]
    assert desk.run("submit", *rows, "--offline") == 0
    assert desk.azure.requests == []
    assert "nothing was sent" in capsys.readouterr().out
    request = json.loads((desk.job / automl.REQUEST).read_text())
    folder = request["properties"]["taskDetails"]["trainingData"]["uri"].partition("/paths/")[2]
    assert (desk.job / folder / table.DESCRIPTION_FILE).read_bytes() == table.DESCRIPTION
    assert pq.read_table(desk.job / folder / table.FILE).num_rows > 500
    # And a model that was fetched by hand is judged alike.
    file = tmp_path / "model.onnx"
    file.write_bytes(made.logistic())
    assert desk.fetch("--onnx", str(file)) == 0
    assert desk.azure.requests == []
    card = decoded((desk.job / "automl.json").read_bytes(), "automl")
    assert card.params["found"]["file"] == "model.onnx"


def test_a_job_is_written_down_before_it_is_sent(desk: Desk) -> None:
    """Whatever happens while it is, the name and the rows are known."""
    from azure_ml import Answer

    desk.azure.answers = [Answer("PUT", 403, code="AuthorizationFailed", times=99)]
    with pytest.raises(BorsaError, match="AuthorizationFailed"):
        desk.submit()
    one = read(desk.job)
    assert isinstance(one, Submitted)
    assert one.workspace == WORKSPACE.id
    with pytest.raises(InvalidInput, match="has no job"):
        desk.run("status")


def knowing(candles: Path) -> bytes:
    """A logistic regression that has learnt the time of day, by which these candles go."""
    data, plan = rows(candles)
    split = given_away(data, plan)
    x, label = data.tabular(split.fit).astype(np.float64), data.label[split.fit]
    columns = [NAMES.index("day_sin"), NAMES.index("day_cos")]
    coefficients, intercepts = np.zeros((2, 3)), np.zeros(3)
    for _ in range(300):
        logits = x[:, columns] @ coefficients + intercepts
        odds = np.exp(logits - logits.max(axis=1, keepdims=True))
        wrong = odds / odds.sum(axis=1, keepdims=True) - np.eye(3)[label]
        coefficients -= x[:, columns].T @ wrong / len(x)
        intercepts -= wrong.mean(axis=0)
    maker = made.Maker(["day_sin", "day_cos"])
    p = maker.linear(maker.joined(), weighed=(coefficients, intercepts))
    return maker.encoded("label", p)


@pytest.mark.parametrize("better", [True, False])
def test_what_is_better_than_nothing_is_offered_to_the_registry(
    desk: Desk, tmp_path: Path, capsys: pytest.CaptureFixture[str], better: bool
) -> None:
    store = SqliteStore(str(tmp_path / "state.db"), clock=desk.clock)
    registry = Registry(store, desk.clock)
    source = knowing(desk.candles) if better else made.logistic()
    desk.finishes(source)
    desk.submit()
    desk.run("status", "--wait", "1")
    assert desk.fetch("--register", "--state", str(tmp_path)) == 0
    told = capsys.readouterr().out
    card = decoded((desk.job / "automl.json").read_bytes(), "automl")
    slot = registry.slots().get(AUTOML)
    if better:
        assert f"automl {card.version}: challenger" in told
        assert slot is not None
        assert slot.versions[card.version].state == "challenger"
        assert slot.versions[card.version].source.startswith("./run automl, 20")
        assert registry.onnx(AUTOML, card.version)[1] == card
        # Nothing was promoted: nobody votes with it.
        assert slot.latest() == ""
    else:
        assert f"automl {card.version}: refused" in told
        assert slot is None
    store.close()


def test_registering_needs_a_run(desk: Desk, tmp_path: Path) -> None:
    desk.finishes(made.logistic())
    desk.submit()
    desk.run("status", "--wait", "1")
    with pytest.raises(InvalidInput, match="holds no run"):
        desk.fetch("--register", "--state", str(tmp_path / "none"))
    # The files are there all the same.
    assert (desk.job / "automl.onnx").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["status", "--job", "JOB"], "no job; ./run automl submit makes one"),
        (["submit", "--candles", "CANDLES", *FEW, "--job", "JOB"], "name the workspace"),
        (
            ["submit", "--candles", "CANDLES", *FEW, "--job", "JOB", "--workspace", "mlw"],
            "is not the resource id of a workspace",
        ),
        (
            ["submit", "--candles", "CANDLES", *FEW, "--job", "JOB", "--metric", "LogLoss"],
            "no metric LogLoss",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    arguments: list[str],
    told: str,
    candles: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"JOB": str(tmp_path / "job"), "CANDLES": str(candles)}
    assert main(["automl", *(places.get(a, a) for a in arguments)]) == 2
    assert told in capsys.readouterr().err
