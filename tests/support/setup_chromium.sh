#!/bin/sh
# Debian's Chromium for the browser tests, installed where that is possible. `make test` calls this;
# tests/page/test_browser.py fails with the same sentence when there is no browser in the end.
set -u

if command -v chromium >/dev/null 2>&1 || [ -n "${CHROMIUM:-}" ]; then
    exit 0
fi
if command -v apt-get >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    echo "Installing Chromium for the browser tests ..."
    apt-get update -qq >/dev/null 2>&1
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium >/dev/null 2>&1
fi
if ! command -v chromium >/dev/null 2>&1; then
    cat >&2 <<'MESSAGE'
********************************************************************************
* NO CHROMIUM: the browser tests cannot run here, and will say so.
* Install it (Debian: apt-get install chromium) or name one: CHROMIUM=/path make test
********************************************************************************
MESSAGE
fi
