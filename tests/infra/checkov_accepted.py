"""Findings of checkov that are accepted, each with its reason.

A finding that is not here fails the test, and so does an entry that finds nothing any more.
"""

from __future__ import annotations

_NETWORK = (
    "Reached by identity, not by network: local authentication is off, every right is a role. "
    "Private endpoints would cost more per month than a small account earns, and the upload of "
    "the package and the Consumption Logic App have no private way in."
)

#: (check, resource type) -> reason.
ACCEPTED: dict[tuple[str, str], str] = {
    ("CKV_AZURE_59", "Microsoft.Storage/storageAccounts"): _NETWORK,
    ("CKV_AZURE_35", "Microsoft.Storage/storageAccounts"): _NETWORK,
    ("CKV_AZURE_101", "Microsoft.DocumentDB/databaseAccounts"): _NETWORK,
    ("CKV_AZURE_109", "Microsoft.KeyVault/vaults"): _NETWORK,
    ("CKV_AZURE_189", "Microsoft.KeyVault/vaults"): _NETWORK,
    ("CKV_AZURE_222", "Microsoft.Web/sites"): (
        "The emergency stop must be reachable from wherever its owner is; allowedCallers narrows it"
    ),
    ("CKV_AZURE_206", "Microsoft.Storage/storageAccounts"): (
        "Zone-redundant on purpose: the account holds the package, timer locks and checkpoints, "
        "which a copy in another region would bring back out of date"
    ),
    ("CKV_AZURE_225", "Microsoft.Web/serverfarms"): (
        "Zone redundancy of Flex Consumption needs two warm instances of every group at twice the "
        "price; the stops that protect the money rest on the exchange"
    ),
    ("CKV_AZURE_17", "Microsoft.Web/sites"): (
        "Callers are people with keys and a second factor, not machines with client certificates"
    ),
    ("CKV_AZURE_212", "Microsoft.Web/sites"): (
        "Flex Consumption has alwaysReady in place of a minimum number of workers"
    ),
    ("CKV_AZURE_213", "Microsoft.Web/sites"): (
        "Flex Consumption ignores healthCheckPath; the heartbeat rule watches instead"
    ),
}

#: The same of a deployment with containers: the streamer, the training job.
ACCEPTED_OF_REGISTRY: dict[tuple[str, str], str] = {
    ("CKV_AZURE_139", "Microsoft.ContainerRegistry/registries"): _NETWORK,
    ("CKV_AZURE_163", "Microsoft.ContainerRegistry/registries"): (
        "Scanning images is Defender for Containers, a plan of the whole subscription; whoever has "
        "it switched on has it here too"
    ),
    ("CKV_AZURE_166", "Microsoft.ContainerRegistry/registries"): (
        "Quarantine needs Premium and somebody who releases images; each image is built from this "
        "repository and pulled by one identity"
    ),
}

#: The same of a deployment with the workspace for AutoML.
ACCEPTED_OF_AUTOML: dict[tuple[str, str], str] = {
    ("CKV_AZURE_243", "Microsoft.MachineLearningServices/workspaces"): _NETWORK,
    ("CKV2_AZURE_49", "Microsoft.MachineLearningServices/workspaces"): (
        "As the private endpoint: rows come from wherever they are made, nodes fetch Microsoft's "
        "images and nothing else, and storage and vault of the workspace hold no secret of ours"
    ),
}
