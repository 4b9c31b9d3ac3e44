"""Random histories: every store does what a plain dictionary of documents does."""

from __future__ import annotations

import copy
import itertools
import operator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from local.clock import VirtualClock
from shared.errors import AlreadyExists, Conflict, InvalidInput, NotFound, StoreError
from shared.storage.sqlite import SqliteStore
from shared.storage.store import Patch, Where

IDS = st.sampled_from(["a", "b", "c"])
CLIENT_IDS = st.sampled_from(["x", "y", "z", None])
FIELDS = st.sampled_from(["n", "s", "deep.n", "deep.s"])
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -1.5, 2.0])
VALUES = NUMBERS | st.sampled_from(["", "a", "B", "é", "1"]) | st.booleans() | st.none()
OPERATORS = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@st.composite
def wheres(draw):
    value = draw(VALUES)
    orderable = not (value is None or isinstance(value, bool))
    return Where(
        draw(FIELDS), draw(st.sampled_from(list(OPERATORS) if orderable else ["=", "!="])), value
    )


PATCHES = st.one_of(
    st.builds(Patch, st.just("set"), FIELDS, VALUES),
    st.builds(Patch, st.just("increment"), FIELDS, st.integers(-2, 2)),
    st.builds(Patch, st.just("remove"), FIELDS),
)


def _find(body, path):
    """The values at a dotted path: none or one."""
    for part in path.split("."):
        if not isinstance(body, dict) or part not in body:
            return []
        body = body[part]
    return [body]


def _group(value):
    return (
        "bool"
        if isinstance(value, bool)
        else "number"
        if isinstance(value, int | float)
        else type(value)
    )


def _matches(body, where):
    for value in _find(body, where.field):
        if _group(value) != _group(where.value):
            return where.operator == "!="
        return OPERATORS[where.operator](value, where.value)
    return False


def _patch(body, operations):
    body = copy.deepcopy(body)
    for each in operations:
        *parents, last = each.path.split(".")
        node = body
        for part in parents:
            if part not in node and each.op == "remove":
                node = {}
                break
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                return InvalidInput
        if each.op == "set":
            node[last] = each.value
        elif each.op == "remove":
            node.pop(last, None)
        else:
            if _group(node.get(last, 0)) != "number":
                return InvalidInput
            node[last] = node.get(last, 0) + each.value
    return body


DOCUMENTS = st.dictionaries(FIELDS, VALUES)


class StoreMachine(RuleBasedStateMachine):
    """``make`` gives the store and a fresh partition."""

    make = None

    def __init__(self):
        super().__init__()
        self.model = {}
        self.etags = {}
        self.old = "never"

    @initialize(first=DOCUMENTS, second=DOCUMENTS)
    def begin(self, first, second):
        self.store, self.account, self.finish = type(self).make()
        self.create("a", "x", first)
        self.create("b", "y", second)

    def _known(self, data):
        """Mostly a document that is there."""
        return data.draw(st.sampled_from(sorted(self.model) * 3 + ["a", "b", "c"]))

    def teardown(self):
        if hasattr(self, "finish"):
            self.finish()

    def _body(self, id, client, fields):
        body = {"id": id, "account": self.account}
        if client is not None:
            body["clientOrderId"] = client
        for path, value in fields.items():
            if "." in path:
                body.setdefault("deep", {})[path.split(".")[1]] = value
            else:
                body[path] = value
        return body

    def _expect(self, error, call):
        """Run; the outcome must be the one the model foretold."""
        if error is None:
            return call()
        with pytest.raises(StoreError if error is not InvalidInput else InvalidInput) as raised:
            call()
        assert type(raised.value) is error
        return None

    def _taken(self, client, but=None):
        return any(b.get("clientOrderId") == client for k, b in self.model.items() if k != but)

    @rule(id=IDS, client=CLIENT_IDS, fields=DOCUMENTS)
    def create(self, id, client, fields):
        body = self._body(id, client, fields)
        error = AlreadyExists if id in self.model or self._taken(client) else None
        made = self._expect(error, lambda: self.store.create("orders", body))
        if made is not None:
            assert made.body == body
            self.model[id], self.etags[id] = body, made.etag

    @rule(data=st.data(), client=CLIENT_IDS, fields=DOCUMENTS, stale=st.booleans())
    def replace(self, data, client, fields, stale):
        key = self._known(data)
        body = self._body(key, client, fields)
        error = None
        if key not in self.model:
            error = NotFound
        elif stale:
            error = Conflict
        elif self._taken(client, but=key):
            error = AlreadyExists
        etag = self.old if stale else self.etags.get(key, self.old)
        made = self._expect(error, lambda: self.store.replace("orders", body, etag=etag))
        if made is not None:
            self.old = self.etags[key]
            self.model[key], self.etags[key] = body, made.etag

    @rule(
        data=st.data(),
        operations=st.lists(PATCHES, max_size=3),
        condition=st.just([]) | st.lists(wheres(), max_size=2),
    )
    def patch(self, data, operations, condition):
        key = self._known(data)
        error = None
        if key not in self.model:
            error = NotFound
        elif not all(_matches(self.model[key], w) for w in condition):
            error = Conflict
        else:
            body = _patch(self.model[key], operations)
            if body is InvalidInput:
                error = InvalidInput
        made = self._expect(
            error,
            lambda: self.store.patch("orders", self.account, key, operations, condition=condition),
        )
        if made is not None:
            assert made.body == body
            self.old = self.etags[key]
            self.model[key], self.etags[key] = body, made.etag

    @rule(data=st.data(), versioned=st.sampled_from(["none", "current", "stale"]))
    def delete(self, data, versioned):
        key = self._known(data)
        etag = {"none": None, "stale": self.old}.get(versioned, self.etags.get(key, self.old))
        error = None
        if key not in self.model:
            error = NotFound
        elif versioned == "stale":
            error = Conflict
        self._expect(error, lambda: self.store.delete("orders", self.account, key, etag=etag))
        if error is None:
            del self.model[key]
            self.old = self.etags.pop(key)

    @rule(id=IDS)
    def get(self, id):
        found = self.store.get("orders", self.account, id)
        if id in self.model:
            assert (found.body, found.etag) == (self.model[id], self.etags[id])
        else:
            assert found is None

    @precondition(lambda self: self.model)
    @rule(
        where=st.lists(wheres(), max_size=2),
        order_by=st.just("id") | FIELDS,
        descending=st.booleans(),
        limit=st.integers(1, 4),
    )
    def query(self, where, order_by, descending, limit):
        seen, at = [], None
        for _ in range(5):
            page = self.store.query(
                "orders",
                self.account,
                where=where,
                order_by=order_by,
                descending=descending,
                limit=limit,
                continuation=at,
            )
            seen += page.documents
            at = page.continuation
            if at is None:
                break
        expected = {
            key: body
            for key, body in self.model.items()
            if all(_matches(body, w) for w in where) and _find(body, order_by)
        }
        assert {d.body["id"]: d.body for d in seen} == expected
        assert len(seen) == len(expected)
        order = ["NoneType", "bool", "int", "float", "str"]

        def rank(body):
            (value,) = _find(body, order_by)
            group = "int" if _group(value) == "number" else type(value).__name__
            return order.index(group), value if value is not None else 0

        ranks = [rank(d.body) for d in seen]
        assert ranks == sorted(ranks, reverse=descending)


def _run(make, **options):
    machine = type("Machine", (StoreMachine,), {"make": staticmethod(make)})
    run_state_machine_as_test(
        machine,
        settings=settings(
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
            **options,
        ),
    )


def test_sqlite_is_a_dictionary_of_documents():
    def make():
        store = SqliteStore(":memory:", clock=VirtualClock(0))
        return store, "main", store.close

    _run(make, max_examples=60, stateful_step_count=30)


@pytest.mark.cosmos
@pytest.mark.xdist_group("cosmos")
def test_cosmos_is_a_dictionary_of_documents(cosmos):
    numbers = itertools.count()
    _run(
        lambda: (cosmos, f"model-{next(numbers)}", lambda: None),
        max_examples=15,
        stateful_step_count=30,
    )
