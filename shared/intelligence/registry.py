"""Versions of models in the store: their bytes, their cards, and what became of them.

Container ``models``. ``registry:<name>`` (partition ``registry``) holds the states of a model's
versions under its ETag, ``version:<version>`` (partition: the model's name) the card, and
``onnx:<version>:<n>`` the file in base64, in pieces below the size of a document. Files and cards
are written before the state that names them, never changed and never deleted: what once voted can
always be asked again.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np

from shared.clock import Clock
from shared.errors import (
    AlreadyExists,
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreError,
)
from shared.intelligence.card import ModelCard, decoded, encoded
from shared.intelligence.library import SLOTS
from shared.intelligence.model import OnnxModel
from shared.intelligence.slots import Slot, State, Version, moved, registered
from shared.storage.records import record_of
from shared.storage.store import Body, Document, Store, every

CONTAINER = "models"
PARTITION = "registry"
#: Bytes of a file per document: 1.6 MB of base64 in one of at most 2 MB.
CHUNK = 1_200_000
#: Largest ONNX file; it is held in memory by every instance that serves it.
MOST_BYTES = 32 * 1024 * 1024
#: A state that somebody else changes is read and changed again so often.
_ATTEMPTS = 8


class Registry:
    """The registry of one deployment.

    Parameters
    ----------
    store : Store
        It may be one whose identity writes the container ``models`` and nothing else.
    clock : Clock
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    # ------------------------------------------------------------------ in

    def register(
        self, card: ModelCard, onnx: bytes, source: str, *, challenge: bool = False
    ) -> Version:
        """Take a version in, or find that it is there.

        Parameters
        ----------
        card : ModelCard
            Its name is one of :data:`shared.intelligence.library.SLOTS`.
        onnx : bytes
            Its file.
        source : str
            Who registers it and what made it, for people.
        challenge : bool
            Have it scored beside the champion from now on, if it is new.

        Raises
        ------
        InvalidInput
            For a name that is none of a model's, a file that is too large, or no source.
        ConfigurationError
            When it could not be served: other features, bytes that are not the card's, a file that
            onnxruntime refuses or that is not of the contract.
        Conflict
            When it is to be a challenger and there are enough; it is registered all the same.
        StoreError
            It may or may not be there; registering again is safe.
        """
        if card.name not in SLOTS:
            raise InvalidInput(f"no model is named {card.name!r}; use one of {', '.join(SLOTS)}")
        if not 0 < len(onnx) <= MOST_BYTES:
            raise InvalidInput(f"model {card.name}: {len(onnx)} bytes; at most {MOST_BYTES}")
        if not source.strip():
            raise InvalidInput("source is empty; say who registers the model and what made it")
        _tried(OnnxModel(onnx, card))
        pieces = [onnx[at : at + CHUNK] for at in range(0, len(onnx), CHUNK)]
        for number, piece in enumerate(pieces):
            self._create(
                card.name,
                _piece_id(card.version, number),
                {"data": base64.b64encode(piece).decode()},
            )
        text = encoded(card).decode()
        self._create(card.name, _card_id(card.version), {"card": text, "chunks": len(pieces)})
        # What was there before, under the same digest, is held to it as well.
        self.model(card.name, card.version)
        now = self._clock.now_ms()
        new = Version(
            version=card.version,
            source=source.strip()[:200],
            registered_at=now,
            changed_at=now,
            size=len(onnx),
            chunks=len(pieces),
            timeframe=card.timeframe,
        )
        known = card.version in self.slot(card.name).versions
        slot = self.change(card.name, lambda slot: registered(slot, new))
        if challenge and not known:
            slot = self.move(card.name, card.version, "challenger")
        return slot.versions[card.version]

    # ------------------------------------------------------------------ states

    def slots(self) -> dict[str, Slot]:
        """Every model of which the registry knows a version, by name; one query.

        Raises
        ------
        StoreError
            When the registry cannot be read.
        """
        documents = every(self._store, CONTAINER, PARTITION)
        found = [record_of(document.body, Slot) for document in documents]
        return {slot.model: slot for slot in found}

    def slot(self, name: str) -> Slot:
        """One model; without versions where the registry knows none."""
        return _slot(name, self._read(name))

    def change(self, name: str, how: Callable[[Slot], Slot]) -> Slot:
        """Apply a change to exactly the states it was judged on.

        Raises
        ------
        Conflict
            What ``how`` raises, or others changing them all the time.
        StoreError
        """
        for _ in range(_ATTEMPTS):
            document = self._read(name)
            known = _slot(name, document)
            changed = how(known)
            if changed == known:
                return known
            body: Body = {
                "id": f"registry:{name}",
                "name": PARTITION,
                **msgspec.to_builtins(changed),
            }
            try:
                if document is None:
                    self._store.create(CONTAINER, body)
                else:
                    self._store.replace(CONTAINER, body, etag=document.etag)
            except (AlreadyExists, Conflict, NotFound):
                continue
            return changed
        raise Conflict(f"model {name}: its states are being changed by others; try again")

    def move(self, name: str, version: str, state: State) -> Slot:
        """Put a version into another state; raises as :func:`shared.intelligence.slots.moved`."""
        return self.change(name, lambda slot: moved(slot, version, state, self._clock.now_ms()))

    def _read(self, name: str) -> Document | None:
        if name not in SLOTS:
            raise InvalidInput(f"no model is named {name!r}; use one of {', '.join(SLOTS)}")
        return self._store.get(CONTAINER, PARTITION, f"registry:{name}")

    # ------------------------------------------------------------------ out

    def card(self, name: str, version: str) -> ModelCard:
        """The card of any version that was ever registered.

        Raises
        ------
        NotFound
        ConfigurationError
            When it cannot be used by this code.
        """
        return self._card(name, version)[0]

    def onnx(self, name: str, version: str) -> tuple[bytes, ModelCard]:
        """The file of any version that was ever registered, with its card.

        Raises
        ------
        NotFound
            When it was not.
        StoreError
            When a piece of it is missing or no base64.
        """
        card, chunks = self._card(name, version)
        parts = []
        for number in range(chunks):
            body = self._get(name, _piece_id(version, number))
            try:
                parts.append(base64.b64decode(body["data"], validate=True))
            except (KeyError, TypeError, ValueError) as error:
                raise StoreError(
                    f"document {body['id']} of model {name} holds no piece of a file"
                ) from error
        return b"".join(parts), card

    def model(self, name: str, version: str) -> OnnxModel:
        """Any version that was ever registered, ready to be asked.

        Raises
        ------
        NotFound
        ConfigurationError
            When the bytes are not those of the card, or this code makes other features.
        StoreError
        """
        return OnnxModel(*self.onnx(name, version))

    def _card(self, name: str, version: str) -> tuple[ModelCard, int]:
        body = self._get(name, _card_id(version))
        found = decoded(body["card"].encode(), f"{name} {version}")
        if (found.name, found.version) != (name, version):
            raise ConfigurationError(
                [f"model {name} {version}: its card is that of {found.name} {found.version}"]
            )
        return found, int(body["chunks"])

    def _get(self, name: str, id_: str) -> Body:
        found = self._store.get(CONTAINER, name, id_)
        if found is None:
            raise NotFound(f"model {name}: there is no {id_} in the registry")
        return found.body

    def _create(self, name: str, id_: str, fields: dict[str, Any]) -> None:
        # What is there is of an earlier attempt: its name is its content's digest.
        with contextlib.suppress(AlreadyExists):
            self._store.create(CONTAINER, {"id": id_, "name": name, **fields})


def _slot(name: str, document: Document | None) -> Slot:
    return Slot(model=name) if document is None else record_of(document.body, Slot)


def _card_id(version: str) -> str:
    return f"version:{version}"


def _piece_id(version: str, number: int) -> str:
    return f"onnx:{version}:{number}"


def _tried(model: OnnxModel) -> None:
    """One prediction: what onnxruntime refuses is not taken in."""
    card = model.card
    one = (card.lookback,) if card.kind == "sequence" else ()
    model.probabilities(np.zeros((1, *one, len(card.features)), np.float32))
