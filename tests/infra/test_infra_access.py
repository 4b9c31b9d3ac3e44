"""People's sign-in as it is deployed: off by default, whole or refused, without a secret."""

from __future__ import annotations

from pathlib import Path

import bicep_project
import pytest
from bicep_project import Prediction
from infra_cases import MINIMAL

from shared.settings import load

CLIENT = "99999999-8888-7777-6666-555555555555"


def settings(prediction: Prediction) -> dict[str, str]:
    site = prediction.one("Microsoft.Web/sites")
    return {s["name"]: s["value"] for s in site["properties"]["siteConfig"]["appSettings"]}


def test_by_default_nobody_can_sign_in(minimal: Prediction) -> None:
    given = settings(minimal)
    assert given["ACCESS"] == "keys"
    assert [given[n] for n in ("ENTRA_TENANT_ID", "ENTRA_CLIENT_ID", "PUBLIC_URL")] == [""] * 3


def test_switched_on_it_is_what_the_application_takes(compiler: list[str], tmp_path: Path) -> None:
    wanted = {
        **MINIMAL,
        "access": "entra",
        "entraClientId": CLIENT,
        "entraTenantId": "11111111-2222-3333-4444-555555555555",
        "sessionHours": 4,
    }
    made = bicep_project.predict(compiler, tmp_path, wanted)
    given = settings(made)
    name = made.one("Microsoft.Web/sites")["name"]
    assert given["PUBLIC_URL"] == f"https://{name}.azurewebsites.net"
    # Known at the deployment: every cloud has its own.
    assert "authentication.loginEndpoint" in given["ENTRA_AUTHORITY"]
    environment = {
        name: "https://known.at.deployment" if value.startswith("[") else value
        for name, value in given.items()
    }
    loaded = load(environment)
    assert (loaded.access, loaded.entra_client_id, loaded.session_hours) == ("entra", CLIENT, 4)
    # The identity proves the application to the directory: no secret of the registration anywhere.
    assert not [n for n in given if "SECRET" in n]
    assert "IDENTITY_PRINCIPAL_ID" in made.outputs
    # Authentication by the platform stays off: it would be a second way in beside this one.
    assert not [r for r in made.resources if "authsettings" in str(r).lower()]


def test_without_a_registration_nothing_is_deployed(compiler: list[str], tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="needs entraClientId"):
        bicep_project.predict(compiler, tmp_path, {**MINIMAL, "access": "entra"})
