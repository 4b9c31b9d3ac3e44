"""The workspace for AutoML: off by default, in a group of its own, and opened by no key."""

from __future__ import annotations

import re

import bicep_project
import pytest
from bicep_project import Prediction
from infra_cases import SEARCHING

from training.automl.workspace import Workspace

pytestmark = pytest.mark.bicep

WORKSPACE = "Microsoft.MachineLearningServices/workspaces"
COMPUTE = "Microsoft.MachineLearningServices/workspaces/computes"
ASSIGNMENT = "Microsoft.Authorization/roleAssignments"

# Azure built-in roles reference.
CONTRIBUTOR = "b24988ac-6180-42a0-ab88-20f7382dd24c"
BLOBS = "ba92f5b4-2d11-453d-a403-e96b0029c9fe"
VAULT = "00482a5a-887f-4fb3-b363-3b7fe8e74483"
SCIENTIST = "f6c7c914-8db3-469d-8ca1-694a8f32e121"


def group(resource: str) -> str:
    """Resource group of a resource id."""
    found = re.search(r"/resourceGroups/([^/]+)", resource)
    assert found
    return found[1]


def rights(prediction: Prediction, *, of: str) -> set[tuple[str, str]]:
    """(role, kind of the resource it is granted on) of a principal, which nothing outside has."""
    found = set()
    for one in prediction.of(ASSIGNMENT):
        if of in one["properties"]["principalId"]:
            scope = one["id"].split("/providers/Microsoft.Authorization")[0]
            assert group(scope) == "rg-test-automl"
            kind = "/".join(scope.rsplit("/providers/", 1)[-1].split("/")[:2])
            found.add((one["properties"]["roleDefinitionId"].rsplit("/", 1)[1], kind))
    return found


def test_nothing_of_it_is_there_by_default(minimal: Prediction, full: Prediction) -> None:
    for prediction in (minimal, full):
        assert prediction.of(WORKSPACE) == prediction.of(COMPUTE) == []
        assert {group(r["id"]) for r in prediction.resources if "/resourceGroups/" in r["id"]} == {
            "rg-test"
        }
        assert prediction.outputs["AUTOML_WORKSPACE_ID"] == ""


def test_no_key_opens_it(searching: Prediction) -> None:
    (account,) = [
        r
        for r in searching.of("Microsoft.Storage/storageAccounts")
        if group(r["id"]) == "rg-test-automl"
    ]
    properties = account["properties"]
    assert properties["allowSharedKeyAccess"] is False
    assert properties["allowBlobPublicAccess"] is False
    assert properties["isLocalUserEnabled"] is False
    workspace = searching.one(WORKSPACE)
    assert workspace["properties"]["systemDatastoresAuthMode"] == "Identity"
    assert workspace["properties"]["storageAccount"] == account["id"]
    cluster = searching.one(COMPUTE)
    assert cluster["properties"]["disableLocalAuth"] is True
    assert cluster["properties"]["properties"]["remoteLoginPortPublicAccess"] == "Disabled"
    assert "userAccountCredentials" not in cluster["properties"]["properties"]
    for one in (workspace, cluster):
        assert one["identity"]["type"] == "UserAssigned"


def test_at_rest_it_costs_no_node(searching: Prediction) -> None:
    scale = searching.one(COMPUTE)["properties"]["properties"]["scaleSettings"]
    assert (scale["minNodeCount"], scale["maxNodeCount"]) == (0, 1)


def test_identities_have_rights_on_what_is_theirs_and_on_nothing_that_trades(
    searching: Prediction, compiler: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    storage, vault = "Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults"
    assert rights(searching, of="-workspace") == {
        (CONTRIBUTOR, storage),
        (BLOBS, storage),
        (CONTRIBUTOR, vault),
        (VAULT, vault),
    }
    assert rights(searching, of="-cluster") == {(BLOBS, storage)}
    operator = str(SEARCHING["principalId"])
    given = {
        one["properties"]["roleDefinitionId"].rsplit("/", 1)[1]
        for one in searching.of(ASSIGNMENT)
        if operator in one["properties"]["principalId"] and "rg-test-automl" in one["id"]
    }
    assert given == {BLOBS, SCIENTIST}
    # A pipeline starts no search.
    folder = tmp_path_factory.mktemp("pipeline")
    pipeline = bicep_project.predict(
        compiler, folder, {**SEARCHING, "principalType": "ServicePrincipal"}
    )
    assert not [
        one
        for one in pipeline.of(ASSIGNMENT)
        if operator in one["properties"]["principalId"] and "automl" in one["id"]
    ]


def test_the_app_gets_no_right_there(searching: Prediction) -> None:
    (identity,) = [
        i["name"]
        for i in searching.of("Microsoft.ManagedIdentity/userAssignedIdentities")
        if "automl" not in i["name"]
    ]
    assert not [
        one
        for one in searching.of(ASSIGNMENT)
        if identity in one["properties"]["principalId"] and "rg-test-automl" in one["id"]
    ]


def test_its_id_is_what_the_command_takes(searching: Prediction) -> None:
    parsed = Workspace.parse(searching.one(WORKSPACE)["id"])
    assert (parsed.group, parsed.name[:9]) == ("rg-test-automl", "mlw-borsa")
    assert searching.one(COMPUTE)["name"] == f"{parsed.name}/automl"
