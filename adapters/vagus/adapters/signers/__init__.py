"""Keys, wherever they are: in a keystore, behind PKCS#11, in AWS KMS; and what they agree to sign."""

from vagus.adapters.signers.base import Scheme, Signer
from vagus.adapters.signers.config import KeyConfig, KmsKey, Pkcs11Key
from vagus.adapters.signers.policy import Guarded
from vagus.adapters.signers.table import SignedTable

__all__ = [
    "Guarded",
    "KeyConfig",
    "KmsKey",
    "Pkcs11Key",
    "Scheme",
    "SignedTable",
    "Signer",
]
