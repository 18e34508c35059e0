"""Render's compute network, Dispersed: Docker jobs on GPUs, billed by the hour.

Source: Dispersed's documentation ("Create Job", "Job Types", "Job Monitoring"), its example client, and
what users of it wrote down where both are silent. No call was made to the real API. What follows from it:

- It tells no prices by a documented call: the operator writes down what each GPU costs.
- A PERSISTENT job has no end of its own: one whose node never comes back runs until the credit is spent
  or a person cancels it. Its title is our label; the next start of the node finds it by that.
- Jobs are "billed hourly", and no word says what becomes of an hour that was begun: a quote counts whole.
- A job takes no arguments, only an environment: the image's server must be set up by that.
- A machine's port may be plain HTTP: who stands in between reads what is asked and the server's key.
"""

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TypeVar

import msgspec

from vagus.compute.http_bounds import Endpoint
from vagus.compute.leases.api import ApiRefused
from vagus.compute.leases.base import Container, Lease, Quote, Want
from vagus.compute.leases.checks import matches
from vagus.compute.leases.keyed import KeyedProvisioner
from vagus.compute.leases.render_signature import canonical_json, signed_headers
from vagus.compute.leases.render_wire import Job, Jobs, Runs
from vagus.protocol import Refuse, Retry

__all__ = ["GpuOffer", "RenderProvisioner"]

T = TypeVar("T")

BASE_URL = "https://api.dispersed.com"
OVER = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
ENDING = frozenset({"CANCELLING", "FAILING"})
# Seconds until a job whose answer was lost is surely listed, and until a cancelled one has ended.
UNSURE = 60.0
PAUSE = 5.0
# Milliseconds that a job may wait for a machine, and a machine for its image.
ASSIGN = 300_000
START = 1_800_000
MAX_PAGE = 50
MAX_PAGES = 200


@dataclass(frozen=True, slots=True)
class GpuOffer:
    """A GPU as Dispersed spells it, its memory in GiB, and USD per hour for one."""

    name: str
    vram: int
    hourly: Decimal


class RenderProvisioner(KeyedProvisioner):
    """One API key. offers: what the operator says there is, and for how much.

    allowed_ips: the addresses that may connect to a machine, as CIDR; none for all. path: where the
    API begins on its port.
    """

    network = "render"
    title = "Dispersed"
    # A call may take half a minute, and be listed some time after.
    settles = 90.0

    def __init__(
        self,
        public_key: str,
        secret_key_file: pathlib.Path,
        offers: tuple[GpuOffer, ...],
        *,
        allowed_ips: tuple[str, ...] = (),
        path: str = "/v1",
        base_url: str = BASE_URL,
        timeout: float = 30.0,
    ) -> None:
        super().__init__(secret_key_file, base_url=base_url, path=path, timeout=timeout)
        self._public_key = public_key
        self._offers = offers
        self._allowed_ips = allowed_ips

    async def quote(self, want: Want) -> tuple[Quote, ...]:
        """Return the operator's own offers that will do; whether one is free, the job shows."""
        _check(want.container)
        if want.regions:
            raise Refuse("Dispersed lets nobody choose a region: leave the regions out")
        fitting = [
            Quote(want, each.name, each.name, each.hourly * want.count, prepaid=True)
            for each in self._offers
            if matches(want.gpus, each.name)
            and each.vram >= want.vram
            and each.hourly * want.count <= want.max_hourly
        ]
        return tuple(sorted(fitting, key=lambda each: each.hourly))

    async def lease(self, quote: Quote, label: str, api_key: str) -> Lease:
        """Create the job, or return the one that has the label."""
        self._hide(quote.want.container, api_key)
        found = [each for each in await self._jobs() if each.title == label]
        alive = [each for each in found if each.status not in OVER | ENDING]
        if alive:
            return Lease(alive[-1].uuid, label)
        if found:
            raise Refuse(f"the job {label} is {found[0].status} at Dispersed")
        costs = [each.hourly * quote.want.count for each in self._offers if each.name == quote.gpu]
        if not costs or min(costs) > quote.hourly:
            raise Refuse(f"{quote.gpu} is not offered at {quote.hourly} USD an hour any more")
        try:
            made = await self._call("POST", "/v1/jobs", Job, body=self._job(quote, label, api_key))
        except Retry as error:
            raise Retry(error.reason, max(error.after, UNSURE)) from None
        return Lease(made.uuid, label, quote.hourly)

    async def ready(self, lease: Lease) -> Endpoint | None:
        """Return the address of the job's run, None while it has none."""
        job = await self._find(lease)
        if job is None or job.status in OVER | ENDING:
            said = "does not know" if job is None else f"says {job.status} of"
            raise Refuse(f"Dispersed {said} the job {lease.id}")
        query = {"filter[job_uuid]": lease.id, "limit": "10"}
        runs = await self._call("GET", "/v1/job-runs", Runs, query=query)
        for run in runs.data:
            if run.status in OVER | ENDING or run.job_uuid not in {None, lease.id}:
                continue
            for url in run.node_urls or ():
                if url.description != "ssh":
                    scheme = "https" if url.tls else "http"
                    return self._endpoint(f"{scheme}://{url.hostname}:{url.port}")
        return None

    async def renew(self, lease: Lease, ends: float) -> Lease:
        """See that the job still runs: it does so until it is cancelled."""
        job = await self._find(lease)
        if job is None or job.status in OVER | ENDING:
            raise Refuse(f"the job {lease.id} is over at Dispersed: it can't be renewed")
        return lease

    async def release(self, lease: Lease) -> None:
        """Cancel the job, and see that it is over."""
        job = await self._find(lease)
        if job is None or job.status in OVER:
            return
        if job.status not in ENDING:
            path = f"/v1/jobs/{lease.id}/cancel"
            try:
                await self._call("PUT", path, msgspec.Raw, body={"reason": "released by vagus"})
            except ApiRefused as error:
                # What it says to one that ended in between is not documented: the next look tells.
                raise Retry(error.reason, PAUSE) from None
            job = await self._find(lease)
        if job is not None and job.status not in OVER:
            raise Retry(f"Dispersed is still ending the job {lease.id}", PAUSE)

    async def owned(self, prefix: str) -> tuple[Lease, ...]:
        """Return the jobs that are not over and whose titles begin so."""
        return tuple(
            Lease(each.uuid, each.title)
            for each in await self._jobs()
            if each.title is not None and each.title.startswith(prefix) and each.status not in OVER
        )

    def _job(self, quote: Quote, label: str, api_key: str) -> dict[str, object]:
        """Return the body that creates a job which is tried once, on one machine."""
        want, container = quote.want, quote.want.container
        image, tag = _check(container)
        docker: dict[str, object] = {
            "image": image,
            "tag": tag,
            "ports": [container.port],
            "env": {**container.env, container.key_env: api_key},
        }
        if self._allowed_ips:
            docker["allowed_ips"] = list(self._allowed_ips)
        return {
            "task": "PERSISTENT",
            "title": label,
            "gpu_name": quote.offer,
            "gpu_count": want.count,
            "cpu_count": want.cpus,
            "min_vram_gb": want.vram,
            "min_ram_gb": want.memory,
            "min_storage_gb": want.disk,
            "max_timeout_run_ms": None,
            "max_timeout_assign_ms": ASSIGN,
            "max_timeout_start_ms": START,
            "max_node_count": 1,
            "max_retry_count": 0,
            "parameters": {"type": "docker", "parameters": docker},
        }

    async def _find(self, lease: Lease) -> Job | None:
        try:
            found = await self._call("GET", f"/v1/jobs/{lease.id}", Job)
        except ApiRefused as error:
            if error.status == 404:
                return None
            raise
        if found.uuid != lease.id:
            raise Retry(f"Dispersed answered for the job {lease.id} with another one")
        return found

    async def _jobs(self) -> tuple[Job, ...]:
        """Return every job there was, newest first. Raises Retry for a part of the list."""
        found: dict[str, Job] = {}
        for page in range(1, MAX_PAGES + 1):
            query = {"page": str(page), "limit": str(MAX_PAGE), "sort": "-created_at"}
            listed = await self._call("GET", "/v1/jobs", Jobs, query=query)
            found |= {each.uuid: each for each in listed.data}
            if len(listed.data) < MAX_PAGE:
                if len(found) < (listed.total or 0):
                    raise Retry(f"Dispersed lists {len(found)} of {listed.total} jobs")
                return tuple(found.values())
        raise Retry(f"Dispersed lists over {MAX_PAGES * MAX_PAGE} jobs", UNSURE)

    async def _call(
        self,
        method: str,
        path: str,
        answer: type[T],
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
    ) -> T:
        api = self._api
        data = b"" if body is None else canonical_json(body)
        headers = signed_headers(self._public_key, self._key, method, api.path + path, query, data)
        try:
            return await api.call(
                method, path, answer, query=query, body=data or None, headers=headers
            )
        except ApiRefused as error:
            if error.status in {401, 403}:
                raise Refuse(
                    f"{error.reason}, or this machine's clock is over 5 minutes wrong"
                ) from None
            raise


def _check(container: Container) -> tuple[str, str]:
    """Return the image and its tag. Raises Refuse for a container that no job can be."""
    if container.args:
        raise Refuse(
            "a job at Dispersed takes no arguments: set the server up by env (LLAMA_ARG_…)"
        )
    if "@" in container.image:
        raise Refuse("a job at Dispersed names its image by a tag, not by a digest")
    image, colon, tag = container.image.rpartition(":")
    if not colon or "/" in tag:
        return container.image, "latest"
    return image, tag
