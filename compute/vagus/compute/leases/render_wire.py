"""What Dispersed answers, as far as it is read: types and bounds of a stranger's words.

Source: Dispersed's documentation, "Create Job" and "Job Monitoring".
"""

from typing import Annotated

import msgspec

__all__ = ["Job", "Jobs", "Runs"]

Id = Annotated[str, msgspec.Meta(pattern="^[0-9A-Za-z-]{1,64}$")]
# Others of the account's are named by people.
Name = Annotated[str, msgspec.Meta(max_length=4096)]
Word = Annotated[str, msgspec.Meta(max_length=256)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Count = Annotated[int, msgspec.Meta(ge=0, le=1 << 31)]


class Job(msgspec.Struct):
    """A job, as it is created, listed and looked at."""

    uuid: Id
    status: Word
    title: Name | None = None


class Jobs(msgspec.Struct):
    """A page of jobs, and how many there are in all."""

    data: list[Job]
    total: Count | None = None


class Url(msgspec.Struct):
    """Where one port of a machine is."""

    hostname: Annotated[str, msgspec.Meta(max_length=253, pattern="^[0-9A-Za-z.-]+$")]
    port: Port
    description: str | int | None = None
    tls: bool | None = None


class Run(msgspec.Struct):
    """One run of a job on a machine."""

    status: Word
    job_uuid: Id | None = None
    node_urls: list[Url] | None = None


class Runs(msgspec.Struct):
    """`GET /v1/job-runs`."""

    data: list[Run]
