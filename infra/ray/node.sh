#!/bin/sh
# A further node of a Ray cluster: node.sh HEAD:PORT ADDRESS [options of `ray start`]. Runs until stopped.
# It needs the same kinprint and the same Python as the head, and the home folder of the index mounted.
set -eu
. "$(dirname "$0")/environment.sh"
head=$1 address=$2
shift 2
exec ray start --block --address "$head" --node-ip-address "$address" "$@"
