"""io.net's confidential inference: models in enclaves, whose responses are signed.

Source: io.net, "Confidential inference": POST attestation {model_id, nonce} names the key that the
enclave signs with; POST completions answers with the headers text, signature, signing_address,
signing_algo and image_digest. What the documentation does not say is taken as other providers of
such APIs have it: the request and the response are OpenAI's chat completions, and text is
`sha256(request):sha256(response)`. The GPU's own report is NVIDIA's to verify, and is not here.

Where keys or domains are pinned, nothing is sent before the key that the API names is one of those,
or is vouched for by a quote of one of those, and has signed a question made for that alone: a
nonce that is echoed and an address that anybody knows prove nothing.
"""

import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import Annotated, Self

import msgspec

from vagus.compute import wire
from vagus.compute.backends.confidential_config import ConfidentialConfig
from vagus.compute.backends.http import HttpBackend
from vagus.compute.base import Answer, Barred, Completion, Message, Model, Proof
from vagus.compute.client import Exchange
from vagus.compute.confidential import QuoteFile, check_response, load_verifier, read_quote
from vagus.compute.decoding import decode
from vagus.compute.price import Price
from vagus.protocol import Refuse, Retry

__all__ = ["ConfidentialBackend", "ConfidentialConfig"]

MAX_ATTESTATION = 1 << 20


class _Attestation(msgspec.Struct):
    nonce: str
    signing_address: Annotated[str, msgspec.Meta(pattern=r"^0x[0-9a-fA-F]{40}\Z")]


_attestation = msgspec.json.Decoder(_Attestation)


@dataclass(frozen=True, slots=True)
class _Attested:
    """A model's key, `0x` and lower-case hex, what vouches for it, and the loop's time it counts until."""

    address: str
    quote: QuoteFile | None
    until: float


class ConfidentialBackend(HttpBackend[ConfidentialConfig]):
    """One API; each model's key is attested before it is first asked, and again after a while."""

    Config = ConfidentialConfig

    def __init__(self, config: ConfidentialConfig) -> None:
        super().__init__(config)
        self.attests = config.pinned
        self._price = config.price.price()
        self._models = tuple(Model(name) for name in config.models)
        self._attested: dict[str, _Attested] = {}
        self._attesting = asyncio.Lock()

    async def __aenter__(self) -> Self:
        if self.config.measurements:
            load_verifier()
        await self._quote()
        return await super().__aenter__()

    async def models(self) -> tuple[Model, ...]:
        """Return the configured models."""
        return self._models

    def price(self, model: Model) -> Price:
        """Return the configured price, the same for each model."""
        self._check_served(model)
        return self._price

    async def complete(self, request: Completion, *, timeout: float) -> Answer:
        """Run one completion, as the contract says; an answer that is not signed is a Retry.

        Raises Barred, with nothing sent, for a key that is not to be trusted where any is pinned.
        """
        self._check_served(request.model)
        deadline = asyncio.get_running_loop().time() + timeout
        attested = await self._attested_by(request.model, deadline)
        found, proof = await self._exchange(request, attested, deadline)
        answer = wire.decode_answer(found.body, request, found.times)
        return msgspec.structs.replace(answer, proof=proof)

    async def _attested_by(self, model: Model, deadline: float) -> _Attested:
        """Return the model's key, attested not too long ago; one call attests for all who wait."""
        now = asyncio.get_running_loop().time
        found = self._attested.get(model.name)
        if found is not None and now() < found.until:
            return found
        try:
            async with asyncio.timeout_at(deadline), self._attesting:
                found = self._attested.get(model.name)
                if found is None or found.until <= now():
                    found = await self._attest(model, deadline)
        except TimeoutError:
            raise Retry("the enclave's key was not attested in time") from None
        except Refuse as error:
            # Whatever it is about, it is not the request, which has not been sent.
            raise Barred(f"nothing is sent to backend {self.name}: {error.reason}") from None
        return found

    async def _attest(self, model: Model, deadline: float) -> _Attested:
        """Ask which key the model's enclave signs with, and hold it against what is pinned."""
        nonce, now = secrets.token_hex(16), asyncio.get_running_loop().time
        body = msgspec.json.encode({"model_id": model.name, "nonce": nonce})
        seconds = deadline - now()
        data = await self.client.ask("POST", "attestation", body, seconds, MAX_ATTESTATION)
        said = decode(_attestation, data, "the attestation is not understood")
        if said.nonce != nonce.ljust(64, "0"):
            raise Retry("the attestation is not of now: it names another nonce")
        until = now() + self.config.attest_every
        found = _Attested(said.signing_address.lower(), await self._quote(), until)
        if self.config.pinned:
            self.config.check_trusted(found.address, found.quote)
            # The nonce is not signed, and the address is no secret: who has the key signs this.
            hello = (Message("user", f"Say this number: {secrets.token_hex(16)}"),)
            probe = Completion(model=model, messages=hello, max_tokens=1)
            await self._exchange(probe, found, deadline)
        self._attested[model.name] = found
        return found

    async def _quote(self) -> QuoteFile | None:
        """Read the quote anew: it is replaced while the node runs, as collateral runs out."""
        file = self.config.quote_file
        return None if file is None else await asyncio.to_thread(read_quote, file)

    async def _exchange(
        self, request: Completion, attested: _Attested, deadline: float
    ) -> tuple[Exchange, Proof]:
        """Send a request and return its response once the attested key has signed both."""
        name = request.model.name
        body = wire.encode_request(msgspec.structs.replace(request, ids=False), name)
        most = wire.longest_answer(request, len(body))
        seconds = deadline - asyncio.get_running_loop().time()
        found = await self.client.exchange("POST", "completions", body, seconds, most)
        try:
            proof = _proof(name, found, attested)
            check_response(proof, body)
        except Refuse as error:
            # A model may have moved to another machine: the next call asks for its key again.
            self._attested.pop(name, None)
            raise Retry(f"the answer is not the enclave's: {error.reason}") from None
        return found, proof

    def _check_served(self, model: Model) -> None:
        if model not in self._models:
            raise Barred(f"backend {self.name} does not serve {model.name}")


def _proof(model: str, found: Exchange, attested: _Attested) -> Proof:
    """Return what a response's headers say. Raises Refuse where they say too little."""
    names = ("text", "signature", "signing_address", "image_digest")
    said = {name: found.headers.get(name, "") for name in names}
    address = said["signing_address"].lower()
    if found.headers.get("signing_algo", "ecdsa") != "ecdsa":
        raise Refuse("it is signed by an algorithm that is not ecdsa")
    if address != attested.address:
        raise Refuse("it is signed by another key than was attested")
    try:
        response = found.body.decode()
    except UnicodeDecodeError:
        raise Refuse("it is not UTF-8") from None
    quote = attested.quote
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
