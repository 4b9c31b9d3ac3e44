"""Enough of the Workflow Definition Language to run the alert Logic App on a payload.

An independent reading of Microsoft's function reference: expressions, string interpolation, and the
functions that the workflow uses; anything else is an error.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

_TOKEN = re.compile(
    r"\s*(?:(?P<name>[A-Za-z]\w*)|'(?P<text>(?:[^']|'')*)'|(?P<int>\d+)|(?P<op>\?\[|[\[\](),]))"
)


class Scope:
    """What expressions can see: the trigger's body, parameters, and results of actions."""

    def __init__(self, body: Any, parameters: Mapping[str, Any]) -> None:
        self.results: dict[str, Any] = {}
        self.functions: dict[str, Callable[..., Any]] = {
            "triggerBody": lambda: body,
            "parameters": parameters.__getitem__,
            "outputs": lambda name: self.results[name],
            "body": lambda name: self.results[name],
            "toUpper": lambda text: str(text).upper(),
            "take": lambda text, count: text[:count],
            "equals": lambda a, b: a == b,
        }

    def value(self, template: Any) -> Any:
        """A template with its expressions replaced by their values."""
        if isinstance(template, dict):
            return {k: self.value(v) for k, v in template.items()}
        if isinstance(template, list):
            return [self.value(v) for v in template]
        if not isinstance(template, str) or "@" not in template:
            return template
        if template.startswith("@") and not template.startswith("@{"):
            return self._evaluate(template[1:])
        return re.sub(r"@\{(.*?)\}", lambda m: self._text(self._evaluate(m[1])), template)

    def holds(self, condition: dict[str, Any]) -> bool:
        """Whether the structured expression of an If action is true."""
        ((operator, operand),) = condition.items()
        if operator == "and":
            return all(self.holds(c) for c in operand)
        if operator == "not":
            return not self.holds(operand)
        if operator == "equals":
            left, right = self.value(operand)
            return bool(left == right)
        raise ValueError(operator)

    @staticmethod
    def _text(value: Any) -> str:
        return "" if value is None else str(value)

    def _evaluate(self, expression: str) -> Any:
        tokens = []
        position = 0
        while position < len(expression):
            match = _TOKEN.match(expression, position)
            if match is None:
                raise ValueError(expression)
            kind = str(match.lastgroup)
            tokens.append((kind, match[kind]))
            position = match.end()
        value, rest = self._operand(tokens)
        if rest:
            raise ValueError(expression)
        return value

    def _operand(self, tokens: list[tuple[str, str]]) -> tuple[Any, list[tuple[str, str]]]:
        (kind, text), *rest = tokens
        if kind == "int":
            return int(text), rest
        if kind == "text":
            return text.replace("''", "'"), rest
        if kind != "name" or rest[0] != ("op", "("):
            raise ValueError(text)
        rest = rest[1:]
        arguments = []
        while rest[0] != ("op", ")"):
            argument, rest = self._operand(rest)
            arguments.append(argument)
            if rest[0] == ("op", ","):
                rest = rest[1:]
        rest = rest[1:]
        value = self.functions[text](*arguments)
        while rest and rest[0] in (("op", "?["), ("op", "[")):
            safe = rest[0][1] == "?["
            key, rest = self._operand(rest[1:])
            rest = rest[1:]
            value = value[key] if not safe else value.get(key) if value is not None else None
        return value, rest


Request = dict[str, Any]


def run(
    workflow: Mapping[str, Any],
    body: Any,
    parameters: Mapping[str, Any],
    answers: Mapping[str, Any],
) -> dict[str, Request]:
    """Run the actions in order of ``runAfter`` and hand back the requests that were sent.

    ``answers`` holds the response body of each HTTP action by name.
    """
    scope = Scope(body, parameters)
    sent: dict[str, Request] = {}

    def actions(pending: Mapping[str, Any]) -> None:
        done: set[str] = set()
        while len(done) < len(pending):
            ready = [n for n, a in pending.items() if n not in done and set(a["runAfter"]) <= done]
            if not ready:
                raise ValueError(f"these can never run: {set(pending) - done}")
            for name in ready:
                action = pending[name]
                if action["type"] == "Compose":
                    scope.results[name] = scope.value(action["inputs"])
                elif action["type"] == "Http":
                    sent[name] = scope.value(action["inputs"])
                    scope.results[name] = answers.get(name)
                elif action["type"] == "If":
                    branch = action if scope.holds(action["expression"]) else action["else"]
                    actions(branch["actions"])
                else:
                    raise ValueError(action["type"])
                done.add(name)

    actions(workflow["actions"])
    return sent
