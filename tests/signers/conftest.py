"""Keys outside of the node: one SoftHSM and one KMS for the tests of a process."""

from collections.abc import AsyncIterator

import pytest

from support.kms_server import KmsServer
from support.softhsm import SoftHsm

SECRET = "canary/secret+access+key"


@pytest.fixture(scope="session")
def hsm(tmp_path_factory: pytest.TempPathFactory) -> SoftHsm:
    made = SoftHsm.begin(tmp_path_factory.mktemp("softhsm"))
    made.token("vagus")
    return made


@pytest.fixture
async def kms(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[KmsServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIACANARY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    async with KmsServer().serving() as server:
        yield server
