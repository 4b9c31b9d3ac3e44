"""A pipeline deploys without a secret, from one repository and environment, and does no more."""

from __future__ import annotations

import bicep_project
import pytest
from bicep_project import Prediction
from infra_cases import MINIMAL

pytestmark = pytest.mark.bicep

SUBJECT = "repo:someone/borsa:environment:demo"
IDENTITY = "Microsoft.ManagedIdentity/userAssignedIdentities"
WEBSITE_CONTRIBUTOR = "de139f84-1756-47ae-9be6-808fbbe84772"


@pytest.fixture(scope="module")
def trusted(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    folder = tmp_path_factory.mktemp("deployer")
    return bicep_project.predict(compiler, folder, {**MINIMAL, "deployerSubject": SUBJECT})


def test_one_repository_and_environment_is_trusted(trusted: Prediction) -> None:
    trust = trusted.one(f"{IDENTITY}/federatedIdentityCredentials")["properties"]
    assert trust == {
        "issuer": "https://token.actions.githubusercontent.com",
        "subject": SUBJECT,
        "audiences": ["api://AzureADTokenExchange"],
    }


def test_it_may_publish_and_nothing_else(trusted: Prediction, minimal: Prediction) -> None:
    kind = "Microsoft.Authorization/roleAssignments"
    known = {r["id"] for r in minimal.of(kind)}
    (added,) = [r for r in trusted.of(kind) if r["id"] not in known]
    assert added["properties"]["roleDefinitionId"].endswith(WEBSITE_CONTRIBUTOR)
    names = {i["name"] for i in trusted.of(IDENTITY)}
    (deployer,) = names - {i["name"] for i in minimal.of(IDENTITY)}
    assert deployer.startswith("id-deployer-")
    assert deployer in added["properties"]["principalId"]
    # The app does not run under it.
    (site,) = trusted.of("Microsoft.Web/sites")
    assert not [i for i in site["identity"]["userAssignedIdentities"] if deployer in i]


def test_nobody_is_trusted_unless_asked_for(minimal: Prediction) -> None:
    assert minimal.of(f"{IDENTITY}/federatedIdentityCredentials") == []
    assert len(minimal.of(IDENTITY)) == 1
