"""The credential for Azure: what this computer is signed in to already. Opens no browser."""

from azure.identity.aio import (
    AzureCliCredential,
    AzureDeveloperCliCredential,
    ChainedTokenCredential,
    EnvironmentCredential,
)


def azure_credential() -> ChainedTokenCredential:
    """The first that has an account: a service principal in the environment, the Azure CLI, azd."""
    return ChainedTokenCredential(EnvironmentCredential(), AzureCliCredential(), AzureDeveloperCliCredential())
