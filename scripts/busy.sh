#!/usr/bin/env bash
# busy.sh COMMAND…: runs it beside two processes that do nothing but take processors. No test may hang on how soon it is scheduled.
set -euo pipefail
burning=()
for _ in 1 2; do
	(while :; do :; done) &
	burning+=($!)
done
trap 'kill "${burning[@]}"' EXIT
"$@"
