"""SoftHSM 2: a PKCS#11 module in software, with tokens of the tests' own."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from vagus.adapters.signers import Pkcs11Key

__all__ = ["SoftHsm"]

PIN = "canary-pin-7331"
_PLACES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)
# In a process of its own: a token has one login a process, which is the signer's to make. What is made
# never leaves the token.
_GENERATE = """
import sys, pkcs11
from pkcs11 import Attribute, KeyType, Mechanism
from pkcs11.util.ec import encode_named_curve_parameters
module, token, label, curve = sys.argv[1:]
edwards = {"ed25519": bytes.fromhex("06032b6570"), "edwards25519": b"\\x13\\x0cedwards25519"}
if curve in edwards:
    kind, how = KeyType.EC_EDWARDS, Mechanism.EC_EDWARDS_KEY_PAIR_GEN
    parameters = edwards[curve]
else:
    kind, how = KeyType.EC, Mechanism.EC_KEY_PAIR_GEN
    parameters = encode_named_curve_parameters(curve)
with pkcs11.lib(module).get_token(token_label=token).open(rw=True, user_pin=sys.stdin.read()) as at:
    made = at.create_domain_parameters(kind, {Attribute.EC_PARAMS: parameters}, local=True)
    public, _ = made.generate_keypair(store=True, label=label, mechanism=how)
    print(public[Attribute.EC_POINT].hex())
"""


@dataclass(frozen=True)
class SoftHsm:
    """A folder of tokens; this process and its children see no other."""

    folder: Path
    module: Path

    @classmethod
    def begin(cls, folder: Path) -> "SoftHsm":
        """Take a folder for tokens, from now on in this process.

        Where SoftHSM is not installed its tests are skipped, and say so.
        """
        module = next((place for place in _PLACES if place.is_file()), None)
        if module is None or shutil.which("softhsm2-util") is None:
            pytest.skip("NOT TRIED: SoftHSM 2 is missing (package softhsm2)")
        hsm = cls(folder, module)
        hsm.tokens.mkdir(parents=True)
        config = folder / "softhsm2.conf"
        config.write_text(
            f"directories.tokendir = {hsm.tokens}\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(config)
        (folder / "pin").write_text(PIN + "\n")
        (folder / "pin").chmod(0o600)
        return hsm

    @property
    def tokens(self) -> Path:
        return self.folder / "tokens"

    def token(self, label: str) -> None:
        """Make an empty token."""
        made = ["softhsm2-util", "--init-token", "--free", "--label", label]
        subprocess.run(
            [*made, "--pin", PIN, "--so-pin", "12345678"], check=True, capture_output=True
        )

    def pair(self, token: str, label: str, curve: str = "secp256k1") -> bytes:
        """Make a key pair on a token; its public point as the token has it, in DER."""
        command = [sys.executable, "-c", _GENERATE, str(self.module), token, label, curve]
        ran = subprocess.run(command, input=PIN, text=True, check=True, stdout=subprocess.PIPE)
        return bytes.fromhex(ran.stdout)

    def key(self, token: str, label: str) -> Pkcs11Key:
        """What a config has of a key."""
        pin_file = self.folder / "pin"
        return Pkcs11Key(module=self.module, token=token, key=label, pin_file=pin_file)
