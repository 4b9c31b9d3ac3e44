"""The parts of Azure that an AutoML job meets, over HTTP, as their public descriptions have them.

Resource Manager: ``Microsoft.MachineLearningServices/workspaces/jobs`` and ``/datastores``,
api-version 2024-10-01. Blobs: Put Blob and Get Blob. What Azure would refuse is refused: a token
for another audience, a missing api-version, a job with fields that do not exist or that lacks what
it must have, a blob that is not what its checksum says.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema

from shared.clock import Clock
from training.automl.client import Azure
from training.automl.workspace import Workspace

WORKSPACE = Workspace("11111111-1111-1111-1111-111111111111", "rg-test-automl", "mlw-borsa")
ACCOUNT = "stmlborsa"
#: Datastore -> container, as every workspace has them.
CONTAINERS = {"workspaceblobstore": "azureml-blobstore-4711", "workspaceartifactstore": "azureml"}

_LEARNERS = [
    "LogisticRegression",
    "SGD",
    "MultinomialNaiveBayes",
    "BernoulliNaiveBayes",
    "SVM",
    "LinearSVM",
    "KNN",
    "DecisionTree",
    "RandomForest",
    "ExtremeRandomTrees",
    "LightGBM",
    "GradientBoosting",
    "XGBoostClassifier",
]


def _object(required: list[str], **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": False,
    }


_BOOL, _COUNT = {"type": "boolean"}, {"type": "integer", "minimum": 1}
_SPAN = {"type": "string", "pattern": r"^PT(\d+H)?(\d+M)?(\d+S)?$"}
_TABLE = _object(
    ["jobInputType", "uri"],
    jobInputType={"const": "mltable"},
    uri={"type": "string", "pattern": "^azureml://"},
    mode={"enum": ["ReadOnlyMount", "Download", "Direct", "EvalMount", "EvalDownload"]},
    description={"type": "string"},
)
_SOME = {"type": "array", "items": {"enum": _LEARNERS}, "minItems": 1}
#: A classification job, out of the definitions of the API's description (``mfe.json``).
JOB = _object(
    ["properties"],
    properties=_object(
        ["jobType", "taskDetails"],
        jobType={"const": "AutoML"},
        displayName={"type": "string"},
        experimentName={"type": "string"},
        description={"type": "string"},
        computeId={"type": "string", "pattern": "^/subscriptions/.*/computes/[^/]+$"},
        tags={"type": "object", "additionalProperties": {"type": "string"}},
        taskDetails=_object(
            ["taskType", "trainingData"],
            taskType={"const": "Classification"},
            logVerbosity={"enum": ["NotSet", "Debug", "Info", "Warning", "Error", "Critical"]},
            primaryMetric={
                "enum": [
                    "AUCWeighted",
                    "Accuracy",
                    "NormMacroRecall",
                    "AveragePrecisionScoreWeighted",
                    "PrecisionScoreWeighted",
                ]
            },
            targetColumnName={"type": "string"},
            trainingData=_TABLE,
            validationData=_TABLE,
            featurizationSettings=_object(["mode"], mode={"enum": ["Auto", "Custom", "Off"]}),
            limitSettings=_object(
                [],
                maxTrials=_COUNT,
                maxConcurrentTrials=_COUNT,
                maxCoresPerTrial={"type": "integer"},
                timeout=_SPAN,
                trialTimeout=_SPAN,
                exitScore={"type": "number"},
                enableEarlyTermination=_BOOL,
            ),
            trainingSettings=_object(
                [],
                enableOnnxCompatibleModels=_BOOL,
                enableVoteEnsemble=_BOOL,
                enableStackEnsemble=_BOOL,
                enableDnnTraining=_BOOL,
                enableModelExplainability=_BOOL,
                ensembleModelDownloadTimeout=_SPAN,
                allowedTrainingAlgorithms=_SOME,
                blockedTrainingAlgorithms=_SOME,
            ),
        ),
    ),
)


@dataclass
class Answer:
    """What is answered instead of what would be.

    Parameters
    ----------
    match : str
        Part of ``METHOD path`` of the requests that are answered so.
    then : bool
        Do what was asked for all the same, and lose only the answer.
    """

    match: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    code: str = ""
    times: int = 1
    then: bool = False
    cut: bool = False


@dataclass(frozen=True)
class IssuedToken:
    token: str
    expires_on: int


class Logins:
    """A credential of azure-identity: tokens name what they are for."""

    def __init__(self, clock: Clock, *, lasts_s: int = 3600) -> None:
        self._clock = clock
        self._lasts_s = lasts_s
        self.asked: list[str] = []

    def get_token(self, *scopes: str) -> IssuedToken:
        (scope,) = scopes
        self.asked.append(scope)
        audience = scope.removesuffix("/.default")
        return IssuedToken(
            f"{audience}#{len(self.asked)}", self._clock.now_ms() // 1000 + self._lasts_s
        )


class AzureMl:
    """The state of one workspace, and what it was asked."""

    def __init__(self) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.created: list[tuple[str, dict[str, Any]]] = []
        self.blobs: dict[str, bytes] = {}
        self.states: deque[str] = deque(["NotStarted", "Running", "Completed"])
        self.on_completion: Callable[[AzureMl, str], None] = lambda azure, name: None
        self.answers: list[Answer] = []
        self.requests: list[str] = []
        self.refused_tokens: set[str] = set()
        self.lock = threading.Lock()
        self.url = ""

    def client(self, clock: Clock, logins: Logins | None = None) -> Azure:
        """A connection of the application to it."""
        return Azure(
            WORKSPACE,
            logins or Logins(clock),
            clock,
            management=self.url,
            blob=f"{self.url}/blob/{{account}}",
        )

    def artifact(self, run: str, path: str, content: bytes) -> None:
        """What a run leaves behind."""
        self.blobs[f"azureml/ExperimentRun/dcid.{run}/{path}"] = content

    def finish(self, name: str, learner: str = "VotingEnsemble", score: float = 0.58) -> str:
        """Tags as a finished search has them; the name of the best run."""
        self.jobs[name]["properties"]["tags"] |= {
            "model_explain_run": "best_run",
            "iteration_000": "0;1;2",
            "run_algorithm_000": f"LightGBM;LogisticRegression;{learner}",
            "run_preprocessor_000": "MaxAbsScaler;StandardScalerWrapper;",
            "score_000": f"0.571;0.560;{score}",
            "automl_best_child_run_id": f"{name}_2",
        }
        return f"{name}_2"

    # ------------------------------------------------------------------ Resource Manager

    def arm(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        own = f"{WORKSPACE.id}/"
        if not path.startswith(own):
            return 404, _error("ResourceNotFound", f"The Resource '{path}' was not found.")
        kind, _, rest = path.removeprefix(own).partition("/")
        name, _, action = rest.partition("/")
        if kind == "datastores" and method == "GET" and name in CONTAINERS:
            return 200, {
                "id": path,
                "name": name,
                "properties": {
                    "datastoreType": "AzureBlob",
                    "credentials": {"credentialsType": "None"},
                    "accountName": ACCOUNT,
                    "containerName": CONTAINERS[name],
                    "endpoint": "core.windows.net",
                    "protocol": "https",
                    "isDefault": name == "workspaceblobstore",
                },
            }
        if kind == "jobs" and method == "PUT" and not action:
            return self._create(name, body)
        if kind == "jobs" and name in self.jobs:
            if method == "POST" and action == "cancel":
                self.states = deque(["CancelRequested", "Canceled"])
                return 202, None
            if method == "GET" and not action:
                return 200, self._step(name)
        return 404, _error("UserError", f"Run {name} was not found.")

    def _create(self, name: str, body: bytes) -> tuple[int, Any]:
        if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9_-]{0,254}", name):
            return 400, _error("ValidationError", f"{name} is no name")
        asked = json.loads(body)
        try:
            jsonschema.validate(asked, JOB)
        except jsonschema.ValidationError as error:
            return 400, _error("ValidationError", error.message)
        if name in self.jobs:
            return 409, _error("Conflict", f"{name} exists already")
        for part in ("trainingData", "validationData"):
            uri = asked["properties"]["taskDetails"][part]["uri"]
            folder = uri.partition("/datastores/workspaceblobstore/paths/")[2]
            if f"{CONTAINERS['workspaceblobstore']}/{folder}/MLTable" not in self.blobs:
                return 400, _error("ValidationError", f"{uri} is no MLTable")
        self.created.append((name, asked))
        own = {
            "tags": {},
            "status": "NotStarted",
            "services": {"Studio": {"endpoint": "https://ml/x"}},
        }
        self.jobs[name] = {"name": name, "properties": {**asked["properties"], **own}}
        return 201, self.jobs[name]

    def _step(self, name: str) -> dict[str, Any]:
        job = self.jobs[name]
        if self.states:
            before = job["properties"]["status"]
            job["properties"]["status"] = self.states.popleft()
            if job["properties"]["status"] == "Completed" != before:
                self.on_completion(self, name)
        return job

    # -------------------------------------------------------------------------- blobs

    def put(self, path: str, headers: Any, body: bytes) -> tuple[int, str]:
        if headers.get("x-ms-blob-type") != "BlockBlob" or not headers.get("x-ms-version"):
            return 400, "MissingRequiredHeader"
        checksum = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        if headers.get("Content-MD5") != checksum:
            return 400, "Md5Mismatch"
        self.blobs[path] = body
        return 201, ""


def _error(code: str, message: str) -> dict[str, Any]:
    return {"error": {"code": code, "message": message, "details": []}}


@contextmanager
def serving() -> Iterator[AzureMl]:
    """Azure on a port of this machine."""
    azure = AzureMl()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def handle_one(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            address = urlsplit(self.path)
            with azure.lock:
                line = f"{self.command} {address.path}"
                azure.requests.append(line)
                scripted = next((a for a in azure.answers if a.times and a.match in line), None)
                if scripted is not None:
                    scripted.times -= 1
                    if scripted.then:
                        self.answer(address, body)
                    self.scripted(scripted)
                    return
                self.reply(*self.answer(address, body))

        do_GET = do_PUT = do_POST = handle_one

        def scripted(self, one: Answer) -> None:
            if one.status == 0:  # the connection goes away
                self.close_connection = True
                return
            if one.cut:
                self.send_response(one.status)
                self.send_header("Content-Length", "1000")
                self.end_headers()
                self.wfile.write(b"only this")
                self.close_connection = True
                return
            self.reply(one.status, _error(one.code, "as scripted"), one.headers)

        def answer(self, address: Any, body: bytes) -> tuple[int, Any, dict[str, str]]:
            token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
            blob = address.path.startswith("/blob/")
            audience = "https://storage.azure.com" if blob else azure.url
            if token.partition("#")[0] != audience or token in azure.refused_tokens:
                return 401, _error("InvalidAuthenticationToken", "no token for this"), {}
            if not blob:
                if parse_qs(address.query).get("api-version") != ["2024-10-01"]:
                    return 400, _error("MissingApiVersionParameter", "no api-version"), {}
                return (*azure.arm(self.command, address.path, body), {})
            account, _, path = address.path.removeprefix("/blob/").partition("/")
            container = path.partition("/")[0]
            if account != ACCOUNT or container not in CONTAINERS.values():
                return 404, b"", {"x-ms-error-code": "ContainerNotFound"}
            if self.command == "PUT":
                status, code = azure.put(path, self.headers, body)
                return status, b"", {"x-ms-error-code": code} if code else {}
            found = azure.blobs.get(path)
            if found is None:
                return 404, b"<Error/>", {"x-ms-error-code": "BlobNotFound"}
            return 200, found, {}

        def reply(self, status: int, answer: Any, headers: dict[str, str] | None = None) -> None:
            content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            if answer is None:
                content = b""
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    azure.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield azure
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
