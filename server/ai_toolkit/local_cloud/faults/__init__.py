"""Faults on demand: which requests, resources and replicas misbehave, how often, and how.

A fault is a JSON object that is posted to `/local-cloud/faults` on the Resource Manager's port, with the
local cloud's token: 201 with its `id`. GET lists all, with how often each was `seen` and `hits`; DELETE ends
all, or the one whose id is added to the path. It lives until it was used `count` times, is deleted, or the
process ends; those in the JSON array of the file that `AITK_LOCAL_CLOUD_FAULTS` names are there from the start, and
stay.
What is no event but a state (`no-…`, `read-only`, `crash-unnoticed`) lasts until it is deleted.

| field | meaning |
|---|---|
| `kind` | what happens, see `Kind` |
| `port` | `management`, `files` or `ingress`; every port where it is not given |
| `method`, `path` | regular expressions, without case, found anywhere in the request's method and path; for a \
resource its id, for a replica its name |
| `skip` | how many matching ones pass first: with `skip` n and nothing else, request n+1 is hit, whatever it is |
| `count` | how many are hit then; null for all |
| `probability`, `seed` | the chance of each, drawn from a generator with that seed |
| `status`, `code`, `message` | of the answer of `status` and of the error of `resource-fails` |
| `retryAfterSeconds` | the Retry-After of `status` |
| `seconds` | the time of `latency`, `replica-slow`, how long a replica lives before `replica-crash`, and how far the \
event stream's clock is ahead with `start-stalls`, so that nobody waits for minutes |
| `bytes`, `of` | `cut`: after so many bytes of the `answer` (headers included) or of the `request`'s body |
| `member`, `wanted` | `policy`, whose name is `message`: what has another value there (`tags.owner`) than \
`wanted`, or with `wanted` null none, is refused |
| `code`, `message` | of `start-stalls`: the reason and text of the event after which a start does not go on |
| `command` | `replica-wrapped`: the program and arguments that the replica's command is appended to; an argument \
`{share}` stands for the folder of the replica's first file share |

From a test, `FaultInjection` posts them.

The room for failures that a test asks for. It may import `core` alone; its public face, for tests, is `FaultInjection`.
"""

from ai_toolkit.local_cloud.faults.injection import FaultInjection
from ai_toolkit.local_cloud.faults.model import Fault, Kind

__all__ = ["Fault", "FaultInjection", "Kind"]
