"""Azure AI services: none unless asked for; then without keys, and the app may only ask them."""

from __future__ import annotations

import bicep_project
import pytest
from bicep_project import Prediction, settings
from infra_cases import MINIMAL

pytestmark = pytest.mark.bicep

ACCOUNT = "Microsoft.CognitiveServices/accounts"
COGNITIVE_SERVICES_USER = "a97b65f3-24c7-4388-baec-2e87135dc908"


@pytest.fixture(scope="module")
def asked(compiler: list[str], tmp_path_factory: pytest.TempPathFactory) -> Prediction:
    folder = tmp_path_factory.mktemp("opinions")
    wanted = {**MINIMAL, "languageService": True, "documentService": True}
    return bicep_project.predict(compiler, folder, wanted)


def test_nothing_of_it_is_deployed_by_default(minimal: Prediction) -> None:
    assert minimal.of(ACCOUNT) == []
    given = settings(minimal)
    assert (given["LANGUAGE_ENDPOINT"], given["DOCUMENT_ENDPOINT"]) == ("", "")
    assert given["SENTIMENT_FEEDS"] == ""


def test_accounts_take_tokens_only(asked: Prediction) -> None:
    accounts = {a["kind"]: a for a in asked.of(ACCOUNT)}
    assert set(accounts) == {"TextAnalytics", "FormRecognizer"}
    for account in accounts.values():
        assert account["properties"]["disableLocalAuth"] is True
        assert account["properties"]["customSubDomainName"] == account["name"]
        assert account["sku"]["name"] == "F0"


def test_the_app_may_ask_them_and_nothing_else(asked: Prediction, minimal: Prediction) -> None:
    kind = "Microsoft.Authorization/roleAssignments"
    known = {r["id"] for r in minimal.of(kind)}
    added = [r for r in asked.of(kind) if r["id"] not in known]
    assert len(added) == 2
    for assignment in added:
        assert assignment["properties"]["roleDefinitionId"].endswith(COGNITIVE_SERVICES_USER)
        assert "userAssignedIdentities/" in assignment["properties"]["principalId"]
        assert f"/providers/{ACCOUNT}/" in assignment["id"]


def test_the_app_is_told_where_they_are(asked: Prediction) -> None:
    given = settings(asked)
    # Known at deployment only.
    assert "'language-" in given["LANGUAGE_ENDPOINT"]
    assert "'documents-" in given["DOCUMENT_ENDPOINT"]
    for name in ("LANGUAGE_ENDPOINT", "DOCUMENT_ENDPOINT"):
        assert given[name].endswith(".outputs.endpoint.value]")
