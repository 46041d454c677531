#!/usr/bin/env bash
# Sends the events on standard input, one JSON object a line, to topic $1: posts or interactions.
set -euo pipefail

topic=$1
owner=user_id
if [[ $topic == interactions ]]; then
  owner=target_user_id # an interaction belongs to the user it is aimed at
fi

# jq puts the key and a tab before each line and leaves the line as it is; kcat parts them again.
jq --raw-input --raw-output --unbuffered --arg owner "$owner" \
  'fromjson as $event | "\($event.platform):\($event[$owner])\t\(.)"' |
  kcat -P -b "${KOL_BROKER:-127.0.0.1:9092}" -t "${KOL_PREFIX:-}$topic" -K '\t' \
    -X topic.partitioner=murmur2_random -X topic.acks=all -X enable.idempotence=true
