"""An authority for TLS in tests, and certificates of it, made by openssl."""

import subprocess
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Authority", "Certificate"]

CURVE = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]


@dataclass(frozen=True)
class Certificate:
    certificate: Path
    key: Path


class Authority:
    """`path` is its own certificate, as PEM."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self.path = folder / f"{name}.pem"
        self._key = folder / f"{name}.key"
        usage = ["-addext", "keyUsage=critical,keyCertSign"]
        subject = ["-subj", f"/CN={name}", "-days", "2"]
        _openssl("req", "-x509", *CURVE, *usage, *subject, "-keyout", self._key, "-out", self.path)

    def issue(self, name: str, *hosts: str) -> Certificate:
        """Return a certificate: of a server for its hosts (`IP:…`, `DNS:…`), else of a client."""
        request = self._folder / f"{name}.csr"
        made = Certificate(self._folder / f"{name}.pem", self._folder / f"{name}.key")
        names = ["-addext", f"subjectAltName={','.join(hosts)}"] if hosts else []
        subject = ["-subj", f"/CN={name}"]
        _openssl("req", "-new", *CURVE, *subject, *names, "-keyout", made.key, "-out", request)
        signer = ["-CA", self.path, "-CAkey", self._key, "-CAcreateserial", "-copy_extensions"]
        ends = ["copyall", "-days", "2", "-in", request, "-out", made.certificate]
        _openssl("x509", "-req", *signer, *ends)
        made.key.chmod(0o600)
        return made


def _openssl(*arguments: object) -> None:
    subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True)
