"""io.net's confidential inference: models in enclaves, whose responses are signed.

Source: io.net, "Confidential inference": POST attestation {model_id, nonce} names the key that the
enclave signs with; POST completions answers with the headers text, signature, signing_address,
signing_algo and image_digest. What the documentation does not say is taken as other providers of
such APIs have it: the request and the response are OpenAI's chat completions, and text is
`sha256(request):sha256(response)`. The GPU's own report is NVIDIA's to verify, and is not here.
"""

import asyncio
import json
import pathlib
import secrets
from typing import Annotated, ClassVar, Self

import msgspec
from pydantic import Field

from vagus.compute import wire
from vagus.compute.backends.http import BaseUrl, HttpBackend, HttpConfig, Text
from vagus.compute.base import Answer, Barred, Completion, Model, Proof
from vagus.compute.bounds import one_line
from vagus.compute.client import Exchange
from vagus.compute.confidential import check_response
from vagus.compute.config import Label
from vagus.compute.decoding import decode
from vagus.compute.price import Price
from vagus.protocol import Refuse, Retry

__all__ = ["ConfidentialBackend", "ConfidentialConfig"]

MAX_ATTESTATION = 1 << 20


class ConfidentialConfig(HttpConfig):
    """`kind = "ionet-confidential"`.

    models: the API's model ids. quote_file: JSON {"quote", "collateral", "time"} that vouches for
    the enclave's key, from whoever verified it: hex, Intel's collateral and the Unix time at which
    both are judged. It is put into the evidence, for agents that trust measurements.
    """

    needs_key: ClassVar[bool] = True

    kind: Label = "ionet-confidential"
    network: Label = "io.net"
    base_url: BaseUrl = "https://api.intelligence.io.net/v1/private"
    models: Annotated[tuple[Text, ...], Field(min_length=1)]
    quote_file: pathlib.Path | None = None


class _Attestation(msgspec.Struct):
    nonce: str
    signing_address: str
    image_digest: str = ""


_attestation = msgspec.json.Decoder(_Attestation)


class _QuoteFile(msgspec.Struct, forbid_unknown_fields=True):
    quote: str
    collateral: dict[str, object]
    time: int


class ConfidentialBackend(HttpBackend[ConfidentialConfig]):
    """One API; each model's key is attested when it is first asked."""

    Config = ConfidentialConfig
    attests = True

    def __init__(self, config: ConfidentialConfig) -> None:
        super().__init__(config)
        self._price = config.price.price()
        self._models = tuple(Model(name) for name in config.models)
        self._attested: dict[str, _Attestation] = {}
        self._quote: _QuoteFile | None = None

    async def __aenter__(self) -> Self:
        if self.config.quote_file is not None:
            self._quote = await asyncio.to_thread(_read_quote, self.config.quote_file)
        return await super().__aenter__()

    async def models(self) -> tuple[Model, ...]:
        """Return the configured models."""
        return self._models

    def price(self, model: Model) -> Price:
        """Return the configured price, the same for each model."""
        self._check_served(model)
        return self._price

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, as the contract says; an answer that is not signed is a Retry."""
        self._check_served(request.model)
        loop = asyncio.get_running_loop()
        deadline, name = loop.time() + timeout, request.model.name
        attested = self._attested.get(name) or await self._attest(name, timeout)
        body = wire.encode_request(msgspec.structs.replace(request, ids=False), name)
        most = wire.longest_answer(request, len(body))
        found = await self.client.exchange(
            "POST", "completions", body, deadline - loop.time(), most
        )
        try:
            proof = self._proof(name, found, attested)
            check_response(proof, body)
        except Refuse as error:
            # A model may have moved to another machine: the next call asks for its key again.
            self._attested.pop(name, None)
            raise Retry(f"the answer is not the enclave's: {error.reason}") from None
        answer = wire.decode_answer(found.body, request, found.times)
        return msgspec.structs.replace(answer, proof=proof)

    async def _attest(self, model: str, timeout: float) -> _Attestation:
        """Ask which key the model's enclave signs with; the nonce shows that it is said now."""
        nonce = secrets.token_hex(16)
        body = msgspec.json.encode({"model_id": model, "nonce": nonce})
        client = self.client
        data = await client.ask("POST", "attestation", body, timeout, MAX_ATTESTATION)
        found = decode(_attestation, data, "the attestation is not understood")
        if found.nonce != nonce.ljust(64, "0"):
            raise Retry("the attestation is not of now: it names another nonce")
        self._attested[model] = found
        return found

    def _proof(self, model: str, found: Exchange, attested: _Attestation) -> Proof:
        """Return what the response's headers say. Raises Refuse where they say too little."""
        said = {
            name: found.headers.get(name, "")
            for name in ("text", "signature", "signing_address", "image_digest")
        }
        address = said["signing_address"].lower()
        if found.headers.get("signing_algo", "ecdsa") != "ecdsa":
            raise Refuse("it is signed by an algorithm that is not ecdsa")
        if address != attested.signing_address.lower():
            raise Refuse("it is signed by another key than was attested")
        try:
            response = found.body.decode()
        except UnicodeDecodeError:
            raise Refuse("it is not UTF-8") from None
        quote = self._quote
        return Proof(
            served_as=model,
            response=response,
            text=said["text"],
            signature=said["signature"],
            signing_address=address,
            image_digest=said["image_digest"],
            quote="" if quote is None else quote.quote,
            collateral="" if quote is None else json.dumps(quote.collateral),
            quoted_at=0 if quote is None else quote.time,
        )

    def _check_served(self, model: Model) -> None:
        if model not in self._models:
            raise Barred(f"backend {self.name} does not serve {model.name}")


def _read_quote(path: pathlib.Path) -> _QuoteFile:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_QuoteFile)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refuse(f"the quote in {path} can't be read: {one_line(str(error))}") from None
