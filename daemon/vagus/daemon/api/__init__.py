"""HTTP: what a node shows of itself, and the few calls that change something.

GET  /                          the page
GET  /healthz                   200 while the process serves
GET  /readyz                    200 where every chain is read to its head; else 503 and why
GET  /metrics                   Prometheus or OpenMetrics, as the Accept header asks
GET  /v1/status                 readiness, counts, chains and backends at once
GET  /v1/chains                 heads, how far each hub is read, endpoints, balances, halts
GET  /v1/models                 the backends and their models
GET  /v1/intents                the newest intents: ?limit=1..500, ?stage=settled
GET  /v1/intents/<id>           one intent with its history, payload and output
GET  /v1/evidence/<hash>        the evidence document, byte for byte as it was hashed
GET  /v1/events                 server-sent events: every stage that an intent comes to
POST /v1/intents/<id>/poke      try again now what waits         (token: intents:write)
POST /v1/chains/<caip2>/resume  serve a halted chain again       (token: chains:write)

Reading is public, as all of it is on chain; docs/http.md has the details.
"""

from vagus.daemon.api.app import Api
from vagus.daemon.api.server import serve

__all__ = ["Api", "serve"]
