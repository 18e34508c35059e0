"""What `vagus check` says of the key files: the signer's, the accounts', and who can reach them.

A password that systemd alone hands to the unit is no fault: what needs no key is looked at without.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from vagus.adapters.errors import NoFileError, WalletError
from vagus.adapters.evm.keystore import keystore_address
from vagus.daemon.config import ConfigError, adapter_of
from vagus.daemon.credentials import CredentialError, located
from vagus.daemon.doctor.finding import fail, ok, warn
from vagus.daemon.profiles import open_folder
from vagus.protocol import Retry, VagusError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from vagus.adapters.base import ChainAdapter
    from vagus.daemon.config import Settings
    from vagus.daemon.doctor.finding import Finding

__all__ = ["KeyFiles"]


class KeyFiles:
    """Opens what a config's keystores hold; `findings` has each fault once, whoever met it first.

    signer: 20 bytes; None where nothing tells it. adapters: one a chain, of which those read alone
    whose credential is not here; None where one cannot be made.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._told: set[str] = set()
        self.findings: list[Finding] = []
        self.signer = self._open_signer()
        self._open_transport()
        self.adapters = self._open_chains()
        self.findings += self._around()

    def _open_signer(self) -> bytes | None:
        files = self._settings.signer
        try:
            opened = files.open_signer()
            signer = opened.address
            self.findings.append(ok("signer", f"0x{signer.hex()}, {opened.where} opens"))
        except CredentialError as error:
            self._sealed(error)
            return None if files.keystore is None else self._named_signer(files.keystore)
        except WalletError as error:
            self._broken("signer", error)
            return None
        except Retry as error:
            self._away("signer", error)
            return None
        return signer

    def _named_signer(self, keystore: Path) -> bytes | None:
        """Return the signer as its keystore names it, where its password is elsewhere."""
        try:
            signer = keystore_address(located(keystore))
        except CredentialError as error:
            self._sealed(error)
            return None
        except WalletError as error:
            self._broken("signer", error)
            return None
        said = f"0x{signer.hex()}, as {keystore} names it; it was not opened"
        self.findings.append(ok("signer", said))
        return signer

    def _open_transport(self) -> None:
        """Open the transport key, and hold it against the roster."""
        if self.signer is None:
            return
        try:
            key = self._settings.member_key(self.signer)
        except CredentialError as error:
            self._sealed(error)
        except WalletError as error:
            self._broken("transport key", error)
        except ConfigError as error:
            for line in error.lines:
                self._tell(fail("transport key", line, error.advice))
        else:
            if key is not None:
                said = f"0x{key.address.hex()}, as the roster has it"
                self.findings.append(ok("transport key", said))

    def _open_chains(self) -> list[ChainAdapter] | None:
        settings = self._settings
        try:
            readers = settings.reading().adapters()
        except ConfigError as error:
            self._faults(error)
            return None
        except VagusError as error:
            self._tell(fail("chains", str(error), "mend its table under [[chains]]"))
            return None
        found = []
        for at, (table, reader) in enumerate(zip(settings.chains, readers, strict=True)):
            try:
                adapter = adapter_of(table, f"{settings.file}: chains.{at}")
            except ConfigError as error:
                self._faults(error)
            except CredentialError as error:
                self._sealed(error)
                found.append(reader)
            except WalletError as error:
                self._broken(f"account {reader.chain}", error)
            except Retry as error:
                self._away(f"account {reader.chain}", error)
            except VagusError as error:
                advice = "mend its table under [[chains]]"
                self._tell(fail(f"chain {reader.chain}", str(error), advice))
            else:
                found.append(adapter)
        self.findings += [
            ok(
                f"chain {each.chain}",
                f"{each.hub}; {each.quorum[0]} of {each.quorum[1]} endpoints agree",
            )
            for each in found
        ]
        return found if len(found) == len(readers) else None

    def _around(self) -> Iterator[Finding]:
        """Warn of folders that others can reach into, and of a password beside what it opens."""
        files = self._settings.signer
        folders = set()
        pin_file = None if files.pkcs11 is None else files.pkcs11.pin_file
        for path in (files.keystore, files.password_file, pin_file):
            with contextlib.suppress(CredentialError):
                folders.update([located(path).parent] if path is not None else [])
        for folder in sorted(each for each in folders if each.is_dir()):
            if (fault := open_folder(folder)) is not None:
                advice = fault.rpartition("run ")[2]
                yield warn("key folder", fault.rpartition(":")[0], advice)
        if (
            self._settings.profile != "devnet"
            and files.keystore is not None
            and files.password_file is not None
            and files.keystore.parent == files.password_file.parent
        ):
            yield warn(
                "password",
                f"{files.password_file.name} lies beside the keystore that it opens",
                "keep it elsewhere, as a systemd credential: docs/operators.md says how",
            )

    def _sealed(self, error: CredentialError) -> None:
        self._tell(warn("credential", f"{error.fault}: keys are not opened", error.advice))

    def _broken(self, name: str, error: WalletError) -> None:
        advice = error.advice
        if isinstance(error, NoFileError):
            folder = Path(self._settings.file).resolve().parent
            advice = f"{advice}: a relative path starts at the config's folder, {folder}"
        self._tell(fail(name, error.fault, advice))

    def _away(self, name: str, error: Retry) -> None:
        self._tell(fail(name, error.reason, "a node that starts waits for it: see that it is up"))

    def _faults(self, error: ConfigError) -> None:
        for line in error.lines:
            self._tell(fail("chains", line, error.advice))

    def _tell(self, finding: Finding) -> None:
        if finding.finding not in self._told:
            self._told.add(finding.finding)
            self.findings.append(finding)
