#!/usr/bin/env python3
"""Follows the stream of events with the standard library: works on each event, and only then notes how far it is. docs/pull.md
usage: consumer.py STATE-FILE TOKEN-FILE [URL]"""
import http.client, json, os, sys, time, urllib.request
state, token = sys.argv[1], open(sys.argv[2]).read().strip()
url = (sys.argv[3] if len(sys.argv) > 3 else "http://127.0.0.1:9464") + "/v1/events/stream?after=oldest"

def work(event):  # your part
    print(json.dumps(event, ensure_ascii=False), flush=True)
    if event["type"] == "io.watchlistd.lost.v1":
        lost = event["data"]
        print("missed", lost.get("first", "?"), "to", lost.get("last", "?"), lost["reason"], file=sys.stderr, flush=True)

def note(cursor):  # a crash leaves the old state or the new one; after the old one the event comes again, with the same id
    with open(state + ".new", "w") as file:
        print(cursor, file=file, flush=True)
        os.fsync(file.fileno())
    os.replace(state + ".new", state)

while True:
    headers = {"Authorization": f"Bearer {token}"}
    if os.path.exists(state):
        headers["Last-Event-ID"] = open(state).read().strip()
    try:
        # A sign of life comes every ten seconds: without one for a minute, the connection is dead.
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=60) as stream:
            for line in map(bytes.decode, stream):
                if line.startswith("id: "):
                    cursor = line[4:].strip()
                elif line.startswith("data: "):
                    work(json.loads(line[6:]))
                elif line == "\n":
                    note(cursor)
    except (OSError, http.client.HTTPException) as error:
        print(error, file=sys.stderr, flush=True)
    time.sleep(1)
