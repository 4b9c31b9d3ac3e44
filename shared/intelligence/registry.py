"""Versions of models in the store: their bytes, their cards, and what became of them.

Container ``models``: ``registry:<name>`` (partition ``registry``) holds the states of a model's
versions under its ETag. Container ``versions``, to which everybody can only add:
``version:<version>`` (partition: the model's name) holds the card, ``onnx:<version>:<n>`` the file
in base64, in pieces below the size of a document. Files and cards are written before the state that
names them, never changed and never deleted: what once voted can always be asked again.

Who makes models need not be who says which one votes. The training job may add to ``versions`` and
write no state: it leaves an offer (partition ``offers``), and whoever may write states takes it in.
"""

from __future__ import annotations

import base64
import contextlib
import logging
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
import numpy as np

from shared.clock import Clock
from shared.errors import (
    AlreadyExists,
    BorsaError,
    ConfigurationError,
    Conflict,
    InvalidInput,
    NotFound,
    StoreError,
    StoreUnavailable,
)
from shared.intelligence.card import ModelCard, decoded, encoded
from shared.intelligence.library import SLOTS
from shared.intelligence.model import OnnxModel
from shared.intelligence.slots import Slot, State, Version, moved, registered
from shared.storage.records import readable, record_of
from shared.storage.store import Body, Document, Store, every

CONTAINER = "models"
PARTITION = "registry"
FILES = "versions"
OFFERS = "offers"
#: Bytes of a file per document: 1.6 MB of base64 in one of at most 2 MB.
CHUNK = 1_200_000
#: Largest ONNX file; it is held in memory by every instance that serves it.
MOST_BYTES = 32 * 1024 * 1024
#: Latest time of an offer that is believed: what nobody has checked must not be beyond all dates.
_LATEST = 4_102_444_800_000
#: Offers that are taken in at a time: each is read and tried.
MOST_OFFERS = 20
#: A state that somebody else changes is read and changed again so often.
_ATTEMPTS = 8


class Offer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A version whose file and card are there, for whoever may write states to take in.

    ``source`` is what its maker says, and nobody has checked; ``challenge`` asks to be scored.
    """

    model: str
    version: str
    source: str
    offered_at: Annotated[int, msgspec.Meta(ge=0, le=_LATEST)]
    challenge: bool = False


class _Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A card as stored, and in how many pieces its file is."""

    card: str
    chunks: Annotated[int, msgspec.Meta(ge=1, le=-(-MOST_BYTES // CHUNK))]


class Registry:
    """The registry of one deployment.

    Parameters
    ----------
    store : Store
        For :meth:`offer` it may be one whose identity adds to the container ``versions``, reads
        ``models``, and nothing else.
    clock : Clock
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        #: Offers that could not be served: they do not change, and are not tried again and again.
        self._refused: set[tuple[str, str]] = set()

    # ------------------------------------------------------------------ in

    def register(
        self, card: ModelCard, onnx: bytes, source: str, *, challenge: bool = False
    ) -> Version:
        """Take a version in, or find that it is there. It needs the right to write states.

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
            onnxruntime refuses or that is not of the contract; or when the same file is there with
            another card.
        Conflict
            When it is to be a challenger and there are enough; it is registered all the same.
        StoreError
            It may or may not be there; registering again is safe.
        """
        self._keep(card, onnx, source)
        known = card.version in self.slot(card.name).versions
        slot = self._registered(card, len(onnx), source, self._clock.now_ms())
        if challenge and not known:
            slot = self.move(card.name, card.version, "challenger")
        return slot.versions[card.version]

    def offer(
        self, card: ModelCard, onnx: bytes, source: str, *, challenge: bool = False
    ) -> State | None:
        """Leave a version for the application to take in; its state if it is known already.

        Parameters and errors as of :meth:`register`; no state is written.
        """
        self._keep(card, onnx, source)
        offer = Offer(
            model=card.name,
            version=card.version,
            source=source.strip()[:200],
            offered_at=self._clock.now_ms(),
            challenge=challenge,
        )
        self._create(OFFERS, f"offer:{card.name}:{card.version}", msgspec.to_builtins(offer))
        known = self.slot(card.name).versions.get(card.version)
        return None if known is None else known.state

    def waiting(self) -> list[Offer]:
        """Offers that nobody has taken in, oldest first.

        Raises
        ------
        StoreError
            When the registry cannot be read.
        """
        slots = self.slots()
        found = readable(every(self._store, FILES, OFFERS), Offer)
        new = [
            offer
            for offer in found
            if offer.model in SLOTS
            and offer.version not in slots.get(offer.model, Slot(model=offer.model)).versions
        ]
        return sorted(new, key=lambda offer: offer.offered_at)

    def adopt(self) -> None:
        """Take in what waits, as candidates, or challengers where that is asked for and there is
        room. What could not be served is left where it is, and the log says so: whoever made it may
        be anybody, and holds nothing else up.

        Raises
        ------
        StoreError
            When the registry cannot be read or written now.
        """
        new = [o for o in self.waiting() if (o.model, o.version) not in self._refused]
        for offer in new[:MOST_OFFERS]:
            try:
                self._take(offer)
            except (StoreUnavailable, Conflict):
                raise
            except BorsaError as error:
                self._refused.add((offer.model, offer.version))
                logging.getLogger("borsa.models").error(
                    "model %s %s was offered and is not taken in: %s",
                    offer.model,
                    offer.version,
                    error,
                )

    def _take(self, offer: Offer) -> None:
        onnx, card = self.onnx(offer.model, offer.version)
        if len(onnx) > MOST_BYTES:
            raise InvalidInput(f"model {card.name}: {len(onnx)} bytes; at most {MOST_BYTES}")
        _tried(OnnxModel(onnx, card))
        self._registered(card, len(onnx), offer.source[:200], offer.offered_at)
        if offer.challenge:
            # There may be challengers enough: it stays a candidate then.
            with contextlib.suppress(Conflict):
                self.move(offer.model, offer.version, "challenger")

    def _keep(self, card: ModelCard, onnx: bytes, source: str) -> None:
        """File and card of a version, whole and as they can be served."""
        if card.name not in SLOTS:
            raise InvalidInput(f"no model is named {card.name!r}; use one of {', '.join(SLOTS)}")
        if not 0 < len(onnx) <= MOST_BYTES:
            raise InvalidInput(f"model {card.name}: {len(onnx)} bytes; at most {MOST_BYTES}")
        if not source.strip():
            raise InvalidInput("source is empty; say who registers the model and what made it")
        _tried(OnnxModel(onnx, card))
        for number in range(_pieces(len(onnx))):
            piece = onnx[number * CHUNK : (number + 1) * CHUNK]
            self._create(
                card.name,
                _piece_id(card.version, number),
                {"data": base64.b64encode(piece).decode()},
            )
        text = encoded(card).decode()
        kept = {"card": text, "chunks": _pieces(len(onnx))}
        self._create(card.name, _card_id(card.version), kept)
        # What was there before, under the same digest, is held to it as well: others than who may
        # say which version votes can add to this container.
        there = self.model(card.name, card.version).card
        if _as_made(there) != _as_made(card):
            raise ConfigurationError(
                [
                    f"model {card.name} {card.version}: the same file is in the registry with "
                    f"another card, of {there.created_at}; nothing is changed there"
                ]
            )

    def _registered(self, card: ModelCard, size: int, source: str, at: int) -> Slot:
        new = Version(
            version=card.version,
            source=source.strip()[:200],
            registered_at=at,
            changed_at=at,
            size=size,
            chunks=_pieces(size),
            timeframe=card.timeframe,
        )
        return self.change(card.name, lambda slot: registered(slot, new))

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
        kept = record_of(self._get(name, _card_id(version)), _Kept)
        found = decoded(kept.card.encode(), f"{name} {version}")
        if (found.name, found.version) != (name, version):
            raise ConfigurationError(
                [f"model {name} {version}: its card is that of {found.name} {found.version}"]
            )
        return found, kept.chunks

    def _get(self, name: str, id_: str) -> Body:
        found = self._store.get(FILES, name, id_)
        if found is None:
            raise NotFound(f"model {name}: there is no {id_} in the registry")
        return found.body

    def _create(self, name: str, id_: str, fields: dict[str, Any]) -> None:
        # What is there is of an earlier attempt: its name is its content's digest.
        with contextlib.suppress(AlreadyExists):
            self._store.create(FILES, {"id": id_, "name": name, **fields})


def _slot(name: str, document: Document | None) -> Slot:
    return Slot(model=name) if document is None else record_of(document.body, Slot)


def _card_id(version: str) -> str:
    return f"version:{version}"


def _piece_id(version: str, number: int) -> str:
    return f"onnx:{version}:{number}"


def _pieces(size: int) -> int:
    return -(-size // CHUNK)


def _as_made(card: ModelCard) -> bytes:
    """A card, as it is written, without what differs where the same training is run again."""
    return encoded(msgspec.structs.replace(card, created_at="", framework={}))


def _tried(model: OnnxModel) -> None:
    """One prediction: what onnxruntime refuses is not taken in."""
    card = model.card
    one = (card.lookback,) if card.kind == "sequence" else ()
    model.probabilities(np.zeros((1, *one, len(card.features)), np.float32))
