"""Which key a table of the configuration names: exactly one of a keystore, a token and a KMS key."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, model_validator

from vagus.adapters.errors import WalletError
from vagus.adapters.evm.keystore import load_keystore, read_password
from vagus.adapters.signers.base import Scheme, Signer
from vagus.adapters.signers.local import LocalKey, LocalSeed
from vagus.adapters.urls import require_url

__all__ = ["KeyConfig", "KmsKey", "Pkcs11Key"]


class Pkcs11Key(BaseModel):
    """A key on a PKCS#11 token: SoftHSM, a YubiHSM, a smart card, a network HSM."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    module: Path
    """The vendor's PKCS#11 library."""
    token: Annotated[str, Field(min_length=1, max_length=32)]
    """The token's label."""
    key: Annotated[str, Field(min_length=1, max_length=255)]
    """The label of the key pair on it: the private and the public key have the same."""
    pin_file: Path
    """The file with the user's PIN, one line, guarded as a password file."""

    @property
    def where(self) -> str:
        """Where the key is, in words."""
        return f"key {self.key!r} of PKCS#11 token {self.token!r}"


class KmsKey(BaseModel):
    """A key in AWS KMS: asymmetric, SIGN_VERIFY, ECC_SECG_P256K1."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    key: Annotated[str, Field(min_length=1, max_length=2048)]
    """The key's id, ARN or alias (`alias/…`)."""
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    """The AWS region."""
    endpoint: str | None = None
    """Another URL than the region's own, such as a VPC endpoint's."""

    @property
    def where(self) -> str:
        """Where the key is, in words."""
        return f"KMS key {self.key} in {self.region}"

    @model_validator(mode="after")
    def _is_url(self) -> Self:
        if self.endpoint is not None:
            require_url(SecretStr(self.endpoint), "http", "https")
            if "@" in self.endpoint:
                raise ValueError("endpoint has a user: credentials are found by AWS' own rules")
        return self


class KeyConfig(BaseModel):
    """A key of a configuration's table, at most one."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    keystore: Path | None = None
    """The encrypted key (V3)."""
    password_file: Path | None = None
    """The file with the keystore's password."""
    pkcs11: Pkcs11Key | None = None
    """The key on a PKCS#11 token."""
    kms: KmsKey | None = None
    """The key in AWS KMS."""

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        if (self.keystore is None) != (self.password_file is None):
            raise ValueError("keystore and password_file go together")
        named = [each for each in ("keystore", "pkcs11", "kms") if getattr(self, each) is not None]
        if len(named) > 1:
            raise ValueError(f"{' and '.join(named)} name a key each: one account has one key")
        return self

    @property
    def where(self) -> str:
        """Where the key is, in words; empty where the table names none."""
        elsewhere = self.pkcs11 or self.kms
        if elsewhere is not None:
            return elsewhere.where
        return "" if self.keystore is None else f"keystore {self.keystore}"

    def open_key(self, scheme: Scheme) -> Signer | None:
        """Open the key, None where there is none. Takes a second, and asks a token or KMS.

        Raises `WalletError` for what a person has to mend, `Retry` where the key's keeper does not
        answer now.
        """
        if self.keystore is not None and self.password_file is not None:
            key = load_keystore(self.keystore, read_password(self.password_file))
            if scheme is Scheme.ED25519:
                return LocalSeed(key.secret, self.where)
            return LocalKey(key, self.where)
        if self.pkcs11 is not None:
            return _open_pkcs11(self.pkcs11, scheme)
        if self.kms is not None:
            return _open_kms(self.kms, scheme)
        return None


def _open_pkcs11(config: Pkcs11Key, scheme: Scheme) -> Signer:
    try:
        from vagus.adapters.signers.pkcs11 import Pkcs11Signer  # noqa: PLC0415 - an extra
    except ImportError:
        raise _missing("pkcs11", "python-pkcs11") from None
    return Pkcs11Signer(config, scheme)


def _open_kms(config: KmsKey, scheme: Scheme) -> Signer:
    if scheme is not Scheme.SECP256K1:
        raise WalletError(
            f"kms: keys in AWS KMS are secp256k1 here, and this account's is {scheme}",
            "name a keystore or a PKCS#11 token",
        )
    try:
        from vagus.adapters.signers.kms import KmsSigner  # noqa: PLC0415 - an extra
    except ImportError:
        raise _missing("kms", "botocore") from None
    return KmsSigner(config)


def _missing(extra: str, package: str) -> WalletError:
    return WalletError(
        f"{extra}: {package} is not installed", f"install the extra, pip install 'vagus[{extra}]'"
    )
