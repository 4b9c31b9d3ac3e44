"""Where a workspace is, and where its datastores keep what."""

from __future__ import annotations

import re
from dataclasses import dataclass

from shared.errors import InvalidInput

_ID = re.compile(
    r"/subscriptions/(?P<subscription>[0-9a-f-]{36})/resourceGroups/(?P<group>[\w.()-]{1,90})"
    r"/providers/Microsoft\.MachineLearningServices/workspaces/(?P<name>[\w-]{3,33})/?",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Workspace:
    """An Azure Machine Learning workspace."""

    subscription: str
    group: str
    name: str

    @classmethod
    def parse(cls, text: str) -> Workspace:
        """From its resource id.

        Raises
        ------
        InvalidInput
            When it is none.
        """
        found = _ID.fullmatch(text.strip())
        if found is None:
            raise InvalidInput(
                f"{text!r} is not the resource id of a workspace; azd env get-value "
                "AUTOML_WORKSPACE_ID tells it, or the portal under Properties"
            )
        return cls(**found.groupdict())

    @property
    def id(self) -> str:
        """Its resource id, which is also the path of its requests."""
        return (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.MachineLearningServices/workspaces/{self.name}"
        )

    def compute(self, name: str) -> str:
        """Resource id of one of its clusters."""
        return f"{self.id}/computes/{name}"

    def uri(self, datastore: str, path: str) -> str:
        """What its jobs call a place in a datastore."""
        return (
            f"azureml://subscriptions/{self.subscription}/resourcegroups/{self.group}"
            f"/workspaces/{self.name}/datastores/{datastore}/paths/{path}"
        )


@dataclass(frozen=True)
class Datastore:
    """A blob container that a workspace knows by a name."""

    name: str
    account: str
    container: str
    protocol: str
    endpoint: str
