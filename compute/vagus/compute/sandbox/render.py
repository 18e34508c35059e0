"""Dispersed, Render's compute network, on 127.0.0.1: signed requests, jobs, runs, machines.

Source: Dispersed's documentation ("Authenticate Requests", "Create Job", "Job Types", "Job
Monitoring") and its example client. How a lack of credit is answered is not documented: 402 here. A job
takes some looks to run, as the real one takes minutes; hours are billed as they begin, by its clock.
"""

import math
import secrets
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from decimal import Decimal

from aiohttp import web

from vagus.compute.sandbox.base import ApiError, json_response, read_json
from vagus.compute.sandbox.machine import served_name
from vagus.compute.sandbox.render_requests import Cancel, Create, check_signature
from vagus.compute.sandbox.rental import RentalSandbox

__all__ = ["Gpu", "Job", "RenderSandbox"]

STEPS = ("PENDING", "ASSIGNED", "PREPARING", "RUNNING")
OVER = frozenset({"COMPLETED", "FAILED", "CANCELLED"})
MAX_PAGE = 50


@dataclass
class Gpu:
    """What may be had. hourly: USD for one. free: machines that wait for jobs."""

    vram: int
    hourly: Decimal
    free: int


@dataclass
class Job:
    """One job; `looks` are counted until the next step of its life."""

    uuid: str
    asked: Create
    created: float
    status: str = "PENDING"
    looks: int = 0
    gpu: Gpu | None = None
    billed: int = 0
    run: str = field(default_factory=lambda: str(uuid.uuid4()))


class RenderSandbox(RentalSandbox):
    """`jobs` are what was asked for, by uuid; `spent` is what they cost, in USD.

    api_key is the public half of the key, `secret_key` the other. patience: looks at a job for each
    step of its life.
    """

    def __init__(self, *, port: int = 0, upstream: str | None = None) -> None:
        super().__init__(port=port, upstream=upstream)
        self.api_key = "pk_" + secrets.token_hex(16)
        self.secret_key = "sk_" + secrets.token_hex(32)
        self.gpus = {
            "NVIDIA RTX 4090": Gpu(24, Decimal("0.35"), 4),
            "NVIDIA RTX 5090": Gpu(32, Decimal("0.69"), 2),
        }
        self.jobs: dict[str, Job] = {}
        self.spent = Decimal(0)
        self.patience = 1
        self._nonces: set[str] = set()

    def show(self) -> dict[str, str]:
        """Return what a client needs; a key has two halves here."""
        return {**super().show(), "secret_key": self.secret_key}

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the API's calls."""
        return [
            web.post("/v1/jobs", self._create),
            web.get("/v1/jobs", self._list),
            web.get("/v1/jobs/{uuid}", self._get),
            web.put("/v1/jobs/{uuid}/cancel", self._cancel),
            web.get("/v1/job-runs", self._runs),
        ]

    def error(self, status: int, message: str, code: str) -> object:
        """Return an error: its code and words."""
        return {"error": {"code": code or f"HTTP_{status}", "message": message}}

    @property
    def alive(self) -> list[Job]:
        """What costs money."""
        return [each for each in self.jobs.values() if each.status not in OVER]

    def rented(self) -> dict[str, str]:
        """Return the titles of jobs that are not over by their uuids."""
        return {each.uuid: each.asked.title for each in self.alive}

    async def charged(self) -> Decimal:
        """Return what was billed."""
        await self._pass_time()
        return self.spent

    async def lose(self, ident: str) -> None:
        """Let a job's machine be gone, as one whose owner pulled the plug."""
        await self.machines.stop(ident)

    async def authenticate(self, request: web.Request) -> None:
        """Know a caller by the signature over this very request, made now, for the first time."""
        nonce = await check_signature(request, self.api_key, self.secret_key)
        if nonce in self._nonces:
            raise ApiError(401, "X-Nonce was used before", code="NONCE_REUSED")
        self._nonces.add(nonce)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        asked = await read_json(request, Create)
        if (asked.max_timeout_run_ms is None) != (asked.task == "PERSISTENT"):
            said = "max_timeout_run_ms is null for a PERSISTENT job, and a number for a BATCH one"
            raise ApiError(400, said, code="VALIDATION_ERROR")
        if asked.gpu_name is not None and asked.gpu_name not in self.gpus:
            raise ApiError(400, "no node has such a GPU", code="VALIDATION_ERROR")
        hourly = self.gpus[asked.gpu_name or next(iter(self.gpus))].hourly
        if self.credit < hourly * asked.gpu_count:
            raise ApiError(402, "the balance is too small", code="INSUFFICIENT_BALANCE")
        job = Job(str(uuid.uuid4()), asked, self.now)
        self.jobs[job.uuid] = job
        return json_response(_shown(job), status=201)

    async def _list(self, request: web.Request) -> web.StreamResponse:
        await self._pass_time()
        found = [
            each
            for each in self.jobs.values()
            if _allows(request, "status", each.status) and _allows(request, "uuid", each.uuid)
        ]
        found.sort(key=lambda each: each.created, reverse=request.query.get("sort", "-")[0] == "-")
        return json_response(_paged(request, [_shown(each) for each in found]))

    async def _get(self, request: web.Request) -> web.StreamResponse:
        return json_response(_shown(await self._look(request.match_info["uuid"])))

    async def _cancel(self, request: web.Request) -> web.StreamResponse:
        await read_json(request, Cancel)
        job = await self._look(request.match_info["uuid"])
        if job.status in OVER:
            raise ApiError(409, f"the job is {job.status}", code="CONFLICT")
        job.status, job.looks = "CANCELLING", 0
        return json_response(_shown(job))

    async def _runs(self, request: web.Request) -> web.StreamResponse:
        runs = []
        for job in self.jobs.values():
            if not _allows(request, "job_uuid", job.uuid) or job.gpu is None:
                continue
            await self._look(job.uuid)
            if _allows(request, "status", job.status):
                runs.append(self._run(job))
        return json_response(_paged(request, runs))

    def _run(self, job: Job) -> dict[str, object]:
        urls = []
        if job.uuid in self.machines and job.looks > self.patience:
            ports = [each for each in job.asked.parameters.parameters.ports if each != 22]
            machine = self.machines[job.uuid]
            urls = [
                {
                    "description": str(each),
                    "hostname": "127.0.0.1",
                    "port": machine.port,
                    "protocol": "tcp",
                }
                for each in ports
            ]
        started = int(job.created * 1000)
        shown = {"uuid": job.run, "job_uuid": job.uuid, "status": job.status}
        return {**shown, "started_at_ms": started, "node_urls": urls}

    async def _look(self, ident: str) -> Job:
        """Find a job and let it come on by a step."""
        await self._pass_time()
        job = self.jobs.get(ident)
        if job is None:
            raise ApiError(404, "no such job", code="NOT_FOUND")
        job.looks += 1
        if job.looks > self.patience:
            if job.status == "CANCELLING":
                await self._end(job, "CANCELLED")
            elif job.status in STEPS[:-1]:
                await self._step(job)
        return job

    async def _step(self, job: Job) -> None:
        if job.status == "PENDING":
            asked = job.asked
            gpu = next(
                (
                    gpu
                    for name, gpu in self.gpus.items()
                    if asked.gpu_name in {None, name} and gpu.vram >= asked.min_vram_gb and gpu.free
                ),
                None,
            )
            if gpu is None:
                return
            gpu.free -= 1
            job.gpu = gpu
        job.status, job.looks = STEPS[STEPS.index(job.status) + 1], 0
        if job.status == "RUNNING":
            env = job.asked.parameters.parameters.env
            key = next((value for name, value in env.items() if name.endswith("API_KEY")), None)
            await self.machines.start(job.uuid, served_name((), env), key)

    async def _pass_time(self) -> None:
        """Bill each hour as it begins; without credit a job ends."""
        for job in self.alive:
            if job.gpu is None:
                continue
            begun = math.floor((self.now - job.created) / 3600) + 1
            due = job.gpu.hourly * job.asked.gpu_count
            while job.billed < begun and self.credit >= due:
                job.billed += 1
                self.credit -= due
                self.spent += due
            if job.billed < begun:
                await self._end(job, "CANCELLED")

    async def _end(self, job: Job, status: str) -> None:
        job.status = status
        if job.gpu is not None:
            job.gpu.free += 1
        await self.machines.stop(job.uuid)


def _allows(request: web.Request, name: str, value: str) -> bool:
    wanted = request.query.get(f"filter[{name}]")
    return wanted is None or value in wanted.split(",")


def _paged(request: web.Request, found: list[dict[str, object]]) -> dict[str, object]:
    try:
        page, limit = int(request.query.get("page", "1")), int(request.query.get("limit", "20"))
    except ValueError:
        raise ApiError(400, "page and limit are numbers", code="VALIDATION_ERROR") from None
    if page < 1 or not 1 <= limit <= MAX_PAGE:
        raise ApiError(400, f"limit is 1 to {MAX_PAGE}", code="VALIDATION_ERROR")
    shown = found[(page - 1) * limit : page * limit]
    return {"data": shown, "page": page, "limit": limit, "total": len(found)}


def _shown(job: Job) -> dict[str, object]:
    asked = job.asked
    return {
        "uuid": job.uuid,
        "status": job.status,
        "task": asked.task,
        "title": asked.title,
        "gpu_name": asked.gpu_name,
        "gpu_count": asked.gpu_count,
        "min_vram_gb": asked.min_vram_gb,
        "created_at_ms": int(job.created * 1000),
    }
