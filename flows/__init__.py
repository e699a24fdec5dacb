"""The edge: flows, the Ray tasks they fan out, and the command line.

Importing the package quietens Prefect, Ray and the hub's client first: they read their environment when
they are imported, so nobody below may import them earlier.
"""

from flows.settings import keep_quiet

keep_quiet()
