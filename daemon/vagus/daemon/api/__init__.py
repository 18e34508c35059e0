"""HTTP: what a node shows of itself, and the few calls that change something.

GET  /                          the page
GET  /healthz                   200 while the process serves
GET  /readyz                    200 where every chain is read to its head; else 503 and why
GET  /metrics                   Prometheus or OpenMetrics, as the Accept header asks
GET  /v1/status                 readiness, counts, chains and backends at once
GET  /v1/chains                 heads, how far each hub is read, endpoints, balances, halts
GET  /v1/models                 the backends and their models
GET  /v1/route                  where a model's calls go, and why: on the node's own machine alone
GET  /v1/intents                the newest intents: ?limit=1..500, ?stage=settled
GET  /v1/intents/<id>           one intent with its history, payload and output; or by a transaction
GET  /v1/committee              the other members, the transports, what came
GET  /v1/rotations/<hash>       a proposal with the approvals that were heard of
GET  /v1/roster                 the committee's roster, byte for byte as it was hashed
GET  /v1/roster/<hash>          likewise, of this and earlier epochs
GET  /v1/evidence/<hash>        the evidence document, byte for byte as it was hashed
GET  /v1/evidence/<hash>/checks what each member of the committee found, as it signed it
GET  /v1/events                 server-sent events: every stage that an intent comes to
POST /v1/intents/<id>/poke      try again now what waits         (token: intents:write)
POST /v1/chains/<caip2>/resume  serve a halted chain again       (token: chains:write)
POST /v1/rotations              hand an approval to the others   (token: committee:write)
POST /v1/backends/<name>/release ask a quarantined backend again (token: backends:write)

Reading is public, as all of it is on chain; docs/http.md has the details.
"""

from vagus.daemon.api.app import Api
from vagus.daemon.api.server import serve

__all__ = ["Api", "serve"]
