"""A hub on loopback that speaks HTTP to the real, unmodified client, and misbehaves by one switch each.

>>> with running_hub(folder) as hub:
...     HfApi(endpoint=hub.url).model_info("owner/name")
...     hub.control.misbehave("rate_limited", on="cdn", times=2)

A repository is a folder ``<root>/<owner>/<name>/``. Beside its files it may hold, never served:

``.hub.json``          {gated, last_modified, downloads, likes, tags, card_data, formerly: [names]}
``.hub/history/<n>/``  whole trees of earlier commits of ``main``, oldest first by name
``.hub/branches/<b>/`` the whole tree of another branch
"""

from tests.hub_simulator.faults import KINDS, Control, Fault
from tests.hub_simulator.server import Hub, running_hub

__all__ = ["KINDS", "Control", "Fault", "Hub", "running_hub"]
