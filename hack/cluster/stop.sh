#!/usr/bin/env bash
# Kills daemons of the cluster, to see how others bear their absence:
#
#   stop.sh apiserver
#
# up.sh starts them again. The names are those in $CLUSTER_DIR/pid.
set -euo pipefail
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

need_root
[ $# -gt 0 ] || die "usage: see the head of $0"
lock
for name; do
  alive "$name" || die "$name does not run in $CLUSTER_DIR"
  kill -9 "$(cut -d' ' -f1 "$CLUSTER_DIR/pid/$name")"
  while alive "$name"; do sleep 0.05; done
done
