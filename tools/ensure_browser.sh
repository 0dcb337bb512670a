#!/bin/sh
# See to it that the browser tests find a browser; `make test` calls this.
#
# Debian's chromium is installed where that is possible without asking anybody. Where it is not,
# one sentence says what to do, and the tests that need a browser skip.
set -eu

main() {
    for browser in "${CHROMIUM:-}" chromium chromium-browser google-chrome; do
        if [ -n "$browser" ] && "$browser" --version >/dev/null 2>&1; then
            return
        fi
    done
    if [ -n "${CHROMIUM:-}" ]; then
        skip "CHROMIUM=$CHROMIUM does not run"
    elif ! command -v apt-get >/dev/null; then
        skip 'no Chromium or Chrome found'
    elif grep -qs '^ID=ubuntu' /etc/os-release; then
        # There the package chromium is a snap, which runs neither in a container nor headless
        # with a profile of its own.
        skip 'no Chromium or Chrome found, and the chromium of Ubuntu is a snap'
    elif [ "$(id -u)" -eq 0 ]; then
        install_chromium env
    elif sudo -n true 2>/dev/null; then
        install_chromium sudo -n env
    else
        skip 'no Chromium or Chrome found (sudo apt install chromium)'
    fi
}

# The arguments are the command that makes the rest run as root.
install_chromium() {
    say "Installing Debian's chromium for the browser tests, once"
    log=$(mktemp)
    if ! { "$@" apt-get update && "$@" DEBIAN_FRONTEND=noninteractive \
        apt-get install -y --no-install-recommends chromium; } >"$log" 2>&1 </dev/null
    then
        tail -n 5 "$log" >&2
        skip 'apt-get could not install chromium (its last lines are above)'
    fi
    rm -f "$log"
}

skip() {
    say "$1: the browser tests will be skipped. Install Chromium or Chrome, or set CHROMIUM=PATH."
}

say() {
    echo "$*" >&2
}

main
