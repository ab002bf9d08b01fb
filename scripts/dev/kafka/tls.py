"""Certificates for a broker on the loopback: a CA of its own, one for the broker, one for a client.

Owns: the files in one folder. Must not know: who uses them.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from scripts.dev.kafka.tools import OPENSSL, run

_NEW_KEY: Final = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
_SIGNED: Final = ("-x509", "-days", "3650")
_NAMES: Final = "subjectAltName=IP:127.0.0.1,DNS:localhost"


@dataclass(frozen=True, slots=True)
class Certificates:
    """PEM files. `broker_store` holds the broker's key and certificate, as Kafka's PEM key store wants them."""

    folder: Path

    @property
    def ca(self) -> Path:
        return self.folder / "ca.pem"

    @property
    def broker_store(self) -> Path:
        return self.folder / "broker-store.pem"

    @property
    def client_cert(self) -> Path:
        return self.folder / "client.pem"

    @property
    def client_key(self) -> Path:
        return self.folder / "client.key"

    def make(self) -> None:
        """Make them, unless they are there. Raises ToolMissing, ToolTooOld, CommandFailed."""
        if self.broker_store.exists():
            return
        openssl = OPENSSL.find()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._request(openssl, "ca", "keyUsage=critical,keyCertSign")
        self._request(openssl, "client", "extendedKeyUsage=clientAuth", *self._by_ca())
        self._request(openssl, "broker", "extendedKeyUsage=serverAuth", "-addext", _NAMES, *self._by_ca())
        parts = (self.folder / "broker.key", self.folder / "broker.pem")
        self.broker_store.write_text("".join(part.read_text() for part in parts))

    def _request(self, openssl: str, name: str, use: str, *more: str) -> None:
        files = ("-keyout", str(self.folder / f"{name}.key"), "-out", str(self.folder / f"{name}.pem"))
        subject = ("-subj", f"/CN=storepulse-{name}", "-addext", use)
        run("openssl req", [openssl, "req", *_SIGNED, *_NEW_KEY, *files, *subject, *more])

    def _by_ca(self) -> tuple[str, ...]:
        ordinary = ("-addext", "basicConstraints=critical,CA:FALSE")
        return ("-CA", str(self.ca), "-CAkey", str(self.folder / "ca.key"), *ordinary)
