#!/bin/sh
# The head of a Ray cluster: head.sh ADDRESS PORT [options of `ray start`]. Runs until stopped.
# ADDRESS is the one the other nodes reach it by: never 0.0.0.0, and never an address the world reaches.
set -eu
. "$(dirname "$0")/environment.sh"
address=$1 port=$2
shift 2
exec ray start --head --block --node-ip-address "$address" --port "$port" --include-dashboard=false "$@"
