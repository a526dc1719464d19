#!/bin/bash
# Follows the events with curl and jq: hands each to the work, and only then notes how far it is. docs/pull.md
# usage: consumer.sh STATE-FILE TOKEN-FILE [URL]
set -u -o pipefail
state=$1 token=$2 url=${3:-http://127.0.0.1:9464}
work() { printf '%s\n' "$1"; } # one event, as a line of JSON: your part
after=$(cat "$state" 2>/dev/null || echo oldest)
while :; do
  # The token comes from a file: on the command line everybody could read it.
  answer=$(curl -sS --fail-with-body --max-time 90 -H @<(printf 'Authorization: Bearer %s\n' "$(cat "$token")") \
    "$url/v1/events?after=$after&wait=30") || { printf '%s\n' "$answer" >&2; sleep 2; continue; }
  jq -r '.events[] | select(.type == "io.watchlistd.lost.v1") | .data
    | "missed \(.first // "?") to \(.last // "?"): \(.reason)"' <<<"$answer" >&2
  while IFS= read -r event; do work "$event" || exit; done < <(jq -c '.events[]' <<<"$answer")
  after=$(jq -r .next <<<"$answer")
  # A crash leaves the old state or the new one; after the old one these events come again, with the same ids.
  printf '%s\n' "$after" >"$state.new" && sync "$state.new" && mv "$state.new" "$state" || exit
done
